from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from vestnik import zones
from vestnik.accounts import verbs
from vestnik.accounts.models import User


class ProfileForm(forms.ModelForm):
    time_zone = forms.ChoiceField(label=_("Time zone"), help_text=_("Pages show times in it."))

    class Meta:
        model = User
        fields = ("full_name", "postal_address", "language", "time_zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = zones.choices(self.instance.time_zone)  # type: ignore[attr-defined]

    def save(self, commit: bool = True) -> User:
        return verbs.save_profile(self.instance, **self.cleaned_data)
