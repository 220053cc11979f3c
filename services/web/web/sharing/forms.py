"""The form that shares an object."""

from django import forms
from django.utils.translation import gettext_lazy as _


class ShareForm(forms.Form):
    address = forms.CharField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput,
        help_text=_("The address of the person you share it with."),
    )
    level = forms.ChoiceField(label=_("They may"), choices=[("view", _("see it")), ("edit", _("see and change it"))])
