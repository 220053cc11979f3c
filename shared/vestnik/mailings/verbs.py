"""What people do with messages and mailings. Callers check who asks; verbs keep the rules and hint to the dispatcher.

Bad input and refusals are ValidationErrors, keyed by field where there is one; nothing is changed then. Parameters that
several have: `by` is the person who asks, where it is not the owner; a ValidationError refuses them if they may not
change it any more. `from_address` is the IP address of the request. `seen` is the `updated_at` that a form showed; a
ValidationError refuses what was saved since then.
"""

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, QuerySet, RestrictedError
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from vestnik import access, clock, homepage_hint, jobs, locks, versions
from vestnik.accounts import audit, idempotency
from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList
from vestnik.mailings import calendar, message_copies
from vestnik.mailings.ledger import retries, runs
from vestnik.mailings.ledger.causes import Cause
from vestnik.mailings.ledger.models import DeliveryState, MailingKind, Run, RunState
from vestnik.mailings.models import Mailing, Message

SCHEDULE = ("start", "start_moved", "end", "periodicity", "time_zone")
TRIED_AGAIN = {DeliveryState.FAILED, DeliveryState.UNKNOWN}
NOT_EDITED = (
    "next_at",
    "paused_at",
    "switched_off_at",
    "switched_off_by_id",
    "switched_off_reason",
    "released_at",
)


def create_message(owner: User, subject: str, html: str = "", text: str = "", language: str = "") -> Message:
    """Create a message of the owner's, in their language where none is given."""
    language = language or owner.language
    return save_message(Message(owner=owner, subject=subject, html=html, text=text, language=language))


@transaction.atomic
def save_message(message: Message, seen: datetime | None = None, by: User | None = None) -> Message:
    """Save a new or changed message. Open runs keep the text they were launched with."""
    before = versions.locked(message, seen)
    _refuse_who_may_not(by, before)
    new = before is None
    message.full_clean()
    message.save()
    if new:
        access.grant_to_owner(message)
    return message


def delete_message(message: Message, by: User | None = None, from_address: str = "") -> None:
    """Delete a message that no mailing of its owner's uses; mailings of others with whom it was shared get copies."""
    try:
        with transaction.atomic():
            others = Mailing.objects.filter(message=message).exclude(owner=message.owner_id)
            message_copies.hand_over(others, by, from_address)
            message.delete()
    except RestrictedError:
        raise ValidationError(_("A mailing uses this message; choose another for it, or delete it, first.")) from None


def create_mailing(
    owner: User, *, lists: Iterable[ClientList] = (), clients: Iterable[Client] = (), **settings: Any
) -> Mailing:
    """Create a mailing of the owner's, and launch it if its time has come. `settings` are Mailing's own fields."""
    return save_mailing(Mailing(owner=owner, **settings), lists=lists, clients=clients)


@transaction.atomic
def save_mailing(
    mailing: Mailing,
    *,
    lists: Iterable[ClientList] | None = None,
    clients: Iterable[Client] | None = None,
    by: User | None = None,
    seen: datetime | None = None,
    from_address: str = "",
) -> Mailing:
    """Save a new or changed mailing, with its audience where one is given, and plan what comes next.

    A changed message or audience counts from the next run; a changed end or periodicity also moves the window of the
    open run; a changed start or zone counts for the occurrences after the last planned one. Whoever it was shared with
    leaves the audience alone, and chooses a message that both may see, of which the owner gets a copy.
    """
    now = clock.now()
    # Locked before the mailing, as `sharing.unshare` does: the message's share either stays, or is seen to be gone.
    Message.objects.select_for_update(no_key=True).filter(pk=mailing.message_id).first()
    before = versions.locked(mailing, seen)
    _refuse_who_may_not(by, before)
    replan = before is None or any(getattr(before, name) != getattr(mailing, name) for name in SCHEDULE)
    if before is not None:
        for name in NOT_EDITED:
            setattr(mailing, name, getattr(before, name))
    mailing.full_clean()
    if replan and mailing.end <= now:
        raise ValidationError({"end": _("The end is in the past: nothing would be sent.")})
    if before is None or before.message_id != mailing.message_id:
        _check_message(mailing, by or mailing.owner)
        mailing.message = message_copies.chosen_by(by or mailing.owner, mailing, from_address)
    was = before.kind if before else MailingKind.MAILING
    if mailing.kind == MailingKind.SERVICE and not _may_send_service_letters(mailing, by):
        raise ValidationError({"kind": _("Ask an administrator for the right to send service letters.")})
    chooses = lists is not None or clients is not None
    if by and chooses and not access.may_choose_audience(by, mailing):
        raise ValidationError(_("Only its owner says who gets this mailing."))
    _check_audience(mailing.owner, lists, clients)
    _check_sender(mailing, before, by)
    if replan:
        planned = None
        if before is not None:
            runs.record_passed(before, now)
            planned = before.runs.aggregate(last=Max("occurrence"))["last"]
        mailing.next_at = calendar.replanned(mailing.schedule, now, planned, mailing.next_at)
    mailing.save()
    if lists is not None:
        mailing.lists.set(lists)
    if clients is not None:
        mailing.clients.set(clients)
    if mailing.kind != was:
        changed = audit.AuditAction.SERVICE if mailing.kind == MailingKind.SERVICE else audit.AuditAction.NOT_SERVICE
        audit.write(changed, by or mailing.owner, mailing, mailing.owner.email, address=from_address)
    if before is None:
        access.grant_to_owner(mailing)
    elif replan:
        for run in mailing.runs.filter(state=RunState.OPEN):
            runs.move_window(run, mailing)
        runs.end_pause_if_over(mailing.pk)
    hint(mailing, now)
    homepage_hint.changed()
    return mailing


def delete_mailing(mailing: Mailing) -> None:
    """Delete a mailing; its runs stay in the ledger. Refused while a run is open, or being opened."""
    with transaction.atomic():
        locks.wait(locks.LAUNCH, mailing.pk)
        if not Mailing.objects.select_for_update(no_key=True).filter(pk=mailing.pk).exists():
            return  # somebody was faster
        if mailing.runs.filter(state=RunState.OPEN).exists():
            raise ValidationError(_("A run of this mailing is not over; cancel it first."))
        mailing.delete()
        homepage_hint.changed()


@transaction.atomic
def pause(mailing: Mailing, by: User | None = None) -> None:
    """Keep queued letters queued, and launch nothing. A second call changes nothing."""
    _locked_from_changes(mailing.pk, by)
    Mailing.objects.filter(pk=mailing.pk, paused_at=None).update(paused_at=Now())
    homepage_hint.changed()


@transaction.atomic
def resume(mailing: Mailing, by: User | None = None) -> None:
    """Go on where the pause began, inside the windows."""
    _locked_from_changes(mailing.pk, by)
    Mailing.objects.filter(pk=mailing.pk, paused_at__isnull=False).update(paused_at=None, released_at=Now())
    _go_on(mailing)


def switch_off(mailing: Mailing, by: User, reason: str) -> None:
    """Stop a mailing for a manager: only a manager switches it on."""
    Mailing.objects.filter(pk=mailing.pk, switched_off_at=None).update(
        switched_off_at=Now(), switched_off_by=by, switched_off_reason=reason
    )
    homepage_hint.changed()


def switch_on(mailing: Mailing) -> None:
    """Let a mailing go on that a manager had switched off."""
    Mailing.objects.filter(pk=mailing.pk, switched_off_at__isnull=False).update(
        switched_off_at=None, switched_off_by=None, switched_off_reason="", released_at=Now()
    )
    _go_on(mailing)


@transaction.atomic
def cancel(mailing: Mailing, by: User | None = None) -> None:
    """End the open run: queued letters are cancelled, those in hand are settled. Refused where no run is open."""
    _locked_from_changes(mailing.pk, by)
    run = Run.objects.select_for_update(no_key=True).filter(mailing=mailing, state=RunState.OPEN).first()
    if run is None:
        raise ValidationError(_("This mailing has no run to cancel."))
    if Run.objects.filter(pk=run.pk, cancelled_at=None).update(cancelled_at=Now()):
        runs.end_pause_if_over(mailing.pk)
        jobs.close(run.pk)
        homepage_hint.changed()


def send_now(mailing: Mailing, request_id: uuid.UUID | None = None, by: User | None = None) -> Run:
    """Open a run outside the calendar, until the next occurrence or the end. One request id makes one run."""
    with transaction.atomic():
        mailing = _lock(mailing.pk, by)
        if request_id and (asked := mailing.runs.filter(request_id=request_id).first()):
            return asked
        now = clock.now()
        if by and mailing.kind == MailingKind.SERVICE and not _may_send_service_letters(mailing, by):
            raise ValidationError(_("Ask an administrator for the right to send service letters."))
        _refuse_if_held_or_over(mailing, now)
        _refuse_beside(mailing.runs.all())
        _refuse_before_launch(mailing, now)
        window_end = calendar.window_end(mailing.schedule, now)
        run = runs.open_run(mailing, window_end, request_id=request_id or uuid.uuid4())
        jobs.launch(mailing.pk)
        homepage_hint.changed()
        return run


def try_again(
    run: Run,
    states: Collection[str] = (DeliveryState.FAILED,),
    delivery_ids: Collection[int] | None = None,
    request_id: uuid.UUID | None = None,
    cause: Cause | None = None,
    by: User | None = None,
) -> Run:
    """Try dead letters of the run again, and return the run that they are in then.

    These are the letters in these states (`failed`, `unknown`); of them those with `delivery_ids`, or those that died
    of one `cause`. Inside the run's window they are queued again with fresh attempts, and the run is open again; after
    it a new run is made of just their clients, with the message as it is now.

    Letters to deleted clients stay as they are; so do dismissed ones that were not chosen, and those that another run
    of the same letters has sent, or a later one may have. The others go to their clients' present addresses. One
    request id does it once; the second time answers with the same run. If a late receipt is being written at this
    moment, it decides.
    """
    if not TRIED_AGAIN.issuperset(states):
        raise ValidationError(_("Only failed and unknown letters can be tried again."))
    if run.mailing_id is None:
        raise ValidationError(_("The mailing was deleted."))
    with transaction.atomic():
        mailing = _lock(run.mailing_id, by)
        if request_id is None:
            return _try_again(mailing, run.pk, states, delivery_ids, cause)
        done = idempotency.run_once(
            mailing.owner, request_id, lambda: str(_try_again(mailing, run.pk, states, delivery_ids, cause).pk)
        )
        return Run.objects.get(pk=done.address)


def cancel_letters_to(owner_id: int, client_ids: Iterable[int]) -> None:
    """Cancel what is queued to these clients of the owner's, who are about to be deleted. Call it in a transaction."""
    for run_id in retries.cancel_to(owner_id, client_ids):
        jobs.close(run_id)


def hint(mailing: Mailing, now: datetime) -> None:
    """Tell the dispatcher of an occurrence that is due, or soon will be; the tick finds the rest."""
    if mailing.next_at is None:
        return
    wait = mailing.next_at - now
    if wait < jobs.horizon():
        jobs.launch(mailing.pk, wait if wait.total_seconds() > 0 else None)


def _try_again(
    mailing: Mailing, run_id: int, states: Collection[str], ids: Collection[int] | None, cause: Cause | None
) -> Run:
    run = Run.objects.select_for_update(no_key=True).get(pk=run_id)
    now = clock.now()
    _refuse_if_held_or_over(mailing, now)
    if run.cancelled_at:
        raise ValidationError(_("This run was cancelled; its letters are not tried again."))
    _refuse_beside(mailing.runs.exclude(pk=run.pk) if now < run.window_end else mailing.runs.all())
    _refuse_before_launch(mailing, now)
    window_end = calendar.window_end(mailing.schedule, now)
    if now < run.window_end:
        count = retries.queue_again(run, states, ids, cause)
        run.state, run.finished_at = RunState.OPEN, None
        run.window_end = min(run.window_end, window_end)  # edits moved that of open runs only
        run.refusals_seen_at = None
        run.refused_asked = run.refused_asked if run.refused_asked == runs.LIMIT_LIFTED else 0
        run.save(update_fields=["state", "finished_at", "window_end", "refusals_seen_at", "refused_asked"])
    else:
        again = runs.open_run(mailing, window_end)
        count = retries.write_again(again, run, states, ids, cause)
        run = again
    if not count:
        raise ValidationError(_("There are no letters to try again."))
    jobs.wake(run.owner_id)
    runs.hint_end(run)
    homepage_hint.changed()
    run.refresh_from_db()
    return run


def _may_send_service_letters(mailing: Mailing, by: User | None) -> bool:
    """Say whether the owner may, and whoever acts for them."""
    return all(map(access.may_write_service_letters, {mailing.owner, by or mailing.owner}))


def _lock(mailing_id: int, by: User | None) -> Mailing:
    """Return the mailing, locked against launches, edits and deletion until the transaction ends.

    The launch's lock comes first: a launch opens a run, and then asks for the mailing's row.
    """
    locks.wait(locks.LAUNCH, mailing_id)
    return _locked_from_changes(mailing_id, by)


def _locked_from_changes(mailing_id: int, by: User | None) -> Mailing:
    """Return the mailing, locked against edits, sharing and deletion until the transaction ends.

    It does not wait for a launch. The mailing's row is locked before those of its runs, here as everywhere.
    """
    mailings = Mailing.objects.select_related("owner", "message").select_for_update(of=("self",), no_key=True)
    mailing = mailings.filter(pk=mailing_id).first()
    if mailing is None:
        raise ValidationError(_("The mailing was deleted."))
    _refuse_who_may_not(by, mailing)
    return mailing


def _refuse_if_held_or_over(mailing: Mailing, now: datetime) -> None:
    if mailing.hold:
        why = pgettext("reason", mailing.hold)
        raise ValidationError(_("Nothing of this mailing may be sent now: %(why)s.") % {"why": why})
    if mailing.end <= now:
        raise ValidationError(_("The mailing is over; move its end first."))


def _refuse_beside(others: QuerySet[Run]) -> None:
    if others.filter(state=RunState.OPEN).exists():
        raise ValidationError(_("A run of this mailing is not over yet."))


def _refuse_before_launch(mailing: Mailing, now: datetime) -> None:
    """Refuse while an occurrence is due: another run would keep it from starting, maybe until its window closes."""
    if mailing.next_at is not None and mailing.next_at <= now:
        raise ValidationError(_("The next run is just about to start; wait until it has."))


def _go_on(mailing: Mailing) -> None:
    mailing.refresh_from_db()
    hint(mailing, clock.now())
    jobs.wake(mailing.owner_id)
    homepage_hint.changed()


def _refuse_who_may_not(by: User | None, locked: Message | Mailing | None) -> None:
    """Refuse whoever may not change it any more: a share may be taken back, under the same lock, since the check."""
    if by is not None and locked is not None and not access.may(User.objects.get(pk=by.pk), "change", locked):
        raise ValidationError(_("You may not change this any longer."))


def _check_message(mailing: Mailing, by: User) -> None:
    if not all(access.may(person, "view", mailing.message) for person in (mailing.owner, by)):
        raise ValidationError({"message": _("Only a message of one's own, or a shared one, can be chosen.")})


def _check_sender(mailing: Mailing, before: Mailing | None, by: User | None) -> None:
    """Refuse a sender of somebody else's; and whoever else but the owner says in whose name letters come."""
    if mailing.sender is not None and mailing.sender.owner_id != mailing.owner_id:
        raise ValidationError({"sender": _("Only the mailing owner's own senders can be chosen.")})
    changed = mailing.sender_id != (before.sender_id if before else None)
    if by and changed and not access.may_choose_audience(by, mailing):
        raise ValidationError({"sender": _("Only its owner says in whose name this mailing comes.")})


def _check_audience(owner: User, lists: Iterable[ClientList] | None, clients: Iterable[Client] | None) -> None:
    """Refuse clients and lists that are not the owner's: sharing never opens somebody's clients."""
    for field, chosen in (("lists", lists), ("clients", clients)):
        if any(each.owner_id != owner.pk for each in chosen or ()):
            raise ValidationError({field: _("Only the mailing owner's own clients and lists can be chosen.")})
