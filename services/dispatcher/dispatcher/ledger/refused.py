"""Addresses that a run has shown to be dead: suppressed when it is over, for its owner.

What a code says of the mailbox for certain (RFC 3463: 5.1.1, no such mailbox, and its like) suffices. A refusal without
such a code, or of the whole domain, counts if an earlier run met the same. Full mailboxes and policies do not count.
No single bad day of a service may empty a list: more than a part of the run are not believed, and their owner is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from dispatcher.providers import refusals
from vestnik.clients.suppressions import SuppressionReason, lifted_since_sql, suppress
from vestnik.mailings.ledger import events
from vestnik.mailings.ledger.models import Run, RunState
from vestnik.mailings.ledger.runs import LIMIT_LIFTED, believed_at_most

logger = logging.getLogger(__name__)

EARLIER_RUNS = 50
"""Of the owner, that are asked whether they met the same."""
PAGE = 2_000
AT_ONCE = 100
"""Runs that one tick hints at."""

# By the index of what ended unsent, from client to client. What the owner has lifted since then is not asked again.
REFUSED = f"""
    SELECT d.client_id, d.id, d.address, last.code, last.answer
    FROM (
        SELECT id, client_id, address, claim, settled_at FROM mailings_delivery
        WHERE run_id = %(run)s AND state = 'failed' AND client_id > %(after)s ORDER BY client_id LIMIT %(page)s
    ) d
    CROSS JOIN LATERAL (
        SELECT code, answer, outcome FROM mailings_attempt WHERE delivery_id = d.id AND claim = d.claim LIMIT 1
    ) last
    WHERE last.outcome = 'permanent' AND last.code >= 500 AND d.address <> ''
      AND NOT {lifted_since_sql("d.address", "%(owner)s", "d.settled_at")}
    ORDER BY d.client_id
"""

# Where such a page ends, whatever of it counts.
NEXT_PAGE = """
    SELECT max(client_id) FROM (
        SELECT client_id FROM mailings_delivery
        WHERE run_id = %(run)s AND state = 'failed' AND client_id > %(after)s ORDER BY client_id LIMIT %(page)s
    ) d
"""

# How earlier runs ended for these clients, at the same addresses.
BEFORE = """
    SELECT d.client_id, last.code, last.answer
    FROM unnest(ARRAY(
        SELECT id FROM mailings_run WHERE owner_id = %(owner)s AND opened_at < %(opened)s
        ORDER BY opened_at DESC LIMIT %(most)s
    )) AS earlier (id)
    CROSS JOIN unnest(%(clients)s::bigint[], %(addresses)s::text[]) AS known (client_id, address)
    CROSS JOIN LATERAL (
        SELECT id, client_id, claim, state, address FROM mailings_delivery
        WHERE run_id = earlier.id AND client_id = known.client_id LIMIT 1
    ) d
    CROSS JOIN LATERAL (
        SELECT code, answer, outcome FROM mailings_attempt WHERE delivery_id = d.id AND claim = d.claim LIMIT 1
    ) last
    WHERE d.state = 'failed' AND d.address = known.address AND last.outcome = 'permanent' AND last.code >= 500
"""


def to_do() -> list[int]:
    """Return runs that are over and were not looked at, the oldest first."""
    unseen = Run.objects.filter(refusals_seen_at=None).exclude(state=RunState.OPEN)
    return list(unseen.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


def note(run_id: int) -> None:
    """Suppress the addresses that the run has shown to be dead, or ask its owner, where they are too many.

    Once for each end of the run: a second call changes nothing.
    """
    run = Run.objects.filter(pk=run_id, refusals_seen_at=None).exclude(state=RunState.OPEN).first()
    if run is None:
        return
    most = believed_at_most(run)
    found = _dead(run, most)
    enough = most is None or len(found) <= most
    with transaction.atomic():
        unseen = Run.objects.filter(pk=run_id, refusals_seen_at=None).exclude(state=RunState.OPEN)
        if not unseen.filter(refused_asked=run.refused_asked).update(refusals_seen_at=Now()):
            return  # or what its owner was asked has changed: the tick finds it again
        in_question = events.dead_addresses(run_id) + (0 if enough else len(found))
        if most is not None and in_question > most:
            Run.objects.filter(pk=run_id, refused_asked__gte=0).update(refused_asked=in_question)
        new = suppress(run.owner_id, found, SuppressionReason.REFUSED) if enough and found else 0
        if run.refused_asked == LIMIT_LIFTED:
            for came_back in events.dead(run):
                new += suppress(run.owner_id, came_back, SuppressionReason.BOUNCED)
    if new:
        logger.info("run %d: %d addresses that are dead are suppressed", run_id, new, extra={"run_id": run_id})
    if not enough:
        logger.warning(
            "run %d: %d of %d addresses or more were refused for good, too many to be believed; their owner is asked",
            *(run_id, len(found), run.total),
            extra={"run_id": run_id},
        )


def _dead(run: Run, most: int | None) -> dict[str, int]:
    """Return the addresses that are dead by this run, each with the letter that shows it.

    With `most`, those that are not certain are asked about only until there are more than that.
    """
    dead: dict[str, int] = {}
    unsure: list[tuple[int, int, str]] = []
    for client_id, delivery_id, address, code, answer in _refused(run):
        gone = refusals.mailbox_is_gone(code, answer)
        if gone:
            dead[address] = delivery_id
        elif gone is None:
            unsure.append((client_id, delivery_id, address))
    for at in range(0, len(unsure), PAGE):
        if most is not None and len(dead) > most:
            break
        page = unsure[at : at + PAGE]
        again = _refused_before(run, [each[0] for each in page], [each[2] for each in page])
        dead |= {address: delivery_id for client_id, delivery_id, address in page if client_id in again}
    return dead


def _refused(run: Run) -> Iterator[tuple[int, int, str, int, str]]:
    asked = {"run": run.pk, "owner": run.owner_id, "page": PAGE, "after": 0}
    while asked["after"] is not None:
        with connection.cursor() as cursor:
            cursor.execute(REFUSED, asked)
            rows = cursor.fetchall()
            cursor.execute(NEXT_PAGE, asked)
            (asked["after"],) = cursor.fetchone()
        yield from rows


def _refused_before(run: Run, clients: list[int], addresses: list[str]) -> set[int]:
    asked: dict[str, Any] = {"owner": run.owner_id, "opened": run.opened_at, "most": EARLIER_RUNS}
    with connection.cursor() as cursor:
        cursor.execute(BEFORE, {**asked, "clients": clients, "addresses": addresses})
        rows = cursor.fetchall()
    return {client_id for client_id, code, answer in rows if refusals.mailbox_is_gone(code, answer) is not False}
