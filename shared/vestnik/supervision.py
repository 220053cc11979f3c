"""What managers do: switch a mailing off and on, block a person and unblock them. And what superusers alone do: try a
job again that died, or discard it.

Each is one transaction: what it changes, its line in the audit log, the letter to the person it is about, and the
hints to the dispatcher. Two who do the same at once do it once; the second is told who was first.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _

from vestnik import access, clock, dead_jobs, fields, jobs, sharing
from vestnik.accounts import audit
from vestnik.accounts.audit import AuditAction, AuditEntry
from vestnik.accounts.models import User
from vestnik.dead_jobs import DeadJob
from vestnik.mailings import mailing_status, verbs
from vestnik.mailings.ledger.models import RunState
from vestnik.mailings.models import Mailing

LONGEST_REASON = 1000
HINTED = 100
"""Mailings that are launched at once when their owner is unblocked; the tick finds the others within its minute."""

SWITCH, BLOCK = "mailings.switch_mailing", "accounts.block_user"


@transaction.atomic
def switch_off(mailing: Mailing, by: User, reason: str, address: str = "") -> None:
    """Stop a mailing, even in the middle of a run, until a manager switches it on. `address` is the IP address of the
    request.

    Raises ValidationError: without a reason (`reason`; at most 1,000 characters), if `by` is no manager, and if the
    mailing is off already.
    """
    reason = _checked(reason)
    _refuse(by, SWITCH)
    mailing = _locked(mailing)
    if mailing.switched_off_at:
        raise ValidationError(_told(AuditAction.SWITCHED_OFF, mailing, _("This mailing is switched off already.")))
    verbs.switch_off(mailing, by, reason)
    entry = audit.write(AuditAction.SWITCHED_OFF, by, mailing, mailing.owner.email, address=address, reason=reason)
    _write_to(mailing.owner, by, entry)


@transaction.atomic
def switch_on(mailing: Mailing, by: User, address: str = "") -> None:
    """Let a mailing go on: what is inside its window is sent.

    Raises ValidationError if `by` is no manager, and if the mailing is on already.
    """
    _refuse(by, SWITCH)
    mailing = _locked(mailing)
    if not mailing.switched_off_at:
        raise ValidationError(_told(AuditAction.SWITCHED_ON, mailing, _("This mailing is switched on already.")))
    verbs.switch_on(mailing)
    entry = audit.write(AuditAction.SWITCHED_ON, by, mailing, mailing.owner.email, address=address)
    _write_to(mailing.owner, by, entry, lambda: mailing_status.of(mailing).sentence)


@transaction.atomic
def block(user: User, by: User, reason: str, address: str = "") -> None:
    """Block a person: every session of theirs ends for good, and nothing more of theirs is sent.

    Raises ValidationError: without a reason (`reason`; at most 1,000 characters), if `by` is no manager, for oneself,
    for a manager or superuser (whom only a superuser blocks), and if they are blocked already.
    """
    reason = _checked(reason)
    user, by = _locked_people(user, by)
    _refuse(by, BLOCK)
    if user.pk == by.pk:
        raise ValidationError(_("You cannot block yourself."))
    if not access.may_block(by, user):
        raise ValidationError(_("Managers and administrators cannot be blocked by a manager."))
    if not user.is_active:
        raise ValidationError(_told(AuditAction.BLOCKED, user, _("This user is blocked already.")))
    User.objects.filter(pk=user.pk).update(is_active=False, sessions_from=F("sessions_from") + 1)
    entry = audit.write(AuditAction.BLOCKED, by, user, user.email, address=address, reason=reason)
    _write_to(user, by, entry)


@transaction.atomic
def unblock(user: User, by: User, address: str = "") -> None:
    """Unblock a person: what is inside its window goes on, and sessions from before the block stay ended.

    Raises ValidationError if `by` is no manager, for a manager or superuser (whom only a superuser unblocks), and if
    they are not blocked.
    """
    user, by = _locked_people(user, by)
    _refuse(by, BLOCK)
    if not access.may_block(by, user):
        raise ValidationError(_("Managers and administrators cannot be unblocked by a manager."))
    if user.is_active:
        raise ValidationError(_told(AuditAction.UNBLOCKED, user, _("This user is not blocked.")))
    user.is_active = True
    user.save(update_fields=["is_active"])
    entry = audit.write(AuditAction.UNBLOCKED, by, user, user.email, address=address)
    _write_to(user, by, entry)
    sharing.receive(user)
    _go_on(user)


@transaction.atomic
def requeue(message: DeadJob, by: User, address: str = "") -> None:
    """Try a dead job again.

    Raises ValidationError if `by` is no superuser or somebody was faster, and dead_jobs.QueueAway.
    """
    _note_of_job(AuditAction.REQUEUED, message, by, address)
    dead_jobs.requeue(message)


@transaction.atomic
def discard(message: DeadJob, by: User, address: str = "") -> None:
    """Delete a dead job for good. Raises as `requeue` does."""
    _note_of_job(AuditAction.DISCARDED, message, by, address)
    dead_jobs.discard(message)


def _note_of_job(action: AuditAction, message: DeadJob, by: User, address: str) -> None:
    if not access.may_requeue(by):
        raise ValidationError(_("Only administrators may do this."))
    audit.write_of_job(action, by, str(message), address=address, reason=message.error)


def _checked(reason: str) -> str:
    """Return the reason as it is stored; raises ValidationError for `reason`."""
    reason = reason.replace("\r\n", "\n").strip()
    if not reason:
        raise ValidationError({"reason": _("Say why: the person is told, and it stays in the audit log.")})
    if len(reason) > LONGEST_REASON:
        raise ValidationError({"reason": _("At most %(limit)d characters, please.") % {"limit": LONGEST_REASON}})
    try:
        fields.validate_text(reason)
    except ValidationError as refusal:
        raise ValidationError({"reason": refusal}) from None
    return reason


def _refuse(by: User, permission: str) -> None:
    if not (access.may_supervise(by) and by.has_perm(permission)):
        raise ValidationError(_("Only managers and administrators may do this."))


def _locked(mailing: Mailing) -> Mailing:
    """Return the mailing as it is now, kept from others who would switch it."""
    mailings = Mailing.objects.select_for_update(of=("self",), no_key=True).select_related("owner")
    found = mailings.filter(pk=mailing.pk).first()
    if found is None:
        raise ValidationError(_("The mailing was deleted."))
    return found


def _locked_people(user: User, by: User) -> tuple[User, User]:
    """Return both as they are now, kept from others who would block one of them."""
    people = User.objects.select_for_update(no_key=True).filter(pk__in=[user.pk, by.pk], deleted_at=None)
    found = {person.pk: person for person in people.order_by("pk")}
    if not {user.pk, by.pk} <= found.keys():
        raise ValidationError(_("This account was deleted."))
    return found[user.pk], found[by.pk]


def _told(action: AuditAction, obj: Any, otherwise: str) -> str:
    """Return who did it first, and when, where that is known."""
    kind = obj._meta.model_name
    done = AuditEntry.objects.filter(kind=kind, object_id=obj.pk, action__in=_PAIRS[action]).order_by("-pk").first()
    if done is None or done.action != action:
        return otherwise
    said = _("%(who)s has done this already: %(when)s.")
    return said % {"who": done.actor_address, "when": _moment(done)}


_PAIRS = {
    action: pair
    for pair in ((AuditAction.SWITCHED_OFF, AuditAction.SWITCHED_ON), (AuditAction.BLOCKED, AuditAction.UNBLOCKED))
    for action in pair
}


def _moment(entry: AuditEntry) -> str:
    return str(formats.date_format(timezone.localtime(entry.at), "DATETIME_FORMAT"))


def _write_to(person: User, by: User, entry: AuditEntry, follows: Callable[[], str] = str) -> None:
    """Tell the person, in their language and by their clock, what was done, when, by whom and why, and what follows."""
    with translation.override(person.language), timezone.override(zoneinfo.ZoneInfo(person.time_zone)):
        subject, what, so = _letter(AuditAction(entry.action), entry.label)
        so = so or follows()
        lines = [what, "", _("When: %(when)s") % {"when": _moment(entry)}]
        lines.append(_("By: %(who)s") % {"who": by.full_name or _("a manager")})
        if entry.reason:
            lines.append(_("Why: %(reason)s") % {"reason": entry.reason})
        send_mail(subject, "\n".join([*lines, "", so, ""]), None, [person.email])


def _letter(action: AuditAction, name: str) -> tuple[str, str, str]:
    """Return a letter's subject, what happened, and what follows."""
    if action == AuditAction.SWITCHED_OFF:
        return (
            _("Your mailing “%(name)s” was switched off") % {"name": name},
            _("Your mailing “%(name)s” was switched off.") % {"name": name},
            _("Nothing more of it is sent until a manager switches it on. What is queued stays queued."),
        )
    if action == AuditAction.SWITCHED_ON:
        return (
            _("Your mailing “%(name)s” was switched on") % {"name": name},
            _("Your mailing “%(name)s” was switched on again.") % {"name": name},
            "",  # as things are: something else may stop it
        )
    if action == AuditAction.BLOCKED:
        return (
            _("Your account was blocked"),
            _("Your account was blocked."),
            _("You are signed out everywhere, and nothing of yours is sent until you are unblocked."),
        )
    return (
        _("Your account was unblocked"),
        _("Your account was unblocked."),
        _("You can sign in again. Mailings of yours that nothing else stops go on, if their time is not over."),
    )


def _go_on(owner: User) -> None:
    """Hint at what an unblocked owner's mailings have to do; what they have missed, they have missed by being held."""
    now = clock.now()
    theirs = Mailing.objects.filter(owner=owner)
    theirs.filter(next_at__lte=now).update(released_at=Now())
    for mailing in theirs.due(now + jobs.horizon())[:HINTED]:
        verbs.hint(mailing, now)
    asked = theirs.filter(runs__state=RunState.OPEN, runs__filled_at=None)
    for mailing_id in asked.values_list("pk", flat=True)[:HINTED]:
        jobs.launch(mailing_id)
    jobs.wake(owner.pk)
