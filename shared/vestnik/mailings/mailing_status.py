"""Where a mailing stands: the one place that says what is so now, what follows by itself, and what may be done.

Pages, their buttons, and the answers to whoever pauses, resumes, switches, unblocks or cancels all ask here: so they
agree, and "it goes on" is said only where it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from vestnik import clock
from vestnik.mailings import calendar
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run, RunState
from vestnik.mailings.models import Mailing


class Stage(StrEnum):
    """The stage that a mailing is in."""

    CANCELLING = "cancelling"
    """Its run is cancelled, and letters in hand are being settled."""
    ENDING = "ending"
    """The time of its run is up, and letters in hand are being settled."""
    HELD = "held"
    """It is paused, switched off or blocked: a run, or the next one, waits."""
    PREPARING = "preparing"
    """The letters of its run are being written."""
    UNDER_WAY = "under way"
    STARTING = "starting"
    """An occurrence is due, and nobody has begun with it yet."""
    SCHEDULED = "scheduled"
    OVER = "over"
    """No run is open, and none is to come."""


MOVING = frozenset({Stage.CANCELLING, Stage.ENDING, Stage.PREPARING, Stage.STARTING})
"""Stages that change within moments: pages load them again by themselves."""


@dataclass(frozen=True)
class MailingStatus:
    """What is true of a mailing at one moment."""

    stage: Stage
    sentence: str
    """What is so, and what follows, for whoever may see the mailing."""
    run: Run | None
    """The open run."""
    starts_at: datetime | None
    """When the next run starts by itself; None where none does, as things are."""
    holds: tuple[str, ...]
    """Why nothing of it may go out now (Mailing.holds), where there is anything that they hold up."""
    may_send: bool
    """Whether a run can be sent by hand."""

    @property
    def moves(self) -> bool:
        """Whether it changes by itself within moments."""
        return self.stage in MOVING

    @property
    def is_news(self) -> bool:
        """Whether it says more than the dates on the same page."""
        return self.stage not in (Stage.SCHEDULED, Stage.OVER) or bool(self.holds)

    @property
    def is_paused(self) -> bool:
        """Whether a pause holds anything up, and so can be ended."""
        return "paused" in self.holds

    @property
    def may_pause(self) -> bool:
        """Whether there is anything that a pause would hold up."""
        stops = self.stage in (Stage.HELD, Stage.PREPARING, Stage.UNDER_WAY, Stage.STARTING, Stage.SCHEDULED)
        return stops and not self.is_paused

    @property
    def may_cancel(self) -> bool:
        """Whether a run is open that nobody has cancelled, and whose time is not up."""
        return self.run is not None and self.stage not in (Stage.CANCELLING, Stage.ENDING)


def of(mailing: Mailing) -> MailingStatus:
    """Return where the mailing stands. It was read just now (with its owner, to spare a query)."""
    now = clock.now()
    run = mailing.runs.filter(state=RunState.OPEN).first()
    start = _next_start(mailing, now)
    holds = mailing.holds
    stage = _stage(run, start, bool(holds), now)
    if run is None and start is None and mailing.end <= now:
        holds = ()  # there is nothing left to hold up
    return MailingStatus(
        stage=stage,
        sentence=_sentence(stage, mailing, run, start, now, holds),
        run=run,
        starts_at=None if mailing.holds else start,
        holds=holds,
        may_send=run is None and not mailing.holds and mailing.end > now and not (start and start <= now),
    )


def why_held(mailing: Mailing, now: datetime) -> str:
    """Return why nothing of the mailing may go out now, in sentences; empty if it may."""
    sentences = {
        "switched off": _("Switched off by a manager."),
        "owner blocked": _("The owner's account is blocked."),
        "owner not confirmed": _("The owner's mailbox is not confirmed yet."),
        "paused": _("Paused since %(time)s.") % {"time": when(mailing.paused_at, now)} if mailing.paused_at else "",
    }
    return " ".join(sentences[hold] for hold in mailing.holds)


def when(moment: datetime, now: datetime) -> str:
    """Return the moment as text in the reader's zone; with its date, if that is not today's."""
    moment, now = timezone.localtime(moment), timezone.localtime(now)
    return date_format(moment, "H:i:s" if moment.date() == now.date() else _("j M Y, H:i:s"))


def _next_start(mailing: Mailing, now: datetime) -> datetime | None:
    """Return the planned occurrence if it is to come, or due inside its window; else the first after now.

    Those whose windows have closed are only recorded (launching.py).
    """
    if mailing.next_at is None or mailing.next_at > now:
        return mailing.next_at
    current = calendar.latest_occurrence(mailing.schedule, now)
    is_open = current is not None and calendar.window_end(mailing.schedule, current) > now
    if is_open and not mailing.runs.filter(occurrence=current).exists():
        return current
    return calendar.next_occurrence(mailing.schedule, now)


def _stage(run: Run | None, start: datetime | None, is_held: bool, now: datetime) -> Stage:
    if run is not None and run.cancelled_at:
        return Stage.CANCELLING
    if run is not None and run.window_end <= now:
        return Stage.ENDING
    if run is None and start is None:
        return Stage.OVER
    if is_held:
        return Stage.HELD
    if run is not None:
        return Stage.PREPARING if run.filled_at is None else Stage.UNDER_WAY
    return Stage.SCHEDULED if start and start > now else Stage.STARTING


def _sentence(
    stage: Stage, mailing: Mailing, run: Run | None, start: datetime | None, now: datetime, holds: tuple[str, ...]
) -> str:
    if stage == Stage.HELD:
        if run is not None:
            so = _("What is queued stays queued; after %(time)s it is not sent any more.") % {
                "time": when(run.window_end, now)
            }
        else:
            so = _("Nothing new starts.")
        return f"{why_held(mailing, now)} {so}"
    if stage == Stage.STARTING and runs.is_being_launched(mailing.pk):
        return _("It starts: its letters are being prepared.")
    sentences = {
        Stage.CANCELLING: _("The run is cancelled: what was queued is not sent, what is in hand is being settled."),
        Stage.ENDING: _("The time of the run is up: what was queued is not sent, what is in hand is being settled."),
        Stage.PREPARING: _("A run has begun: its letters are being prepared."),
        Stage.UNDER_WAY: _("A run is under way."),
        Stage.STARTING: _("Its time has come: it is about to start."),
        Stage.OVER: _("No further run is planned."),
    }
    if stage == Stage.SCHEDULED and start is not None:
        return _("The next run starts by itself: %(time)s.") % {"time": when(start, now)}
    if stage == Stage.OVER and holds:
        return f"{sentences[stage]} {why_held(mailing, now)}"
    return sentences[stage]
