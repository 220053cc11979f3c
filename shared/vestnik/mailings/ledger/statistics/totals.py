"""How many letters ended how, by the tallies: of any number of runs or mailings in two queries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum

from vestnik.mailings.ledger.models import Run, Tally
from vestnik.mailings.ledger.runs import CAME_BACK, COUNTED


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Letters by what became of them, and how often they were handed over."""

    total: int = 0
    """All letters of the runs."""
    sent: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    unknown: int = 0
    attempts: int = 0
    bounced: int = 0
    """Of the sent ones (or of unknown ones that were): those that came back."""
    complained: int = 0

    @property
    def done(self) -> int:
        """Letters that have ended, one way or another."""
        return self.sent + self.not_sent

    @property
    def not_sent(self) -> int:
        """Letters that have ended, and not as sent."""
        return self.failed + self.other

    @property
    def other(self) -> int:
        """Letters that have ended, neither as sent nor as failed."""
        return self.expired + self.cancelled + self.unknown

    @property
    def left(self) -> int:
        """Letters that are queued or in hand."""
        return self.total - self.done

    @property
    def percent(self) -> int:
        """How much is done, rounded down: 100 only when all is. 0 where there are no letters."""
        return self.done * 100 // self.total if self.total else 0


def of_runs(run_ids: Collection[int]) -> dict[int, Totals]:
    """Return the totals of each of these runs, by id."""
    return _totals(run_ids, "run_id", Tally.objects.filter(run__in=run_ids), "pk", Run.objects.filter(pk__in=run_ids))


def of_mailings(mailing_ids: Collection[int]) -> dict[int, Totals]:
    """Return the totals of each of these mailings, over all of its runs, by id."""
    tallies = Tally.objects.filter(run__mailing__in=mailing_ids)
    return _totals(mailing_ids, "run__mailing_id", tallies, "mailing_id", Run.objects.filter(mailing__in=mailing_ids))


def _totals(
    ids: Collection[int], tally_key: str, tallies: QuerySet[Tally], run_key: str, runs: QuerySet[Run]
) -> dict[int, Totals]:
    """Return totals by id. Tallies are read first: letters that end meanwhile may be missing, but none counts too
    often.
    """
    counts: dict[int, dict[str, Any]] = {pk: {} for pk in ids}
    for row in tallies.values(tally_key).annotate(**{f"all_{name}": Sum(name) for name in (*COUNTED, *CAME_BACK)}):
        counts[row[tally_key]] = {name: row[f"all_{name}"] for name in (*COUNTED, *CAME_BACK)}
    for pk, total in runs.values_list(run_key).annotate(Sum("total")):
        counts[pk]["total"] = total
    return {pk: Totals(**counted) for pk, counted in counts.items()}
