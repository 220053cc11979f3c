"""What people do to letters, set-wise: one statement, whatever their number. The rules are in `verbs.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db import connection

from vestnik.mailings.causes import Cause
from vestnik.mailings.records import Run
from vestnik.mailings.tallies import COUNT, NOT_TRIED

CANCEL = f"""
    WITH chosen AS MATERIALIZED (
        SELECT d.id FROM mailings_run run JOIN mailings_delivery d ON d.run_id = run.id
        WHERE run.owner_id = %(owner)s AND run.state = 'open' AND d.client_id = ANY(%(clients)s::bigint[])
          AND d.state = 'queued'
        ORDER BY d.id FOR NO KEY UPDATE OF d
    ), settled AS (
        UPDATE mailings_delivery d SET state = 'cancelled', due_at = NULL, settled_at = statement_timestamp()
        FROM chosen WHERE d.id = chosen.id
        RETURNING d.run_id, 0::bigint AS worker, d.state, {NOT_TRIED}
    ), counted AS ({COUNT})
    SELECT DISTINCT run_id FROM settled ORDER BY run_id
"""

# Why the letter `d` is dead, as Cause.key has it.
CAUSE = """
    concat_ws('-', d.state, (
        SELECT concat_ws('-', last.outcome, last.code) FROM mailings_attempt last
        WHERE last.delivery_id = d.id AND last.claim = d.claim
    ))
"""

# Of the letters of a run: those in these states, or of these those, to clients who are still there; dismissed ones only
# if they are chosen one by one; of a cause, only those that no later run has tried (dead_letters.py). Nobody is among
# them to whom another run of the same letters has written, nor to whom a later one may have, by what its attempts say:
# that an earlier one may have was known when this run was asked for.
CHOSEN = f"""
    FROM mailings_delivery d JOIN clients_client client ON client.id = d.client_id AND client.owner_id = %(owner)s
    WHERE d.run_id = %(run)s AND d.state = ANY(%(states)s)
      AND (%(ids)s::bigint[] IS NULL AND d.dismissed_at IS NULL OR d.id = ANY(%(ids)s::bigint[]))
      AND (%(cause)s::text IS NULL OR {CAUSE} = %(cause)s AND NOT EXISTS (
          SELECT FROM mailings_run later JOIN mailings_delivery again ON again.run_id = later.id
          WHERE later.again_of_id = %(first)s AND later.id > %(run)s
            AND again.client_id = d.client_id AND again.state NOT IN ('expired', 'cancelled')
      ))
      AND NOT EXISTS (
          SELECT FROM mailings_run other JOIN mailings_delivery again ON again.run_id = other.id
          WHERE (other.again_of_id = %(first)s OR other.id = %(first)s) AND other.id <> %(run)s
            AND again.client_id = d.client_id
            AND (again.state IN ('queued', 'sending', 'sent') OR EXISTS (
                SELECT FROM mailings_attempt attempt WHERE attempt.delivery_id = again.id
                  AND (attempt.outcome = 'accepted' OR attempt.outcome = 'unknown' AND other.id > %(run)s)
            ))
      )
"""

# A letter that is locked is being settled by a receipt that comes late: that decides.
QUEUE_AGAIN = f"""
    WITH chosen AS MATERIALIZED (
        SELECT d.id, d.state, d.settled_at, client.email {CHOSEN} ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
    ), settled AS (
        UPDATE mailings_delivery d SET
            state = 'queued', due_at = statement_timestamp(), attempts = 0, recoveries = 0, settled_at = NULL,
            dismissed_at = NULL, address = chosen.email
        FROM chosen WHERE d.id = chosen.id
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
        UPDATE mailings_delivery d SET dismissed_at = NULL
        FROM chosen WHERE d.id = chosen.id AND chosen.dismissed_at IS NOT NULL
    )
    UPDATE mailings_run SET total = (SELECT count(*) FROM written), filled_at = clock_timestamp(),
                            again_of_id = %(first)s
    WHERE id = %(new)s RETURNING total
"""


def cancel_to(owner_id: int, client_ids: Iterable[int]) -> list[int]:
    """Cancel what is queued to these clients; the runs that had such letters."""
    return [run_id for (run_id,) in _execute(CANCEL, owner=owner_id, clients=list(client_ids))]


def queue_again(run: Run, states: Collection[str], ids: Collection[int] | None, cause: Cause | None = None) -> int:
    """Queue the run's letters in these states (of these ids, or of this cause) again, with fresh attempts, to the
    addresses their clients have by now; how many.
    """
    ((count,),) = _execute(QUEUE_AGAIN, **_choice(run, states, ids, cause))
    return int(count)


def write_again(
    new: Run, run: Run, states: Collection[str], ids: Collection[int] | None, cause: Cause | None = None
) -> int:
    """Write the letters of a new run: to those whose letters in `run` are in these states; how many."""
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
