"""What came back of letters after they were handed over: bounces and complaints. Written down once, counted, obeyed.

Reports come late, twice, by several ways and from anybody: whoever calls has seen that they are about this letter (its
token, or a provider's signature). What they change is written in one transaction: the event, the run's count, and the
suppression of the address.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from vestnik import jobs
from vestnik.clients.suppressions import Suppression, SuppressionReason, suppress
from vestnik.mailings.ledger import retries
from vestnik.mailings.ledger.models import BounceKind, DeliveryEvent, EventKind, Run, Tally
from vestnik.mailings.ledger.runs import believed_at_most
from vestnik.mailings.ledger.tallies import QUARTER

logger = logging.getLogger(__name__)

SOFT_RUNS = 3
"""Runs of which a soft bounce came back, from which on their address counts as dead."""
EARLIER_RUNS = 50
"""Of the owner, that are looked at for that."""
ANSWER_LIMIT = 1_000
PAGE = 2_000

LETTER = """
    SELECT d.run_id, d.client_id, d.address, d.settled_at, (run.opened_at AT TIME ZONE 'UTC')::date, run.owner_id
    FROM mailings_delivery d JOIN mailings_run run ON run.id = d.run_id WHERE d.id = %(letter)s
"""

# A hard bounce after a soft one is the better word for the same; all others that come later change nothing.
NOTE = """
    INSERT INTO mailings_deliveryevent AS known
        (day, delivery_id, kind, run_id, client_id, bounce, status, answer, source)
    VALUES (%(day)s, %(letter)s, %(kind)s, %(run)s, %(client)s, %(bounce)s, %(status)s, %(answer)s, %(source)s)
    ON CONFLICT (day, delivery_id, kind) DO UPDATE SET
        bounce = excluded.bounce, status = excluded.status, answer = excluded.answer, source = excluded.source,
        at = statement_timestamp()
        WHERE known.bounce <> 'hard' AND excluded.bounce = 'hard'
    RETURNING xmax = 0
"""

# In the quarter in which the letter was counted; where its receipt is still on the way, in this one.
COUNT = f"""
    INSERT INTO mailings_tally AS tally (run_id, worker_id, hour, bounced, complained)
    VALUES (%(run)s, 0, {QUARTER.format("coalesce(%(settled_at)s::timestamptz, statement_timestamp())")},
            (%(kind)s = 'bounced')::int, (%(kind)s = 'complained')::int)
    ON CONFLICT (run_id, worker_id, hour) DO UPDATE SET
        bounced = tally.bounced + excluded.bounced, complained = tally.complained + excluded.complained
"""

# Of the owner's latest runs those of which the letter to this client, at this address, came back with a soft bounce.
SOFT = """
    SELECT count(*) FROM unnest(ARRAY(
        SELECT id FROM mailings_run WHERE owner_id = %(owner)s ORDER BY opened_at DESC LIMIT %(most)s
    )) AS run (id)
    CROSS JOIN LATERAL (
        SELECT delivery_id, at FROM mailings_deliveryevent
        WHERE run_id = run.id AND kind = 'bounced' AND client_id = %(client)s AND bounce = 'soft' LIMIT 1
    ) event
    CROSS JOIN LATERAL (SELECT address FROM mailings_delivery WHERE id = event.delivery_id LIMIT 1) d
    WHERE d.address = %(address)s
      AND NOT EXISTS (
          SELECT FROM (SELECT * FROM clients_suppression WHERE address = %(address)s OFFSET 0) AS known
          WHERE known.owner_id = %(owner)s AND known.client_list_id IS NULL AND NOT known.by_person
            AND known.lifted_at > event.at OFFSET 0
      )
"""

GONE = """
    SELECT event.client_id, event.delivery_id, d.address FROM (
        SELECT client_id, delivery_id FROM mailings_deliveryevent
        WHERE run_id = %(run)s AND kind = 'bounced' AND client_id > %(after)s AND bounce = 'hard'
        ORDER BY client_id LIMIT %(page)s
    ) event
    CROSS JOIN LATERAL (SELECT address FROM mailings_delivery WHERE id = event.delivery_id LIMIT 1) d
    ORDER BY event.client_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What somebody reports of one letter."""

    kind: EventKind
    bounce: BounceKind | None = None
    """What a bounce says of the address; None for anything else."""
    status: str = ""
    """Its enhanced status code (RFC 3463), as 5.1.1; empty where it has none."""
    answer: str = ""
    """Its words."""
    source: str
    """By which way it came, for people: “mail”, “mailbox”, a provider's name."""


@dataclass(frozen=True, slots=True)
class _Letter:
    delivery_id: int
    run_id: int
    client_id: int
    address: str
    settled_at: Any
    day: Any
    owner_id: int


def note(delivery_id: int, report: Report) -> bool:
    """Write down what came back of a letter, and obey it; return whether that was not known before.

    A complaint suppresses its address; so do a hard bounce, and soft ones of SOFT_RUNS runs, unless the run has shown
    so many addresses to be dead that its owner is asked. What is still queued to the address is cancelled then.
    """
    letter = _letter(delivery_id)
    if letter is None:
        return False
    reason: SuppressionReason | None = None
    with transaction.atomic():
        first = _write(letter, report)
        if first is None:
            return False
        if letter.address and (reason := _reason(letter, report)):
            suppress(letter.owner_id, {letter.address: delivery_id}, reason)
        if first:
            _count(letter, report.kind)
    # Claims ask for suppressions: what is not cancelled here, since we die or Redis does, is at its turn.
    runs = retries.cancel_to(letter.owner_id, [letter.client_id], reason.value) if reason else []
    said = (delivery_id, letter.run_id, report.kind, report.bounce or report.status, report.source)
    logger.info("letter %d of run %d: %s (%s), by %s", *said, extra={"run_id": letter.run_id})
    for run_id in runs:
        jobs.close(run_id)
    return True


def of_letter(delivery_id: int, run: Run) -> list[DeliveryEvent]:
    """Return what came back of a letter of the run, in the order in which it did."""
    return list(DeliveryEvent.objects.filter(day=run.day, delivery_id=delivery_id).order_by("at"))


def gone(run_id: int) -> Iterator[dict[str, int]]:
    """Yield the addresses that hard bounces of the run have shown to be dead, each with its letter, PAGE at once."""
    after: int | None = 0
    while after is not None:
        with connection.cursor() as cursor:
            cursor.execute(GONE, {"run": run_id, "after": after, "page": PAGE})
            rows = cursor.fetchall()
        yield {address: delivery_id for _client, delivery_id, address in rows if address}
        after = rows[-1][0] if len(rows) == PAGE else None


def _letter(delivery_id: int) -> _Letter | None:
    with connection.cursor() as cursor:
        cursor.execute(LETTER, {"letter": delivery_id})
        row = cursor.fetchone()
    return None if row is None else _Letter(delivery_id, *row)


def _write(letter: _Letter, report: Report) -> bool | None:
    """Write it down; return whether it is the letter's first of its kind, None if it was known."""
    values = {
        "day": letter.day,
        "letter": letter.delivery_id,
        "kind": report.kind.value,
        "run": letter.run_id,
        "client": letter.client_id,
        "bounce": report.bounce.value if report.bounce else "",
        "status": report.status,
        "answer": report.answer.replace("\x00", "")[:ANSWER_LIMIT]
        if letter.address
        else "",  # it may quote the address
        "source": report.source,
    }
    with connection.cursor() as cursor:
        cursor.execute(NOTE, values)
        row = cursor.fetchone()
    return None if row is None else bool(row[0])


def _count(letter: _Letter, kind: EventKind) -> None:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"run": letter.run_id, "settled_at": letter.settled_at, "kind": kind.value})


def _reason(letter: _Letter, report: Report) -> SuppressionReason | None:
    """Return why the address is suppressed from now on, if it is."""
    if report.kind is EventKind.COMPLAINED:
        return SuppressionReason.COMPLAINED
    if report.bounce is BounceKind.POLICY or _was_lifted_since(letter):
        return None
    if report.bounce is BounceKind.SOFT and _soft_runs(letter) < SOFT_RUNS:
        return None
    return SuppressionReason.BOUNCED if _is_believed(letter) else None


def _was_lifted_since(letter: _Letter) -> bool:
    """Say whether the owner has said since this letter that the address is to be written to."""
    if letter.settled_at is None:
        return False
    lifted = Suppression.objects.filter(address=letter.address, lifted_at__gt=letter.settled_at, by_person=False)
    return any(each.owner_id == letter.owner_id and each.client_list_id is None for each in lifted)


def _soft_runs(letter: _Letter) -> int:
    asked: dict[str, Any] = {
        "owner": letter.owner_id,
        "most": EARLIER_RUNS,
        "client": letter.client_id,
        "address": letter.address,
    }
    with connection.cursor() as cursor:
        cursor.execute(SOFT, asked)
        return int(cursor.fetchone()[0])


def _is_believed(letter: _Letter) -> bool:
    """Say whether bounces of the run are believed; where they are too many, ask its owner."""
    run = Run.objects.only("total", "refused_asked").get(pk=letter.run_id)
    most = believed_at_most(run)
    if most is None:
        return True
    before = Tally.objects.filter(run=run).aggregate(all=Sum("bounced"))["all"] or 0
    bounced = before + 1
    if bounced <= most:
        return True
    if Run.objects.filter(pk=run.pk, refused_asked=0).update(refused_asked=bounced):
        logger.warning(
            "run %d: letters to %d of %d addresses came back, too many to be believed; their owner is asked",
            *(run.pk, bounced, run.total),
            extra={"run_id": run.pk},
        )
    else:
        Run.objects.filter(pk=run.pk, refused_asked__gt=0).update(refused_asked=bounced)
    return False
