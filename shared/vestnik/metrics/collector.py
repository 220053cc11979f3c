"""Figures of the whole installation, read from PostgreSQL and Redis when Prometheus asks. Every port gives the same.

None of them walks letters: totals are sums of tallies, and the oldest letter due is the first of an index. Adding up
all tallies there ever were may take longer than a scrape: that is done beside it, and the last known totals are given.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import redis
from django.conf import settings
from django.core.cache import cache as django_cache
from django.db import Error, OperationalError, connection, transaction
from django.db.models import Exists, Min, OuterRef, Subquery
from django.db.models.functions import Now
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from vestnik import __version__, clock, heartbeats, jobs, redis_client
from vestnik.bounded_calls import BoundedCall
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Delivery, DeliveryState, Run, RunState
from vestnik.mailings.models import Mailing
from vestnik.redis_client import impatient_redis

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

SECONDS = 1.0
"""How long PostgreSQL and Redis are waited for."""

ENOUGH_SECONDS = 0.8
"""How long PostgreSQL works for a scrape, so that the answer comes in time."""

TOTALS_SECONDS = 60.0
"""How long PostgreSQL may add up totals."""

SHARE = 20
"""Totals are cached for so many times as long as asking for them took."""

OUTCOMES = ("sent", "failed", "expired", "cancelled", "unknown")
QUEUES = (jobs.CONTROL, jobs.BULK)

# The dispatcher's connections avoid sequential scans, for the ledger's hot statements.
FOR_THIS = "SET LOCAL statement_timeout = {milliseconds}; SET LOCAL enable_seqscan = on"

TOTALS = f"SELECT {', '.join(f'coalesce(sum({outcome}), 0)' for outcome in OUTCOMES)} FROM mailings_tally"

# By run_open and tally_once_per_hour.
LEFT = f"""
    SELECT coalesce(sum(greatest(run.total - ended.count, 0)), 0) FROM mailings_run run
    CROSS JOIN LATERAL (
        SELECT coalesce(sum({" + ".join(OUTCOMES)}), 0) AS count FROM mailings_tally WHERE run_id = run.id
    ) AS ended
    WHERE run.state = 'open'
"""

WORKERS = "SELECT count(*) FILTER (WHERE ended_at IS NULL), count(*) FILTER (WHERE died) FROM mailings_worker"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What PostgreSQL answered; None for what did not come in time."""

    oldest_due_seconds: float | None
    workers: tuple[int, int] | None
    """How many are not known to have ended, and how many died."""
    left: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What the broker answered about one queue."""

    waiting: int
    age_seconds: float
    dead: int


@dataclass(frozen=True, slots=True)
class Broker:
    """What the broker answered."""

    queues: dict[str, Queue]
    processes: dict[str, int]
    """How many have a heartbeat, by part of the dispatcher."""
    fault: str
    """What keeps it from taking jobs; empty if nothing does."""


class InstallationCollector(Collector):
    """Collects figures of the installation, and never raises.

    Parts that do not answer within a second are left out, and "vestnik_up" says so.
    """

    def __init__(self) -> None:
        self._ledger = BoundedCall("metrics-ledger", _ask_ledger, _leave_database)
        self._totals = BoundedCall("metrics-totals", self._ask_totals)
        self._broker = BoundedCall("metrics-broker", _ask_broker)
        self._ticks = BoundedCall("metrics-ticks", _ask_ticks)
        self._known_totals: dict[str, int] = {}
        self._totals_good_until = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the figures as they are now."""
        until = time.monotonic() + SECONDS
        ask_totals = self._totals.start() if time.monotonic() >= self._totals_good_until else None
        ask_ledger, ask_broker, ask_ticks = self._ledger.start(), self._broker.start(), self._ticks.start()
        ledger, broker, ticks = ask_ledger(until), ask_broker(until), ask_ticks(until)
        if ask_totals and ledger:
            ask_totals(until)
        up = {
            "database": ledger is not None,
            "queue": broker is not None and not broker.fault,
            "cache": ticks is not None,
        }
        yield _gauge("info", "The version that tells this.", "version", {__version__: 1})
        yield _gauge("up", "Whether it answered, and takes what is written.", "part", up)
        yield _gauge("tick_timestamp_seconds", "When the last tick was.", values=ticks)
        outage = outages.current()
        open_for = {trouble.value: outage is not None and outage.reason == trouble for trouble in outages.OutageReason}
        yield _gauge("breaker_open", "Whether nothing is handed over, and why.", "trouble", open_for if broker else ())
        totals = self._known_totals if ledger else ()
        yield _gauge("letters", "Letters that have ended, ever.", "outcome", totals)
        yield from _of_ledger(ledger)
        yield from _of_broker(broker)

    def close(self) -> None:
        """Ask no more, and close the connections to PostgreSQL."""
        self._ledger.close()
        self._totals.close()
        self._broker.close()
        self._ticks.close()

    def _ask_totals(self) -> None:
        began = time.monotonic()
        try:
            found = _within(TOTALS_SECONDS, lambda: _row(TOTALS))
            self._known_totals = dict(zip(OUTCOMES, map(int, found), strict=True))
            self._totals_good_until = began + SHARE * (time.monotonic() - began)
        except Error as error:
            logger.warning("metrics of letters could not be counted again: %s", error)
        finally:
            _leave_database()  # a connection for a moment


def _ask_ledger() -> Ledger | None:
    until = time.monotonic() + ENOUGH_SECONDS
    try:
        connection.close_if_unusable_or_obsolete()
        return Ledger(
            oldest_due_seconds=_in_time(until, _oldest_due_seconds),
            workers=_in_time(until, lambda: _row(WORKERS)),
            left=_in_time(until, lambda: int(_row(LEFT)[0])),
        )
    except Error as error:
        logger.warning("metrics of the ledger are left out: %s", error)
        _leave_database()
        return None


def _in_time(until: float, ask: Callable[[], Answer]) -> Answer | None:
    """Return the answer, or None where PostgreSQL is alive but had none by `until` (time.monotonic())."""
    try:
        return _within(until - time.monotonic(), ask)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        logger.warning("a metric of the ledger is left out, for it takes too long")
        return None


def _within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FOR_THIS.format(milliseconds=max(1, round(seconds * 1000))))
        return ask()


def _row(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def _leave_database() -> None:
    connection.close()  # this thread's


def _oldest_due_seconds() -> float:
    """Return how long the letter that waits longest has been due, of those that may go; 0 without any.

    By delivery_queued.
    """
    queued = Delivery.objects.filter(run=OuterRef("pk"), state=DeliveryState.QUEUED).order_by("due_at", "pk")
    held = Mailing.objects.held().filter(pk=OuterRef("mailing_id"))
    going = Run.objects.filter(
        ~Exists(held),
        state=RunState.OPEN,
        cancelled_at=None,
        filled_at__isnull=False,
        window_end__gt=Now(),
        mailing__isnull=False,
    )
    due = going.annotate(due=Subquery(queued.values("due_at")[:1])).aggregate(oldest=Min("due"))["oldest"]
    return max(0.0, (clock.now() - due).total_seconds()) if due else 0.0


def _ask_broker() -> Broker | None:
    client = impatient_redis(settings.REDIS_URL)
    try:
        pipeline = client.pipeline(transaction=False)
        for queue in QUEUES:
            pipeline.llen(f"vestnik:{queue}")
            pipeline.lindex(f"vestnik:{queue}", 0)
            pipeline.zcard(f"vestnik:{queue}.XQ")
        found = pipeline.execute()
        answers = {queue: found[3 * at : 3 * at + 3] for at, queue in enumerate(QUEUES)}
        for queue, (_, oldest, _) in answers.items():
            pipeline.hget(f"vestnik:{queue}.msgs", oldest or b"")
        messages = pipeline.execute()
        queues = {
            queue: Queue(waiting, _age(message), dead)
            for (queue, (waiting, _, dead)), message in zip(answers.items(), messages, strict=True)
        }
        processes = Counter(each.part for each in heartbeats.fresh(client))
        return Broker(queues, {queue: processes[queue] for queue in QUEUES}, redis_client.fault(client))
    except (redis.RedisError, OSError) as error:
        logger.warning("metrics of the queue are left out: %s", error)
        return None


def _age(message: bytes | None) -> float:
    """Return for how many seconds the message has waited, without a delay that was wanted; 0 if it was just taken."""
    if message is None:
        return 0.0
    fields = json.loads(message)
    since: float = fields["options"].get(heartbeats.QUEUED_AT, fields["message_timestamp"])
    return max(0.0, time.time() - since / 1000)


def _ask_ticks() -> list[float] | None:
    """Return when the last tick was, if there was one; None if the cache takes no writes, which reading alone would
    hide.
    """
    if redis_client.fault(impatient_redis(settings.CACHE_URL)):
        return None
    last_tick = django_cache.get("vestnik:tick")
    return [] if last_tick is None else [last_tick]


def _of_ledger(ledger: Ledger | None) -> Iterator[GaugeMetricFamily]:
    left, oldest, workers = (ledger.left, ledger.oldest_due_seconds, ledger.workers) if ledger else (None, None, None)
    living, died = workers or (None, None)
    yield _gauge("letters_left", "Letters of open runs that have not ended.", values=_known(left))
    yield _gauge(
        "oldest_due_letter_seconds",
        "How long the letter that waits longest has been due, of those that may go.",
        values=_known(oldest),
    )
    yield _gauge("workers", "Processes that have sent and are not known to have ended.", values=_known(living))
    yield _gauge("workers_died", "Processes that died with letters in hand, ever.", values=_known(died))


def _of_broker(broker: Broker | None) -> Iterator[GaugeMetricFamily]:
    queues = broker.queues if broker else {}
    yield _gauge("queue_jobs", "Jobs that wait.", "queue", {name: queue.waiting for name, queue in queues.items()})
    yield _gauge(
        "queue_age_seconds",
        "How long the job that waits longest has waited.",
        "queue",
        {name: queue.age_seconds for name, queue in queues.items()},
    )
    yield _gauge(
        "dead_jobs", "Jobs that nobody tries any more.", "queue", {name: queue.dead for name, queue in queues.items()}
    )
    yield _gauge("processes", "Worker processes with a heartbeat.", "part", broker.processes if broker else ())


def _known(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _gauge(
    name: str, text: str, label: str = "", values: dict[str, Any] | Iterable[float] | None = None
) -> GaugeMetricFamily:
    """Return a gauge with a value for each value of the label, or, without a label, with one value or none."""
    family = GaugeMetricFamily(f"vestnik_{name}", text, labels=[label] if label else [])
    if isinstance(values, dict):
        for of, value in values.items():
            family.add_metric([of], float(value))
    else:
        for value in values or ():
            family.add_metric([], float(value))
    return family
