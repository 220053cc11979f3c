"""What allauth does otherwise here."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core import context, ratelimit
from allauth.core.internal.ratelimit import get_ip
from allauth.utils import build_absolute_uri
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import IntegrityError, transaction
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse, translate_url
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from vestnik import addresses, confirmation, demo
from vestnik.accounts.models import User
from web.accounts.email_sync import align


class AccountAdapter(DefaultAccountAdapter):
    """Keeps people in the core's User, and writes to them in their own language."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _("The address or the password is wrong, or the address is not confirmed yet."),
    }

    def clean_email(self, email: str) -> str:
        """Return the address as the core keeps it. Raises ValidationError."""
        return User._meta.get_field("email").to_python(email)

    def save_user(self, request: HttpRequest, user: Any, form: BaseForm, commit: bool = True) -> User:
        """Create the user who signs up, with an address that is not confirmed yet."""
        said = form.cleaned_data
        about = {name: said[name] for name in ("full_name", "language", "time_zone")}
        return User.objects.create_user(said["email"], said["password1"], confirmed_at=None, **about)

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        """Let the user in as allauth does; then make its rows agree with the core's, and show the demo."""
        response = super().pre_login(request, user, **kwargs)
        if response is None:
            align(user)
            demo.greet(user, translation.get_language() or settings.LANGUAGE_CODE)
        return response

    def reauthenticate(self, user: Any, password: str) -> bool:
        """Say whether it is the password of `user`, whose session or letter somebody has."""
        found = self.authenticate(context.request, email=user.email, password=password, unconfirmed=True)
        return found is not None and found.pk == user.pk

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Refuse who failed too often; and everybody, where too many failed for one address."""
        if not ratelimit.consume(request, action="login_failed_anywhere", key=credentials["email"], dry_run=True):
            raise self.validation_error("too_many_login_attempts")
        super().pre_authenticate(request, **credentials)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the failure for the address, whoever tried."""
        ratelimit.consume(request, action="login_failed_anywhere", key=credentials["email"])

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count tries by the address and who tries, so that nobody can close it for its owner."""
        return f"{super()._get_login_attempts_cache_key(request, **credentials)} {get_ip(request)}"

    def set_password(self, user: Any, password: str) -> None:
        """Set it, and forget the tries that were counted: a new password has not been guessed at yet."""
        super().set_password(user, password)
        ratelimit.clear(self.request, action="login_failed_anywhere", key=user.email)

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Take the address over, unless it has become somebody else's, or an administrator has written another."""
        user: Any = email_address.user
        outdated = email_address.primary and email_address.email != user.email
        try:
            with transaction.atomic():
                if not outdated and super().confirm_email(request, email_address):
                    confirmation.confirm(user)
                    return True
        except IntegrityError:  # User.email is unique
            outdated = True
        if outdated:
            template = "account/messages/email_confirmation_failed.txt"
            self.add_message(request, messages.ERROR, template, {"email": email_address.email})
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("profile")

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return who asks, for limits; of what did not come through the proxies, the peer."""
        try:
            return super().get_client_ip(request)
        except (ImproperlyConfigured, PermissionDenied):
            return str(request.META.get("REMOTE_ADDR", ""))

    def send_unknown_account_mail(self, email: str) -> None:
        """Tell whoever reads `email` that nobody has an account with it."""
        signup_url = build_absolute_uri(self.request, reverse("account_signup"))
        self.send_mail("account/email/unknown_account", email, {"signup_url": signup_url})

    def send_account_already_exists_mail(self, email: str) -> None:
        """Tell whoever signs up by an address that has an account; of a blocked account, that it is."""
        if not self.send_blocked_mail(email):
            super().send_account_already_exists_mail(email)

    def send_blocked_mail(self, email: str) -> bool:
        """If the account with this address is blocked, write so to it. Return whether it is."""
        user = User.objects.filter(email=email, is_active=False).first()
        if user:
            self.send_mail("account/email/account_blocked", email, {"user": user})
        return user is not None

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send the letter in its reader's language, with links at the installation's own address."""
        user = context.get("user")
        language = user.language if user else translation.get_language()
        links = {
            name: _at_site(translate_url(value, language)) for name, value in context.items() if name.endswith("_url")
        }
        named = {"email": email, **{name: value for name, value in context.items() if name.endswith("_email")}}
        with translation.override(language):
            super().send_mail(
                template_prefix,
                email,
                {
                    **context,
                    **links,
                    **{name: addresses.shown(value) for name, value in named.items()},
                    "current_site": {"domain": urlsplit(settings.SITE_URL).netloc},
                    "days": app_settings.EMAIL_CONFIRMATION_EXPIRE_DAYS,
                    "hours": settings.PASSWORD_RESET_TIMEOUT // 3600,
                },
            )


def _at_site(link: str) -> str:
    """Return the link at the installation's own address, whatever host the request named, which anybody may have
    sent.
    """
    parts = urlsplit(link)
    return urlunsplit((*urlsplit(settings.SITE_URL)[:2], *parts[2:]))
