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
from django.db.models import QuerySet, Sum

from vestnik import jobs
from vestnik.clients.models import Client
from vestnik.clients.suppressions import SuppressionReason, lifted_since_sql, suppress
from vestnik.mailings.ledger import retries
from vestnik.mailings.ledger.models import BounceKind, Delivery, DeliveryEvent, EventKind, Run, Tally
from vestnik.mailings.ledger.runs import believed_at_most
from vestnik.mailings.ledger.tallies import QUARTER

logger = logging.getLogger(__name__)

SOFT_RUNS = 3
"""Runs of which a soft bounce came back, from which on their address counts as dead …"""
SOFT_DAYS = 3
"""… if so many days are between the first of these runs and the last: no mailbox is full for that long by chance."""
EARLIER_RUNS = 50
"""Of the owner, that are looked at for that."""
ANSWER_LIMIT = 1_000
PAGE = 2_000

LETTER = f"""
    SELECT d.run_id, d.client_id, d.address, d.settled_at, (run.opened_at AT TIME ZONE 'UTC')::date, run.owner_id,
           {lifted_since_sql("d.address", "run.owner_id", "d.settled_at")}
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
    INSERT INTO mailings_tally AS tally (run_id, worker_id, hour, bounced, complained, dead)
    VALUES (%(run)s, 0, {QUARTER.format("coalesce(%(settled_at)s::timestamptz, statement_timestamp())")},
            %(bounced)s, %(complained)s, %(dead)s)
    ON CONFLICT (run_id, worker_id, hour) DO UPDATE SET
        bounced = tally.bounced + excluded.bounced, complained = tally.complained + excluded.complained,
        dead = tally.dead + excluded.dead
"""

# Of the owner's latest runs those of which the letter to this client, at this address, came back with a soft bounce;
# a second try is no run of its own.
SOFT = f"""
    SELECT count(DISTINCT coalesce(run.again_of_id, run.id)), coalesce(max(event.day) - min(event.day), 0)
    FROM (
        SELECT id, again_of_id FROM mailings_run WHERE owner_id = %(owner)s ORDER BY opened_at DESC LIMIT %(most)s
    ) run
    CROSS JOIN LATERAL (
        SELECT delivery_id, at, day FROM mailings_deliveryevent
        WHERE run_id = run.id AND kind = 'bounced' AND client_id = %(client)s AND bounce = 'soft' LIMIT 1
    ) event
    CROSS JOIN LATERAL (SELECT address FROM mailings_delivery WHERE id = event.delivery_id LIMIT 1) d
    WHERE d.address = %(address)s
      AND NOT {lifted_since_sql("%(address)s", "%(owner)s", "event.at")}
"""

# And whether the owner has lifted the address since.
DEAD = f"""
    SELECT event.client_id, event.delivery_id, d.address, {lifted_since_sql("d.address", "%(owner)s", "d.settled_at")}
    FROM (
        SELECT client_id, delivery_id FROM mailings_deliveryevent
        WHERE run_id = %(run)s AND kind = 'bounced' AND client_id > %(after)s AND dead
        ORDER BY client_id LIMIT %(page)s
    ) event
    CROSS JOIN LATERAL (SELECT address, settled_at FROM mailings_delivery WHERE id = event.delivery_id LIMIT 1) d
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
    lifted: bool
    """Whether the owner has said since then that the address is to be written to."""


def note(delivery_id: int, report: Report) -> bool:
    """Write down what came back of a letter, and obey it; return whether that was not known before.

    A complaint suppresses its address; so do a hard bounce, and soft ones of SOFT_RUNS runs, unless the run has shown
    so many addresses to be dead that its owner is asked. What is still queued to the address is cancelled then.
    """
    letter = _letter(delivery_id)
    if letter is None:
        return False
    with transaction.atomic():
        first = _write(letter, report)
        if first is None:
            return False
        reason = _reason(letter, report) if letter.address else None
        newly_dead = reason is SuppressionReason.BOUNCED and _mark_dead(letter)
        if reason and (reason is SuppressionReason.COMPLAINED or (newly_dead and _is_believed(letter))):
            suppress(letter.owner_id, {letter.address: delivery_id}, reason)
        _count(letter, report.kind if first else None, newly_dead)
    said = (delivery_id, letter.run_id, report.kind, report.bounce or report.status, report.source)
    logger.info("letter %d of run %d: %s (%s), by %s", *said, extra={"run_id": letter.run_id})
    if reason:
        _cancel_what_is_stopped(letter)
    if letter.address and not Delivery.objects.filter(pk=delivery_id).exclude(address="").exists():
        _events(letter).update(answer="")  # its owner's account was erased meanwhile
    return True


def _cancel_what_is_stopped(letter: _Letter) -> None:
    """Cancel what is queued to the address and may not go there any more.

    Claims ask for suppressions: what is not cancelled here, since we die or Redis does, is at its turn.
    """
    clients = Client.objects.filter(owner=letter.owner_id, email=letter.address).values_list("pk", flat=True)
    for run_id in retries.cancel_stopped(letter.owner_id, list(clients)):
        jobs.close(run_id)


def of_letter(delivery_id: int, run: Run) -> list[DeliveryEvent]:
    """Return what came back of a letter of the run, in the order in which it did."""
    return list(DeliveryEvent.objects.filter(day=run.day, delivery_id=delivery_id).order_by("at"))


def dead(run: Run) -> Iterator[dict[str, int]]:
    """Yield the addresses that bounces of the run have shown to be dead, each with its letter, PAGE at once.

    What the owner has lifted since is not among them.
    """
    after: int | None = 0
    while after is not None:
        with connection.cursor() as cursor:
            cursor.execute(DEAD, {"run": run.pk, "owner": run.owner_id, "after": after, "page": PAGE})
            rows = cursor.fetchall()
        yield {address: delivery_id for _client, delivery_id, address, lifted in rows if address and not lifted}
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
        "answer": _storable(report.answer) if letter.address else "",  # it may quote the address
        "source": report.source,
    }
    with connection.cursor() as cursor:
        cursor.execute(NOTE, values)
        row = cursor.fetchone()
    return None if row is None else bool(row[0])


def _storable(text: str) -> str:
    """Return the text without what no database keeps: NUL, and halves of characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:ANSWER_LIMIT]


def _count(letter: _Letter, kind: EventKind | None, dead: bool) -> None:
    if kind is None and not dead:
        return
    values = {
        "run": letter.run_id,
        "settled_at": letter.settled_at,
        "bounced": int(kind is EventKind.BOUNCED),
        "complained": int(kind is EventKind.COMPLAINED),
        "dead": int(dead),
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT, values)


def _mark_dead(letter: _Letter) -> bool:
    """Note that the letter shows its address to be dead; return whether that was not noted before."""
    return bool(_events(letter).filter(kind=EventKind.BOUNCED, dead=False).update(dead=True))


def _events(letter: _Letter) -> QuerySet[DeliveryEvent]:
    return DeliveryEvent.objects.filter(day=letter.day, delivery_id=letter.delivery_id)


def _reason(letter: _Letter, report: Report) -> SuppressionReason | None:
    """Return what the report makes of the address, if anything: it complained, or is dead."""
    if report.kind is EventKind.COMPLAINED:
        return SuppressionReason.COMPLAINED
    if report.bounce is BounceKind.POLICY or letter.lifted:
        return None
    return SuppressionReason.BOUNCED if report.bounce is BounceKind.HARD or _bounces_softly(letter) else None


def _bounces_softly(letter: _Letter) -> bool:
    """Say whether so many runs over so many days agree that the address takes nothing."""
    asked: dict[str, Any] = {
        "owner": letter.owner_id,
        "most": EARLIER_RUNS,
        "client": letter.client_id,
        "address": letter.address,
    }
    with connection.cursor() as cursor:
        cursor.execute(SOFT, asked)
        runs, days = cursor.fetchone()
    return bool(runs >= SOFT_RUNS and days >= SOFT_DAYS)


def _is_believed(letter: _Letter) -> bool:
    """Say whether the run is believed in that addresses are dead; where these are too many, ask its owner."""
    run = Run.objects.only("total", "refused_asked").get(pk=letter.run_id)
    most = believed_at_most(run)
    number = dead_addresses(run.pk) + 1  # and the one that is about to be counted
    if most is None or number <= most:
        return True
    if Run.objects.filter(pk=run.pk, refused_asked=0).update(refused_asked=number):
        logger.warning(
            "run %d: letters to %d of %d addresses came back for good, too many to be believed; their owner is asked",
            *(run.pk, number, run.total),
            extra={"run_id": run.pk},
        )
    else:
        Run.objects.filter(pk=run.pk, refused_asked__gt=0).update(refused_asked=number)
    return False


def dead_addresses(run_id: int) -> int:
    """Count the addresses that bounces of the run have shown to be dead."""
    return Tally.objects.filter(run=run_id).aggregate(all=Sum("dead"))["all"] or 0
