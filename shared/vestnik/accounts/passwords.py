"""Why passwords are refused, in sentences of our own where Django's cannot be translated into every language."""

from django.contrib.auth.password_validation import UserAttributeSimilarityValidator
from django.utils.translation import gettext as _


class UnlikeThePerson(UserAttributeSimilarityValidator):
    """Django's puts a field's name into its sentence, in the case that stands in forms."""

    def get_error_message(self) -> str:
        return _("The password is too similar to your address or your name.")
