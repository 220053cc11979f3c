"""Dead letters: those that failed or are unknown, and that nobody has dismissed. By cause, newest runs first.

A letter that a later run of the same letters has tried again is not dead any more: what became of it stands there.
Reads look at the latest 50,000 dead letters and no further, so that no page takes longer for more.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import OuterRef, Q, QuerySet, Subquery

from vestnik import access
from vestnik.mailings import verbs
from vestnik.mailings.ledger.causes import DEAD, Cause
from vestnik.mailings.ledger.models import Delivery, Run
from vestnik.mailings.ledger.retries import CAUSE
from vestnik.mailings.ledger.statistics import last_attempts
from vestnik.mailings.models import Mailing

if TYPE_CHECKING:
    from vestnik.accounts.models import User

LATEST = 50_000
"""Dead letters that a page looks at, in a seventh of a second."""

LATEST_TO_TRY = 500_000
"""Dead letters that are searched for those of a cause when all of them are to be tried again."""

RUNS = 10_000
"""Runs with dead letters that are looked at, the latest."""

CHUNK = 20_000
"""Letters that one statement dismisses."""

AT_MOST = 10.0
"""Seconds that one action takes, or little more: people wait for it. They are told what is left for the next."""

COUNTED = 100
"""How far `count` counts."""

COUNTED_RUNS = 1_000
"""The owner's latest runs, in which `count` counts."""

CAUSES = 100
PAGE = 50

IS_DEAD = "d.state IN ('failed', 'unknown') AND d.dismissed_at IS NULL"

# Wants `run` with the columns id and first. The index of the key to the first run of the same letters is short.
NOT_TRIED_SINCE = """
    NOT EXISTS (
        SELECT FROM mailings_run later CROSS JOIN LATERAL (
            SELECT state FROM mailings_delivery WHERE run_id = later.id AND client_id = d.client_id LIMIT 1
        ) again
        WHERE later.again_of_id = run.first AND later.id > run.id AND again.state NOT IN ('expired', 'cancelled')
        OFFSET 0
    )
"""

# LATERAL with LIMIT is a promise that the planner keeps: run by run, by the index of dead letters, and no further than
# told. Left to choose, it sorts all there are.
RUN_BY_RUN = """
    (
        SELECT run.id, run.mailing_id, coalesce(run.again_of_id, run.id) AS first
        FROM unnest(%(runs)s::bigint[]) WITH ORDINALITY AS chosen (id, place)
        CROSS JOIN LATERAL (SELECT * FROM mailings_run WHERE id = chosen.id LIMIT 1) run
        ORDER BY place
    ) run CROSS JOIN LATERAL
"""
WINDOW = f"""
    SELECT d.*, run.mailing_id, last.outcome, last.code
    FROM {RUN_BY_RUN} (
        SELECT d.id, d.run_id, d.client_id, d.state, d.claim, d.settled_at
        FROM mailings_delivery d
        WHERE d.run_id = run.id AND {IS_DEAD} AND (d.run_id, d.client_id) < (%(run)s, %(client)s)
          AND {NOT_TRIED_SINCE}
        ORDER BY d.client_id DESC LIMIT %(most)s
    ) d LEFT JOIN LATERAL (
        SELECT outcome, code FROM mailings_attempt WHERE delivery_id = d.id AND claim = d.claim LIMIT 1
    ) last ON true
    LIMIT %(most)s
"""
IS_OF_CAUSE = "(state, outcome, code) IS NOT DISTINCT FROM (%(state)s::text, %(outcome)s::text, %(code)s::smallint)"

BY_CAUSE = f"""
    SELECT state, outcome, code, sum(letters)::bigint, count(*), count(DISTINCT mailing_id), max(last_at), max(example)
    FROM (
        SELECT state, outcome, code, run_id, mailing_id,
               count(*) AS letters, max(settled_at) AS last_at, max(id) AS example
        FROM ({WINDOW}) latest GROUP BY state, outcome, code, run_id, mailing_id
    ) per_run
    GROUP BY state, outcome, code ORDER BY 4 DESC, 1, 2, 3 LIMIT {CAUSES}
"""

# The page; and if the window was full, where it ends: the next page begins there.
OF_CAUSE = f"""
    WITH latest AS MATERIALIZED ({WINDOW}), page AS (
        SELECT id, run_id, client_id FROM latest WHERE {IS_OF_CAUSE}
        ORDER BY run_id DESC, client_id DESC LIMIT %(size)s
    )
    (SELECT id, run_id, client_id FROM page ORDER BY run_id DESC, client_id DESC) UNION ALL
    (SELECT 0, run_id, client_id FROM latest WHERE (SELECT count(*) FROM latest) >= %(most)s
     ORDER BY run_id, client_id LIMIT 1)
"""

RUNS_OF_CAUSE = f"SELECT DISTINCT run_id FROM ({WINDOW}) latest WHERE {IS_OF_CAUSE} ORDER BY run_id DESC"

# Letters that a late receipt has locked are left out: the receipt decides.
DISMISS = f"""
    WITH chosen AS MATERIALIZED (
        SELECT d.id FROM {RUN_BY_RUN} (
            SELECT d.id FROM mailings_delivery d
            WHERE d.run_id = run.id AND {IS_DEAD} AND {NOT_TRIED_SINCE}
              AND (%(ids)s::bigint[] IS NULL OR d.id = ANY(%(ids)s::bigint[]))
              AND (%(cause)s::text IS NULL OR {CAUSE} = %(cause)s)
            LIMIT {CHUNK} FOR NO KEY UPDATE SKIP LOCKED
        ) d
        LIMIT {CHUNK}
    )
    UPDATE mailings_delivery SET dismissed_at = statement_timestamp() WHERE id = ANY (ARRAY(SELECT id FROM chosen))
"""

COUNT = f"""
    SELECT count(*) FROM (
        SELECT FROM (
            SELECT id, coalesce(again_of_id, id) AS first FROM mailings_run
            WHERE owner_id = %(owner)s ORDER BY opened_at DESC LIMIT {COUNTED_RUNS}
        ) run CROSS JOIN LATERAL (
            SELECT FROM mailings_delivery d WHERE d.run_id = run.id AND {IS_DEAD} AND {NOT_TRIED_SINCE} LIMIT {COUNTED}
        ) d
        LIMIT {COUNTED}
    ) AS counted
"""


class Place(NamedTuple):
    """Where a page of dead letters ends: the run and the client of the last letter that was looked at."""

    run_id: int
    client_id: int


_FIRST = Place(2**63 - 1, 2**63 - 1)


class Page(NamedTuple):
    """A page of the dead letters of a cause."""

    letters: list[Delivery]
    after: Place | None
    """Where the next page begins; None if there certainly is none."""


@dataclass(frozen=True)
class Group:
    """The dead letters of a cause."""

    cause: Cause
    letters: int
    runs: int
    mailings: int
    """How many mailings; deleted ones are not counted."""
    last_at: datetime
    """When the last of them died."""
    example: Delivery
    """One of the latest, with its run."""
    answer: str
    """The service's answer to the example. It may quote the address."""


class Groups(NamedTuple):
    """Dead letters by cause."""

    groups: list[Group]
    may_be_more: bool
    """Whether there may be more letters than were looked at."""


class Dismissed(NamedTuple):
    """What came of dismissing letters."""

    letters: int
    more: bool
    """Whether there was no time for all of them."""


@dataclass
class Tried:
    """What came of trying letters of several runs again."""

    runs: list[Run] = field(default_factory=list)
    """Runs whose letters are on their way again."""
    refused: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    """Runs that were refused, with their mailings, by the sentence that says why."""
    later: list[Run] = field(default_factory=list)
    """Runs that wait for others of the same mailing: of each mailing one is under way at a time."""
    more: bool = False
    """Whether there was no time for all of them."""


def runs_of(user: User) -> QuerySet[Run]:
    """Return the runs whose dead letters the user looks after.

    These are their own, also of deleted mailings, and those of mailings that were shared with them to edit.
    """
    if not user.is_active:
        return Run.objects.none()
    mailings = access.own_or_shared(user, Mailing.objects.all(), "change")
    return Run.objects.filter(Q(owner_id=user.pk) | Q(mailing__in=mailings))


def count(owner: User) -> int:
    """Count the dead letters of the owner's latest runs, up to COUNTED."""
    ((counted,),) = _execute(COUNT, owner=owner.pk)
    return int(counted)


def groups(runs: QuerySet[Run]) -> Groups:
    """Return the dead letters of these runs by cause, the most frequent first."""
    rows = _execute(BY_CAUSE, **_window(runs))
    examples = Delivery.objects.select_related("run").defer("run__html", "run__text").in_bulk([row[7] for row in rows])
    answers = last_attempts(list(examples))
    found = [
        Group(
            cause=Cause(*row[:3]),
            letters=row[3],
            runs=row[4],
            mailings=row[5],
            last_at=row[6],
            example=examples[row[7]],
            answer=answers[row[7]].answer if row[7] in answers else "",
        )
        for row in rows
    ]
    return Groups(found, sum(group.letters for group in found) >= LATEST)


def page(runs: QuerySet[Run], cause: Cause, after: Place | None = None, size: int = PAGE) -> Page:
    """Return a page of the dead letters of a cause, with runs and mailings, newest runs first, from `after` on.

    A page may be short: no more letters are looked at for it than for any other.
    """
    rows = _execute(OF_CAUSE, **_window(runs, after), **_of(cause), size=size + 1)
    ids = [row[0] for row in rows if row[0]]
    letters = Delivery.objects.select_related("run__mailing").defer("run__html", "run__text").in_bulk(ids[:size])
    following: Place | None = None
    if len(ids) > size:
        following = Place(*rows[size - 1][1:])
    elif rows and not rows[-1][0]:
        following = Place(*rows[-1][1:])
    return Page([letters[pk] for pk in ids[:size] if pk in letters], following)


def try_again(
    runs: QuerySet[Run], which: Cause | Collection[int], request_id: uuid.UUID, by: User | None = None
) -> Tried:
    """Try the dead letters of a cause again, or those with these ids, run by run, as `verbs.try_again` does.

    What one run refuses does not stop the others. One request id does it once in each run. `by` is the person who asks.
    """
    tried, began = Tried(), time.monotonic()
    cause = which if isinstance(which, Cause) else None
    chosen = _runs_of_cause(runs, which) if isinstance(which, Cause) else _ids_by_run(runs, which)
    found = Run.objects.select_related("mailing").defer("html", "text").in_bulk(list(chosen))
    under_way: set[int | None] = set()
    for run_id, ids in chosen.items():
        run = found[run_id]
        if run.mailing_id in under_way:
            tried.later.append(run)
            continue
        if time.monotonic() - began > AT_MOST:
            tried.more = True
            break
        key = uuid.uuid5(request_id, str(run_id))
        try:
            tried.runs.append(verbs.try_again(run, (cause.state,) if cause else DEAD, ids, key, cause, by))
            under_way.add(run.mailing_id)
        except ValidationError as refusal:
            tried.refused[" ".join(refusal.messages)].append(run)
    return tried


def dismiss(runs: QuerySet[Run], which: Cause | Collection[int]) -> Dismissed:
    """Dismiss the dead letters of a cause, or those with these ids: they are tried again only if chosen one by one."""
    began, dismissed = time.monotonic(), 0
    cause, ids = (which.key, None) if isinstance(which, Cause) else (None, list(which))
    parameters = {"runs": _with_dead(runs), "ids": ids, "cause": cause}
    while time.monotonic() - began <= AT_MOST:
        with connection.cursor() as cursor:
            cursor.execute(DISMISS, parameters)
            dismissed += cursor.rowcount
            if cursor.rowcount < CHUNK:
                return Dismissed(dismissed, more=False)
    return Dismissed(dismissed, more=True)


def _with_dead(runs: QuerySet[Run]) -> list[int]:
    """Return the ids of those of the runs that have dead letters, the latest first."""
    dead = Delivery.objects.filter(run=OuterRef("pk"), state__in=DEAD, dismissed_at=None)
    # Not Exists: PostgreSQL may make a join of that, and read all dead letters there are.
    first = Subquery(dead.order_by("client_id").values("client_id")[:1])
    with_dead = runs.alias(first=first).filter(first__isnull=False)
    return list(with_dead.order_by("-pk").values_list("pk", flat=True)[:RUNS])


def _runs_of_cause(runs: QuerySet[Run], cause: Cause) -> dict[int, list[int] | None]:
    rows = _execute(RUNS_OF_CAUSE, **_window(runs, most=LATEST_TO_TRY), **_of(cause))
    return {run_id: None for (run_id,) in rows}


def _ids_by_run(runs: QuerySet[Run], delivery_ids: Collection[int]) -> dict[int, list[int] | None]:
    chosen: dict[int, Any] = defaultdict(list)
    letters = Delivery.objects.filter(pk__in=delivery_ids, run__in=runs).order_by("-run_id", "pk")
    for run_id, pk in letters.values_list("run_id", "pk"):
        chosen[run_id].append(pk)
    return chosen


def _window(runs: QuerySet[Run], after: Place | None = None, most: int | None = None) -> dict[str, Any]:
    run, client = after or _FIRST
    return {"runs": _with_dead(runs), "run": run, "client": client, "most": most or LATEST}


def _of(cause: Cause) -> dict[str, Any]:
    return {"state": cause.state, "outcome": cause.outcome, "code": cause.code}


def _execute(statement: str, **parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows
