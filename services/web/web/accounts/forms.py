"""allauth's forms, in the words of the other pages, each for the core's one address per person."""

from __future__ import annotations

from typing import Any, cast

from allauth.account import forms as allauth
from allauth.account.adapter import get_adapter
from django import forms
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from vestnik import addresses, confirmation, zones
from vestnik.accounts.models import User
from web.accounts.email_sync import align
from web.forms import cut_what_is_far_too_long

_name = User._meta.get_field("full_name")


class Worded:
    """Labels instead of placeholders; a new password is typed once, for it can be reset."""

    labels = {
        "login": _("E-mail"),
        "email": _("E-mail"),
        "password": _("Password"),
        "oldpassword": _("Your password now"),
        "password1": _("New password"),
        "remember": _("Stay signed in"),
    }
    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("password2", None)
        for name, field in self.fields.items():
            field.widget.attrs.pop("placeholder", None)
            field.label = self.labels.get(name, field.label)
        cut_what_is_far_too_long(cast(forms.BaseForm, self))


class LoginForm(Worded, allauth.LoginForm):
    """Sign in by address and password."""

    def clean_login(self) -> str:
        typed: str = self.cleaned_data["login"]
        try:
            return addresses.normalise(typed)
        except addresses.InvalidAddress:
            return typed  # nobody has it


class SignupForm(Worded, allauth.SignupForm):
    """Whoever has an account already sees the same pages, after the same time, and gets another letter."""

    labels = {**Worded.labels, "password1": _("Password")}
    field_order = ["email", "password1", "full_name", "language", "time_zone"]

    full_name = _name.formfield(validators=_name.validators)
    language = User._meta.get_field("language").formfield(initial=get_language)
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=zones.choices, initial="UTC")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound:
            self.fields["time_zone"].widget.attrs["data-guess-zone"] = ""

    def validate_unique_email(self, value: str) -> str:
        self.account_already_exists = User.objects.filter(email=value).exists()
        return value

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean()
        if "password1" in said:  # allauth has compared it with the address
            try:
                get_adapter().clean_password(said["password1"], User(full_name=said.get("full_name", "")))
            except ValidationError as refusal:
                self.add_error("password1", refusal)
        return said

    def try_save(self, request: HttpRequest) -> Any:
        if not self.account_already_exists:
            try:
                with transaction.atomic():
                    return super().try_save(request)
            except (IntegrityError, ValidationError):
                if not User.objects.filter(email=self.cleaned_data["email"]).exists():
                    raise
                self.account_already_exists = True  # since a moment ago
        make_password(self.cleaned_data["password1"])  # for the time it takes
        return super().try_save(request)

    def save(self, request: HttpRequest) -> Any:
        user = super().save(request)
        align(user)
        return user


class ResetPasswordForm(Worded, allauth.ResetPasswordForm):
    """For whose address it is; one that is only wished for opens no account."""

    def clean_email(self) -> str:
        email = get_adapter().clean_email(self.cleaned_data["email"])
        self.users = list(User.objects.filter(email=email, is_active=True))
        return email

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        email: str = self.cleaned_data["email"]
        return email if get_adapter().send_blocked_mail(email) else super().save(request, **kwargs)


class ResendForm(forms.Form):
    """Ask for the letter with the link once more."""

    email = forms.EmailField(label=_("E-mail"))

    def clean_email(self) -> str:
        return get_adapter().clean_email(self.cleaned_data["email"])


class AddEmailForm(Worded, allauth.AddEmailForm):
    """Change one's address."""

    labels = {"email": _("New e-mail")}


class ChangePasswordForm(Worded, allauth.ChangePasswordForm):
    pass


class SetPasswordForm(Worded, allauth.SetPasswordForm):
    pass


class ResetPasswordKeyForm(Worded, allauth.ResetPasswordKeyForm):
    def save(self) -> None:
        """Save the password, and confirm the address: the link was in a letter, and whoever has it has the mailbox."""
        super().save()
        confirmation.confirm(self.user)
        align(self.user)


class ReauthenticateForm(Worded, allauth.ReauthenticateForm):
    pass
