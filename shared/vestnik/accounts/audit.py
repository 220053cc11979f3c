"""The audit log: who did what to whom, when, from where and why. Entries are added, and never changed.

Plain values, no references: an entry says the same when its actor or its object are long gone. A trigger refuses
changes (see the migration).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

if TYPE_CHECKING:
    from vestnik.accounts.models import User


class AuditAction(models.TextChoices):
    """What was done."""

    SWITCHED_OFF = "switched off", pgettext_lazy("action", "switched off")
    SWITCHED_ON = "switched on", pgettext_lazy("action", "switched on")
    BLOCKED = "blocked", pgettext_lazy("action", "blocked")
    UNBLOCKED = "unblocked", pgettext_lazy("action", "unblocked")
    SHARED = "shared", pgettext_lazy("action", "shared")
    UNSHARED = "unshared", pgettext_lazy("action", "no longer shared")
    COPIED = "copied", pgettext_lazy("action", "copied for a mailing")
    SERVICE = "service letters", pgettext_lazy("action", "made service letters")
    NOT_SERVICE = "mailing again", pgettext_lazy("action", "made a mailing again")
    ALLOWED = "allowed", pgettext_lazy("action", "allowed")
    DISALLOWED = "disallowed", pgettext_lazy("action", "no longer allowed")
    SENDER = "sender added", pgettext_lazy("action", "added as a sender")
    REQUEUED = "requeued", pgettext_lazy("action", "tried again")
    DISCARDED = "discarded", pgettext_lazy("action", "discarded")


class AuditKind(models.TextChoices):
    """What it was done to."""

    USER = "user", _("user")
    MAILING = "mailing", _("mailing")
    MESSAGE = "message", _("message")
    CLIENT_LIST = "clientlist", _("client list")
    DOMAIN = "domain", _("domain")
    SENDER = "sender", _("sender")
    JOB = "job", _("job")


class AuditEntry(models.Model):
    """One action."""

    Action = AuditAction
    Kind = AuditKind

    at = models.DateTimeField(_("when"), db_default=Now())
    actor_id = models.BigIntegerField()
    actor_address = models.CharField(_("who"), max_length=254)
    action = models.CharField(_("action"), max_length=16, choices=Action.choices)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    object_id = models.BigIntegerField()
    label = models.CharField(_("what"), max_length=250)  # the mailing's name, the person's name
    person_address = models.CharField(_("whom"), max_length=254)  # the owner's, the blocked person's, the receiver's
    from_address = models.CharField(_("from where"), max_length=64, blank=True)  # an IP address
    reason = models.TextField(_("why"), blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        indexes = [
            # Blocking and switching off: who was there first.
            models.Index(fields=["kind", "object_id", "-id"], name="audit_of_object"),
            # Sharing: how much of it one has done lately.
            models.Index(fields=["actor_id", "-id"], name="audit_by_actor"),
            # The panel: the latest of one action.
            models.Index(fields=["action", "-id"], name="audit_by_action"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_address}: {self.action} {self.label}"


def write(action: AuditAction, by: User, obj: Any, person: str, *, address: str = "", reason: str = "") -> AuditEntry:
    """Record that `by` did `action` to `obj`, which belongs to the person with the address `person`.

    Written in the caller's transaction. `address` is the IP address of the request.
    """
    return _add(
        action,
        by,
        kind=AuditKind(obj._meta.model_name),
        object_id=obj.pk,
        label=str(getattr(obj, "full_name", "") or obj)[:250],
        person_address=person,
        from_address=address[:64],
        reason=reason,
    )


def write_of_job(action: AuditAction, by: User, job: str, *, address: str = "", reason: str = "") -> AuditEntry:
    """Record that `by` did `action` to a job of the queue, which belongs to nobody and has no number."""
    return _add(
        action,
        by,
        kind=AuditKind.JOB,
        object_id=0,
        label=job[:250],
        person_address="",
        from_address=address[:64],
        reason=reason,
    )


def _add(action: AuditAction, by: User, **about: Any) -> AuditEntry:
    return AuditEntry.objects.create(actor_id=by.pk, actor_address=by.email, action=action, **about)
