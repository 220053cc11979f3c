"""How a run goes: how far, how fast, and if nothing moves, why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from django.core.cache import cache
from django.utils.translation import gettext as _

from vestnik import addresses, clock
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Delivery, DeliveryState, Run, RunState, Worker
from vestnik.mailings.ledger.statistics.totals import Totals, of_runs
from vestnik.mailings.mailing_status import when
from vestnik.mailings.models import Mailing
from vestnik.mailings.outages import Outage

LOOK_BACK = timedelta(seconds=10)
"""Time over which the rate is measured, if somebody looked before."""

AT_LEAST = timedelta(seconds=1)
"""Samples closer together say nothing about the rate."""

ALIVE = timedelta(seconds=10)
"""A worker that did not beat for so long is dead, or soon will be; letters due for so long should be in hand."""

A_LONG_TIME = timedelta(days=10_000)


@dataclass(frozen=True, kw_only=True)
class Progress(Totals):
    """A run's totals and how they move."""

    sending: int = 0
    """Letters in hand now."""
    rate: float = 0.0
    """Letters that end in a second: over the last ten seconds, or on average where nobody has looked before."""
    time_left: timedelta | None = None
    """How long it takes at this rate; None if nothing is left, or nothing moves."""
    waiting: str = ""
    """A sentence: why nothing moves now. Empty if it does, or if the run is over."""
    outage: Outage | None = None
    """What is the matter with the mail service, if that is why."""


def progress(run: Run) -> Progress:
    """Return how far the run is. It was read just now (with its mailing and the mailing's owner, to spare queries)."""
    now = clock.now()
    totals = of_runs([run.pk])[run.pk]
    sending, waiting, outage, rate = 0, "", None, _rate(run, totals.done, now)
    if run.state == RunState.OPEN:
        sending = Delivery.objects.filter(run=run, state=DeliveryState.SENDING).count()
        waiting = _waits_for_people_or_time(run, now)
        outage = None if waiting else outages.current()
        waiting = waiting or (outage_sentence(outage) if outage else _waits_for_the_service(run, sending, now))
    moves = rate > 0 and totals.left > 0 and not waiting
    return Progress(
        **vars(totals),
        sending=sending,
        rate=rate,
        time_left=timedelta(seconds=min(totals.left / rate, A_LONG_TIME.total_seconds())) if moves else None,
        waiting=waiting,
        outage=outage,
    )


def outage_sentence(outage: Outage) -> str:
    """Return why the service takes no letters, in a sentence for everybody."""
    now = clock.now()
    return _("%(trouble)s. The next try is at %(time)s.") % {
        "trouble": outage.reason.label,
        "time": when(max(outage.next_probe, now), now),
    }


def _rate(run: Run, done: int, now: datetime) -> float:
    """Return letters a second by the samples in the cache, which are a hint; without them since the letters were
    written.
    """
    if run.filled_at is None:
        return 0.0
    if run.state == RunState.OPEN and (sample := _sample(run, done, now)):
        then, before = sample
        return max(0.0, done - before) / (now.timestamp() - then)
    seconds = ((run.finished_at or now) - run.filled_at).total_seconds()
    return done / seconds if seconds > 0 else 0.0


def _sample(run: Run, done: int, now: datetime) -> tuple[float, int] | None:
    """Return when and how many letters were done about ten seconds ago, if somebody looked then.

    Leaves a sample for others.
    """
    key, moment = f"vestnik:progress:{run.pk}", now.timestamp()
    try:
        cached: list[tuple[float, int]] = cache.get(key, [])
        samples = [sample for sample in cached if 0 < moment - sample[0] <= LOOK_BACK.total_seconds()]
        if not samples or moment - samples[-1][0] >= AT_LEAST.total_seconds() / 2:
            cache.set(key, [*samples, (moment, done)], timeout=LOOK_BACK.total_seconds())
    except (redis.RedisError, OSError):
        return None
    oldest = next(iter(samples), None)
    return oldest if oldest and moment - oldest[0] >= AT_LEAST.total_seconds() else None


def _waits_for_people_or_time(run: Run, now: datetime) -> str:
    """Return what an open run waits for, if it is people or a time; else an empty text."""
    if run.cancelled_at:
        return _("Cancelled; what is in hand is being settled.")
    if run.mailing is None:
        return _("The mailing was deleted; its run is about to be cancelled.")
    if held := _held(run.mailing):
        return held
    if run.window_end <= now:
        return _("Its time is up; what is in hand is being settled.")
    if run.filled_at is None:
        return _("Its letters are being written.")
    return ""


def _waits_for_the_service(run: Run, sending: int, now: datetime) -> str:
    """Return the limit, the letters' next tries or the missing worker that an open run waits for; empty if none."""
    if sending:
        return ""
    if (until := outages.limited_until(run.owner_id)) and until > now:
        return _("A limit of letters is reached; it goes on at %(time)s.") % {"time": when(until, now)}
    queued = Delivery.objects.filter(run=run, state=DeliveryState.QUEUED)
    due, address = queued.order_by("due_at", "pk").values_list("due_at", "address").first() or (None, "")
    if due is not None and due > now:
        domain = addresses.domain(address)
        if outages.is_limited(domain):
            return _("The limit for %(domain)s is reached; it goes on at %(time)s.") % {
                "domain": addresses.shown_domain(domain),
                "time": when(due, now),
            }
        return _("All letters that are left are to be tried later; the next try is at %(time)s.") % {
            "time": when(due, now)
        }
    if due is not None and due <= now - ALIVE and not _somebody_works(now):
        return _("No worker is running.")
    return ""


def _held(mailing: Mailing) -> str:
    if mailing.switched_off_at and mailing.switched_off_reason:
        return _("Switched off by a manager: %(reason)s") % {"reason": mailing.switched_off_reason}
    sentences = {
        "": "",
        "switched off": _("Switched off by a manager."),
        "owner blocked": _("The owner's account is blocked."),
        "owner not confirmed": _("The owner's mailbox is not confirmed yet."),
        "paused": _("Paused by the owner."),
    }
    return sentences[mailing.hold]


def _somebody_works(now: datetime) -> bool:
    return Worker.objects.filter(ended_at=None, beat_at__gt=now - ALIVE).exists()
