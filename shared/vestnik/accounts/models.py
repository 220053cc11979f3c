"""The people who sign in: by e-mail address, with one name and one mailbox each."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from guardian.mixins import GuardianUserMixin

from vestnik import addresses, fields
from vestnik.accounts.audit import AuditEntry
from vestnik.accounts.groups import CONTENT_MANAGERS, MANAGERS
from vestnik.accounts.idempotency import Submission
from vestnik.accounts.letters import AccountLetter
from vestnik.accounts.shares import Share

__all__ = ["AccountLetter", "AuditEntry", "Share", "Submission", "User", "UserManager"]


class UserManager(BaseUserManager["User"]):
    """Makes users. Those made here, and not by signing up, count as confirmed."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Create a confirmed user; raises ValidationError for a bad or taken address."""
        user = self.model(email=email, **{"confirmed_at": timezone.now(), **extra})
        user.set_password(password)
        user.full_clean()
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Create a user who may do everything; raises ValidationError for a bad or taken address."""
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **extra})

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=username)


class User(GuardianUserMixin, AbstractBaseUser, PermissionsMixin):
    """A person with an account, who owns clients, messages and mailings."""

    email = fields.AddressField(
        _("e-mail"),
        ascii_only=True,
        unique=True,
        error_messages={"unique": _("A user with this address exists already.")},
    )
    full_name = fields.one_line(
        pgettext_lazy("person", "name"),
        200,
        blank=True,
        help_text=_("The sender's name of letters, where a mailing names no other."),
    )
    postal_address = models.CharField(
        _("postal address"),
        max_length=300,
        blank=True,
        db_default="",
        validators=[fields.validate_one_line],
        help_text=_("Shown at the foot of your letters; many countries require it."),
    )
    time_zone = fields.time_zone_field(_("time zone"), default="UTC")
    language = models.CharField(
        _("language"), max_length=8, choices=[("en", "English"), ("ru", "Русский")], default="en"
    )
    confirmed_at = models.DateTimeField(
        _("mailbox confirmed at"), null=True, blank=True, help_text=_("Until then nothing of this user's is sent.")
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Off: blocked. Cannot sign in, and nothing of theirs is sent.")
    )
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("May open the admin site."))
    date_joined = models.DateTimeField(_("registered at"), default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(_("last seen at"), null=True, editable=False)  # to some five minutes
    sessions_from = models.PositiveIntegerField(default=0, editable=False)  # one more ends every session there is
    deleted_at = models.DateTimeField(_("deleted at"), null=True, editable=False)  # what it owns is being erased

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        permissions = [("block_user", _("Can block and unblock a user"))]
        indexes = [
            # The tick: what is yet to be erased.
            models.Index(fields=["deleted_at"], name="user_deleted", condition=models.Q(deleted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return addresses.shown(self.email)

    @property
    def is_confirmed(self) -> bool:
        """Whether the user has confirmed their address."""
        return self.confirmed_at is not None

    @property
    def is_manager(self) -> bool:
        """Whether the account is for supervision, and so changes nothing of its own."""
        return MANAGERS in self._group_names

    @property
    def is_content_manager(self) -> bool:
        """Whether the account writes the blog."""
        return CONTENT_MANAGERS in self._group_names

    @cached_property
    def _group_names(self) -> frozenset[str]:
        return frozenset(self.groups.values_list("name", flat=True))

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        """Return what a session must hold to be this user's: Django ends sessions that hold an older one."""
        known = f"{self.sessions_from}:{self.password}"
        return salted_hmac("vestnik.accounts.sessions", known, secret=secret, algorithm="sha256").hexdigest()

    def get_full_name(self) -> str:
        return self.full_name or self.email

    def get_short_name(self) -> str:
        return self.get_full_name()
