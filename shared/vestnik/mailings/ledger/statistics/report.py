"""What became of an owner's letters in a period: how many, how soon, and why not."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from django.db import connection
from django.db.models import Sum

from vestnik.accounts.models import User
from vestnik.mailings.ledger import causes, own_answers
from vestnik.mailings.ledger.models import Run, Tally
from vestnik.mailings.ledger.runs import CAME_BACK, COUNTED
from vestnik.mailings.ledger.statistics.totals import Totals

BY_HOUR_UP_TO = timedelta(days=2)
REASONS = 10
ENDS = ("sent", "failed", "expired", "cancelled", "unknown")
TIMES = ("seconds", "within_second", "within_minute", "within_hour")

# Failed letters by the answer to their last claim; both by index.
FAILED = f"""
    SELECT last.outcome, last.code, count(*), coalesce(max(last.answer), '')
    FROM mailings_delivery d LEFT JOIN LATERAL (
        SELECT outcome, code, answer FROM mailings_attempt WHERE delivery_id = d.id AND claim = d.claim LIMIT 1
    ) last ON true
    WHERE d.run_id = ANY(%(runs)s) AND d.state = 'failed'
      AND (%(since)s::timestamptz IS NULL OR d.settled_at >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR d.settled_at < %(until)s)
    GROUP BY last.outcome, last.code ORDER BY count(*) DESC, last.code, last.outcome LIMIT {REASONS}
"""


@dataclass(frozen=True)
class Reason:
    """Why letters failed."""

    code: int | None
    """The service's; None where it said nothing readable."""
    sentence: str
    """A short sentence, with the code: “550: the mailbox was refused”."""
    count: int
    example: str
    """One of the answers, the service's or our own. It may quote an address."""


@dataclass
class Part:
    """A day or an hour of a report: how many letters ended how."""

    at: datetime
    """Its beginning, in the report's zone."""
    sent: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Report:
    """What became of an owner's letters in a period."""

    parts: list[Part]
    """All its days, or hours, in order; those without letters as well."""
    totals: Totals
    """Of the period; `total` is what ended in it."""
    average: float | None
    """Seconds from when a run's letters were written to when a letter was sent; None if none was."""
    within_second: int = 0
    """Letters that were sent within a second of that; in a minute are these, too, and so on."""
    within_minute: int = 0
    within_hour: int = 0
    reasons: list[Reason] = field(default_factory=list)
    """Why letters failed, the most frequent first, ten at most."""


def report(user: User, since: datetime, until: datetime, zone: tzinfo) -> Report:
    """Report what became of the letters of the user's own runs from `since` (the beginning of its day or hour) to
    `until`.

    By days of the zone, or by its hours if it is two days at most.
    """
    parts = list((_hours if until - since <= BY_HOUR_UP_TO else _days)(since, until, zone))
    since = parts[0].at if parts else since
    tallies = Tally.objects.filter(run__owner_id=user.pk, run__opened_at__lt=until, hour__gte=since, hour__lt=until)
    counts: dict[str, Any] = dict.fromkeys((*COUNTED, *CAME_BACK, *TIMES), 0)
    begins = [part.at.timestamp() for part in parts]
    for row in tallies.values("hour").annotate(**{f"all_{name}": Sum(name) for name in counts}):
        part = parts[bisect(begins, row["hour"].timestamp()) - 1]
        for name in counts:
            counts[name] += row[f"all_{name}"]
        for name in ENDS:
            setattr(part, name, getattr(part, name) + row[f"all_{name}"])
    with_failures = tallies.filter(failed__gt=0).values_list("run_id", flat=True).distinct()
    return Report(
        parts=parts,
        totals=Totals(
            **{name: counts[name] for name in (*COUNTED, *CAME_BACK)}, total=sum(counts[name] for name in ENDS)
        ),
        average=counts["seconds"] / counts["sent"] if counts["sent"] else None,
        within_second=counts["within_second"],
        within_minute=counts["within_minute"],
        within_hour=counts["within_hour"],
        reasons=_reasons(list(with_failures), since, until),
    )


def reasons(run: Run) -> list[Reason]:
    """Return why letters of the run failed, the most frequent first, ten at most."""
    return _reasons([run.pk])


def _hours(since: datetime, until: datetime, zone: tzinfo) -> Iterator[Part]:
    hour = since.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    while hour < until:
        yield Part(hour.astimezone(zone))
        hour += timedelta(hours=1)


def _days(since: datetime, until: datetime, zone: tzinfo) -> Iterator[Part]:
    day = since.astimezone(zone).date()
    while (at := datetime.combine(day, time(), zone)) < until:
        yield Part(at)
        day += timedelta(days=1)


def _reasons(run_ids: Collection[int], since: datetime | None = None, until: datetime | None = None) -> list[Reason]:
    if not run_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(FAILED, {"runs": list(run_ids), "since": since, "until": until})
        return [
            Reason(code, causes.sentence(outcome, code), count, own_answers.translated(example))
            for outcome, code, count, example in cursor
        ]
