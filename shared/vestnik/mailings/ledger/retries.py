"""What people do to letters, in sets: one statement, whatever their number. The rules are in `verbs.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db import connection

from vestnik.mailings import stops
from vestnik.mailings.ledger.causes import Cause
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.ledger.tallies import COUNT, NOT_TRIED

# Letters are looked up run by run and client by client (LATERAL, LIMIT), then by their ids: the owner's other letters
# are not read, whatever the planner expects (docs/decisions/0028).
_CANCEL = """
    WITH found AS MATERIALIZED (
        SELECT d.id, {reason} AS reason FROM (
            SELECT id, owner_id, mailing_id, kind FROM mailings_run WHERE owner_id = %(owner)s AND state = 'open'
        ) run
        CROSS JOIN unnest(%(clients)s::bigint[]) AS client (id)
        CROSS JOIN LATERAL (
            SELECT id, client_id, address FROM mailings_delivery
            WHERE run_id = run.id AND client_id = client.id LIMIT 1
        ) d
        {where}
    ), chosen AS MATERIALIZED (
        SELECT id, state FROM mailings_delivery
        WHERE id = ANY (ARRAY(SELECT id FROM found)) ORDER BY id FOR NO KEY UPDATE
    ), settled AS (
        UPDATE mailings_delivery d SET
            state = 'cancelled', due_at = NULL, settled_at = statement_timestamp(),
            reason = (SELECT reason FROM found WHERE id = d.id)
        WHERE d.id = ANY (ARRAY(SELECT id FROM chosen WHERE state = 'queued'))
        RETURNING d.id, d.run_id, 0::bigint AS worker, d.state, {not_tried}
    ), counted AS ({count})
    SELECT run_id FROM (SELECT DISTINCT run_id FROM settled) ended
    WHERE NOT EXISTS (
        SELECT FROM mailings_delivery
        WHERE run_id = ended.run_id AND state = 'queued' AND id <> ALL (ARRAY(SELECT id FROM settled))
        ORDER BY due_at, id OFFSET 0
    )
    ORDER BY run_id
"""
# All of it, or but service letters, for one reason; or what the rule of who gets no letter says, for its.
CANCEL = _CANCEL.format(
    reason="%(reason)s::text",
    where="WHERE NOT (%(mailings_alone)s AND run.kind = 'service')",
    not_tried=NOT_TRIED,
    count=COUNT,
)
CANCEL_STOPPED = _CANCEL.format(
    reason="stop.reason", where=f"CROSS JOIN LATERAL ({stops.OF_LETTER}) stop", not_tried=NOT_TRIED, count=COUNT
)

# Why the letter `d` is dead, as Cause.key has it.
CAUSE = """
    concat_ws('-', d.state, (
        SELECT concat_ws('-', last.outcome, last.code) FROM mailings_attempt last
        WHERE last.delivery_id = d.id AND last.claim = d.claim
    ))
"""

# The letter to the client of `d` in another run.
AGAIN = "SELECT id, state FROM mailings_delivery WHERE run_id = {run} AND client_id = d.client_id LIMIT 1"

# Of a run's letters those in these states (or with these ids) to clients who still exist, and have not stopped such
# letters. Dismissed ones only if chosen one by one; by cause, only those that no later run has tried (dead_letters.py).
# Left out are clients to whom another run of the same letters has written, or to whom a later one may have, by its
# attempts: that an earlier one may have was known when this run was asked for.
CHOSEN = f"""
    FROM mailings_delivery d
    CROSS JOIN LATERAL (SELECT id, owner_id, email FROM clients_client WHERE id = d.client_id LIMIT 1) client
    CROSS JOIN LATERAL (SELECT owner_id, mailing_id, kind FROM mailings_run WHERE id = %(run)s LIMIT 1) run
    LEFT JOIN LATERAL ({stops.OF_CLIENT}) stop ON true
    WHERE d.run_id = %(run)s AND d.state = ANY(%(states)s) AND client.owner_id = %(owner)s AND stop.reason IS NULL
      AND (%(ids)s::bigint[] IS NULL AND d.dismissed_at IS NULL OR d.id = ANY(%(ids)s::bigint[]))
      AND (%(cause)s::text IS NULL OR {CAUSE} = %(cause)s AND NOT EXISTS (
          SELECT FROM unnest(ARRAY(SELECT id FROM mailings_run WHERE again_of_id = %(first)s)) AS later (id)
          CROSS JOIN LATERAL ({AGAIN.format(run="later.id")}) again
          WHERE later.id > %(run)s AND again.state NOT IN ('expired', 'cancelled') OFFSET 0
      ))
      AND NOT EXISTS (
          SELECT FROM unnest(ARRAY(
              SELECT id FROM mailings_run WHERE again_of_id = %(first)s UNION ALL SELECT %(first)s
          )) AS other (id)
          CROSS JOIN LATERAL ({AGAIN.format(run="other.id")}) again
          WHERE other.id <> %(run)s
            AND (again.state IN ('queued', 'sending', 'sent') OR EXISTS (
                SELECT FROM mailings_attempt attempt WHERE attempt.delivery_id = again.id
                  AND (attempt.outcome = 'accepted' OR attempt.outcome = 'unknown' AND other.id > %(run)s) OFFSET 0
            )) OFFSET 0
      )
"""

# A locked letter is being settled by a late receipt, which decides. The planner always expects few rows of arrays, and
# so finds each letter by its id.
QUEUE_AGAIN = f"""
    WITH chosen AS MATERIALIZED (
        SELECT d.id, d.state, d.settled_at, client.email {CHOSEN} ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
    ), settled AS (
        UPDATE mailings_delivery d SET
            state = 'queued', due_at = statement_timestamp(), attempts = 0, recoveries = 0, settled_at = NULL,
            dismissed_at = NULL, address = chosen.email
        FROM unnest(
            ARRAY(SELECT id FROM chosen), ARRAY(SELECT state FROM chosen), ARRAY(SELECT settled_at FROM chosen),
            ARRAY(SELECT email FROM chosen)
        ) AS chosen (id, state, settled_at, email)
        WHERE d.id = chosen.id
        RETURNING d.run_id, 0::bigint AS worker, d.state, 0 AS tries, chosen.state AS was, chosen.settled_at AS was_at,
                  NULL::float8 AS seconds
    ), counted AS ({COUNT})
    SELECT count(*) FROM settled
"""

WRITE_AGAIN = f"""
    WITH chosen AS MATERIALIZED (
        SELECT d.id, d.client_id, d.dismissed_at, client.email {CHOSEN}
    ), written AS (
        INSERT INTO mailings_delivery (run_id, client_id, address, state, due_at)
        SELECT %(new)s, client_id, email, 'queued', statement_timestamp() FROM chosen ORDER BY client_id
        RETURNING id
    ), woken AS (
        UPDATE mailings_delivery SET dismissed_at = NULL
        WHERE id = ANY (ARRAY(SELECT id FROM chosen WHERE dismissed_at IS NOT NULL))
    )
    UPDATE mailings_run SET total = (SELECT count(*) FROM written), filled_at = clock_timestamp(),
                            again_of_id = %(first)s
    WHERE id = %(new)s RETURNING total
"""


def cancel_to(owner_id: int, client_ids: Iterable[int], reason: str = "", mailings_alone: bool = False) -> list[int]:
    """Cancel what is queued to these clients; return the ids of the runs that have nothing queued any more for that.

    `reason` is a suppression's; with `mailings_alone`, service letters stay queued.
    """
    asked = {"owner": owner_id, "clients": list(client_ids), "reason": reason, "mailings_alone": mailings_alone}
    return [run_id for (run_id,) in _execute(CANCEL, **asked)]


def cancel_stopped(owner_id: int, client_ids: Iterable[int]) -> list[int]:
    """Cancel, of what is queued to these clients, what they have stopped; return runs as `cancel_to` does."""
    return [run_id for (run_id,) in _execute(CANCEL_STOPPED, owner=owner_id, clients=list(client_ids))]


def queue_again(run: Run, states: Collection[str], ids: Collection[int] | None, cause: Cause | None = None) -> int:
    """Queue the run's letters in these states (of these ids, or of this cause) again; return how many.

    They get fresh attempts, and go to their clients' present addresses.
    """
    ((count,),) = _execute(QUEUE_AGAIN, **_choice(run, states, ids, cause))
    return int(count)


def write_again(
    new: Run, run: Run, states: Collection[str], ids: Collection[int] | None, cause: Cause | None = None
) -> int:
    """Write the letters of the run `new`, to those whose letters in `run` are in these states; return how many."""
    ((count,),) = _execute(WRITE_AGAIN, new=new.pk, **_choice(run, states, ids, cause))
    return int(count)


def _choice(run: Run, states: Collection[str], ids: Collection[int] | None, cause: Cause | None) -> dict[str, Any]:
    return {
        "run": run.pk,
        "owner": run.owner_id,
        "states": list(states),
        "ids": None if ids is None else list(ids),
        "cause": cause.key if cause else None,
        "first": run.again_of_id or run.pk,
    }


def _execute(statement: str, **parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows
