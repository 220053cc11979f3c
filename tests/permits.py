"""Rights that a superuser gives."""

from django.contrib.auth.models import Permission

from vestnik.accounts.models import User


def of_service_letters(user: User) -> User:
    """Give the user the right to send service letters; return them as they are now, with it."""
    user.user_permissions.add(Permission.objects.get(codename="write_service_letters"))
    return User.objects.get(pk=user.pk)
