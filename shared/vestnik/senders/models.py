"""In whose name letters come: senders, the domains of their addresses, and the keys that sign for these."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from vestnik import access, addresses, fields
from vestnik.mail.dkim_keys import Algorithm, record_name
from vestnik.senders.dmarc import organisational

DOMAIN_LENGTH = 253
"""Octets of a domain's name (RFC 1035, 2.3.4)."""


class Domain(models.Model):
    """A domain that letters may come from: of one owner, who proves it by a record; without an owner, the
    installation's.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="sending_domains",
        verbose_name=_("owner"),
    )
    name = models.CharField(_("domain"), max_length=DOMAIN_LENGTH, db_collation="C")
    token = models.CharField(max_length=64, editable=False)
    proven_at = models.DateTimeField(_("proven at"), null=True, editable=False)
    proof_seen_at = models.DateTimeField(null=True, editable=False)  # when the record was last there
    # Since when it is certainly not there any more.
    unproven_since = models.DateTimeField(null=True, editable=False)
    # Since when the mail service takes no letters from it, and what it says: nothing comes from it until that is over.
    refused_at = models.DateTimeField(_("refused at"), null=True, editable=False)
    refusal = models.CharField(max_length=1000, blank=True, db_default="", editable=False)
    # Proven by the word of an administrator: its owner's, or if it is the installation's, everybody's.
    allowed_at = models.DateTimeField(_("allowed at"), null=True, editable=False)
    return_path_at = models.DateTimeField(null=True, editable=False)  # since when bounces may come by way of it
    checked_at = models.DateTimeField(_("checked at"), null=True, editable=False)
    asked_at = models.DateTimeField(null=True, editable=False)  # when somebody wanted it to be checked
    due_at = models.DateTimeField(db_default=Now(), editable=False)  # when it is checked next
    findings = models.JSONField(default=list, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    objects = access.VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")
        constraints = [
            # Also what launches and slices look up: a domain, whosever it is.
            models.UniqueConstraint(fields=["name", "owner"], name="domain_once", nulls_distinct=False)
        ]
        indexes = [models.Index(fields=["due_at"], name="domain_due")]

    def __str__(self) -> str:
        return addresses.shown_domain(self.name)

    @property
    def is_checked(self) -> bool:
        """Whether nobody waits for what the DNS says of it."""
        return self.asked_at is None or (self.checked_at is not None and self.checked_at >= self.asked_at)


class Sender(models.Model):
    """An address that an owner's letters come from, once it is confirmed and its domain is open."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="senders", verbose_name=_("owner"))
    address = fields.AddressField(_("e-mail"), ascii_only=True)
    name = fields.one_line(_("sender's name"), 200, blank=True, help_text=_("Your own name where this is left empty."))
    reply_to = fields.AddressField(
        _("answers go to"), ascii_only=True, blank=True, help_text=_("The same address where this is left empty.")
    )
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = access.VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("sender")
        verbose_name_plural = _("senders")
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "address"],
                name="sender_once",
                violation_error_message=_("You have a sender with this address already."),
            )
        ]

    def __str__(self) -> str:
        shown = addresses.shown(self.address)
        return f"{self.name} <{shown}>" if self.name else shown

    @property
    def domain(self) -> str:
        """The domain of its address, in ASCII."""
        return addresses.domain(self.address)


class DkimKey(models.Model):
    """A key that signs a domain's letters (RFC 6376): from when the DNS has it until another takes its place."""

    domain = models.ForeignKey(Domain, models.CASCADE, related_name="keys")
    version = models.PositiveSmallIntegerField()
    algorithm = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Algorithm])
    selector = models.CharField(max_length=63)
    record = models.TextField()  # what the DNS is to say
    private = models.BinaryField()  # PKCS #8, encrypted (vestnik.encryption)
    created_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(null=True)  # when the DNS first said it
    lost_at = models.DateTimeField(null=True)  # since when it certainly does not any more
    retired_at = models.DateTimeField(null=True)  # since when another signs instead

    class Meta:
        verbose_name = _("key")
        verbose_name_plural = _("keys")
        constraints = [models.UniqueConstraint(fields=["domain", "selector"], name="dkim_key_selector")]

    def __str__(self) -> str:
        return self.selector

    @property
    def host(self) -> str:
        """The name at which the DNS has its record (RFC 6376, 3.6.2.1)."""
        return record_name(self.domain.name, self.selector)


SIGNING = Q(seen_at__isnull=False, lost_at=None, retired_at=None)
"""Of keys those that sign now."""


def covering(name: str) -> list[str]:
    """Return the domain itself and those above it, up to the one that somebody registered: who has it has all below."""
    labels = name.split(".")
    most = len(organisational(name).split("."))
    return [".".join(labels[at:]) for at in range(max(len(labels) - most, 0) + 1)]


def speaking_for(owner_id: int | None, name: str) -> models.QuerySet[Domain]:
    """Return the domains that may sign for this one: the owner's own, and the installation's."""
    whose = Q(owner=None) if owner_id is None else Q(owner=owner_id) | Q(owner=None)
    return Domain.objects.filter(whose, name__in=covering(name))


def open_to(owner_id: int) -> models.QuerySet[Domain]:
    """Return the domains that the owner's letters may come from: what they have proven, or an administrator allows, be
    it to them or to everybody; and the mail service takes. A proof does where SENDER_DOMAINS says so.
    """
    proven = Q(owner=owner_id, proven_at__isnull=False) if settings.SENDER_DOMAINS == "proven" else Q(pk__in=[])
    allowed = Q(owner=owner_id, allowed_at__isnull=False) | Q(owner=None, allowed_at__isnull=False)
    return Domain.objects.filter(proven | allowed, refused_at=None)


def is_open(owner_id: int, name: str) -> bool:
    """Say whether the owner's letters may come from this domain."""
    return open_to(owner_id).filter(name__in=covering(name)).exists()
