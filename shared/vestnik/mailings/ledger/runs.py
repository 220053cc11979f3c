"""Making runs: opening one with the message frozen in it, recording one that did not take place; and who may see
them.
"""

import logging
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Now

from vestnik import access, clock, jobs, locks
from vestnik.accounts.models import User
from vestnik.mailings import calendar, foot
from vestnik.mailings.ledger.models import Run, RunState, Tally
from vestnik.mailings.models import Mailing

logger = logging.getLogger(__name__)

LIMIT_LIFTED, LIMIT_KEPT = -1, -2
"""Of `Run.refused_asked`: its owner believes dead addresses, however many they are; or does not, and was asked."""
ALWAYS_BELIEVED = 20
PART_BELIEVED = 10
"""One in so many letters of a run."""
COUNTED = ("sent", "failed", "expired", "cancelled", "unknown", "attempts")
CAME_BACK = ("bounced", "complained")
"""What is counted of letters beside how they ended."""


def open_run(
    mailing: Mailing, window_end: datetime, *, occurrence: datetime | None = None, request_id: uuid.UUID | None = None
) -> Run:
    """Open a run of the mailing, with its message as it is now; its letters are yet to be written (`filled_at`).

    Raises IntegrityError beside another open run of the mailing, and for an occurrence or request that has its run.
    """
    kind = foot.kind_of(mailing)
    written = mailing.comes_from
    html, text = foot.texts_of(mailing, kind, written.name)
    return Run.objects.create(
        mailing=mailing,
        kind=kind,
        refusals_seen_at=None,
        owner_id=mailing.owner_id,
        occurrence=occurrence,
        request_id=request_id,
        state=RunState.OPEN,
        window_end=window_end,
        key=secrets.token_hex(8),
        sender=written.address,
        sender_name=written.name,
        reply_to=written.reply_to,
        subject=mailing.message.subject,
        html=html,
        text=text,
    )


def record_passed(mailing: Mailing, now: datetime) -> None:
    """Record the planned occurrences whose window has closed without a launch.

    They are `skipped` if the mailing was held then, `missed` if the service was not running. Idempotent.
    """
    if mailing.next_at is None:
        return
    for occurrence in calendar.between(mailing.schedule, mailing.next_at, now):
        window_end = calendar.window_end(mailing.schedule, occurrence)
        if window_end > now:
            return
        released_late = mailing.released_at is not None and mailing.released_at >= window_end
        held = mailing.hold or ("paused, switched off or blocked" if released_late else "")
        _run, new = Run.objects.get_or_create(
            mailing=mailing,
            occurrence=occurrence,
            defaults={
                "owner_id": mailing.owner_id,
                "state": RunState.SKIPPED if held else RunState.MISSED,
                "reason": held or "the service was not running",
                "window_end": window_end,
                "filled_at": now,
                "finished_at": now,
            },
        )
        if new and not held:
            logger.error("mailing %d: the occurrence of %s was missed", mailing.pk, occurrence.isoformat())


def visible_to(user: User | AnonymousUser) -> QuerySet[Run]:
    """Return the runs that `user` may see: those of mailings they may see, and their own, also of deleted mailings."""
    if user.is_active and user.has_perm(access.permission("view", Run)):
        return Run.objects.all()
    return own_or_shared(user)


def own_or_shared(user: User | AnonymousUser) -> QuerySet[Run]:
    """Return the runs of the user's own mailings, also deleted ones, and of mailings that were shared with them."""
    mailings = Mailing.objects.own_or_shared(user)
    own = Q(owner_id=user.pk) if user.is_active else Q()
    return Run.objects.filter(Q(mailing__in=mailings) | own)


def is_being_launched(mailing_id: int) -> bool:
    """Say whether somebody is launching the mailing: a run cannot be seen before all its letters are written."""
    return locks.is_taken(locks.LAUNCH, mailing_id)


def lock_mailing(run_id: int) -> None:
    """Lock the run's mailing against edits until the transaction ends: before the run itself, as everybody does."""
    its = Run.objects.filter(pk=run_id).values("mailing")
    Mailing.objects.select_for_update(no_key=True).filter(pk__in=its).only("pk").first()


def end_pause_if_over(mailing_id: int) -> None:
    """End a pause that holds nothing up: no run is open (but a cancelled one) and none is planned.

    It would stay on pages for good, and keep a run from being sent by hand.
    """
    going = Run.objects.filter(mailing=OuterRef("pk"), state=RunState.OPEN, cancelled_at=None)
    paused = Mailing.objects.filter(pk=mailing_id, paused_at__isnull=False, next_at=None)
    paused.filter(~Exists(going)).update(paused_at=None, released_at=Now())


def hint_end(run: Run) -> None:
    """Have the run closed when its window does, if that is soon; the tick hints at the others."""
    wait = run.window_end - clock.now()
    if timedelta() < wait < jobs.horizon():
        jobs.close(run.pk, wait)


def move_window(run: Run, mailing: Mailing) -> None:
    """Give an open run the window that its mailing's new plan leaves it: until the next occurrence, or the end."""
    run.window_end = mailing.next_at or mailing.end
    run.save(update_fields=["window_end"])
    jobs.close(run.pk)
    hint_end(run)


def believed_at_most(run: Run) -> int | None:
    """Return how many addresses the run may show to be dead before its owner is asked; None: however many."""
    return None if run.refused_asked == LIMIT_LIFTED else max(ALWAYS_BELIEVED, run.total // PART_BELIEVED)


def believe_refusals(run: Run, believe: bool) -> None:
    """Answer for the owner whether the run's dead addresses, which are in question, are suppressed.

    Nothing changes where nothing is in question.
    """
    asked = Run.objects.filter(pk=run.pk, refused_asked__gt=0)
    if not believe:
        asked.update(refused_asked=LIMIT_KEPT)
    elif asked.update(refused_asked=LIMIT_LIFTED, refusals_seen_at=None):
        jobs.note_refused(run.pk)


def totals(*run_ids: int) -> dict[str, int]:
    """Count by the tallies how many letters of these runs ended how: `total`, `sent`, `failed` …, `attempts`,
    `left`.
    """
    counted: dict[str, Any] = Tally.objects.filter(run__in=run_ids).aggregate(**{name: Sum(name) for name in COUNTED})
    counts = {name: counted[name] or 0 for name in COUNTED}
    counts["total"] = Run.objects.filter(pk__in=run_ids).aggregate(total=Sum("total"))["total"] or 0
    counts["left"] = counts["total"] - sum(counts[name] for name in COUNTED if name != "attempts")
    return counts
