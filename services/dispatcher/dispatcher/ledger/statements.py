"""The hot SQL: how letters go from state to state. Each statement under a name, with the reason for its form.

Every statement is a transaction of its own and says "now" by PostgreSQL's clock. What ends a letter counts it in the
run's tally in the same statement. `statement_timestamp()` is used where an index is searched (clock_timestamp() is
volatile: it cannot be an index condition), and for when letters are settled: the hour they are counted in.

The statements leave the planner no choice that its statistics could get wrong (docs/decisions/0028): a plan that was
made while the tables were empty is still the right one beside ten million letters.

- `= ANY (ARRAY(SELECT …))`: rows are found by their keys, however many the planner expects of the sub-select.
- `LATERAL (… LIMIT 1)` and `EXISTS (… OFFSET 0)`: looked up row by row; neither can become a join of whole tables.
- Conditions on a row that is looked up by its id stand outside: inside, a partial index might seem to serve both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection

from dispatcher.ledger.rows import Bound, Claimed, DeadWorker, Key, NextRun, Settlement
from vestnik import locks
from vestnik.mailings import stops
from vestnik.mailings.ledger import own_answers
from vestnik.mailings.ledger.tallies import COUNT, NOT_ENDED, NOT_TRIED

CHUNK = 20_000
"""Letters that one statement of `close_out` ends: seconds of work, whatever the run's size."""

# A letter that may be claimed, where its run may send.
DUE = "state = 'queued' AND due_at <= statement_timestamp()"
# An order that only the index of queued letters has: that of all letters looks as good while all are queued, and is
# walked from end to end when all are sent.
IN_ORDER = "ORDER BY due_at, id OFFSET 0"

# A run that may send, by the database's word. The same conditions make the gate (sending/gate.py).
MAY_SEND = """
    run.state = 'open' AND run.cancelled_at IS NULL AND run.filled_at IS NOT NULL
    AND run.window_end > statement_timestamp()
    AND mailing.paused_at IS NULL AND mailing.switched_off_at IS NULL
    AND owner.is_active AND owner.confirmed_at IS NOT NULL
"""
RUN_IN_CONTEXT = """
    mailings_run run
    CROSS JOIN LATERAL (SELECT * FROM mailings_mailing WHERE id = run.mailing_id LIMIT 1) mailing
    CROSS JOIN LATERAL (SELECT * FROM accounts_user WHERE id = run.owner_id LIMIT 1) owner
"""

# The owner's run that waited longest, marked as served, so that lanes in all processes take turns by one order.
NEXT_RUN = f"""
    UPDATE mailings_run SET served_at = clock_timestamp()
    WHERE id = (
        SELECT run.id FROM {RUN_IN_CONTEXT}
        WHERE run.owner_id = %(owner)s AND run.id <> ALL(%(idle)s::bigint[])
          AND (%(only)s::bigint[] IS NULL OR run.id = ANY(%(only)s::bigint[])) AND {MAY_SEND}
        ORDER BY run.served_at NULLS FIRST, run.id LIMIT 1
        FOR NO KEY UPDATE OF run
    )
    RETURNING id, extract(epoch FROM window_end - clock_timestamp())::float8,
              key, sender, sender_name, reply_to, subject, html, text, mailing_id, owner_id, kind
"""

# Small claims from a moving lower bound: what other lanes hold is skipped, and index entries of letters claimed before
# (dead, but not cleaned up while somebody holds an old snapshot) are not walked again. A lane that has come to the end
# asks from the beginning, for what was given back before its bound. Who has stopped these letters meanwhile is told
# apart here: their letters are given back at once, and cancelled.
CLAIM = f"""
    WITH chosen AS MATERIALIZED (
        SELECT id FROM mailings_delivery
        WHERE run_id = %(run)s AND {DUE}
          AND (due_at, id) > (%(due)s::timestamptz, %(id)s::bigint)
          AND (SELECT ended_at IS NULL FROM mailings_worker WHERE id = %(worker)s)
          AND (SELECT state = 'open' AND cancelled_at IS NULL FROM mailings_run WHERE id = %(run)s)
        ORDER BY due_at, id LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE mailings_delivery SET state = 'sending', worker_id = %(worker)s, claim = claim + 1
        WHERE id = ANY (ARRAY(SELECT id FROM chosen))
        RETURNING id, claim, due_at, attempts, address, client_id
    )
    SELECT d.id, d.claim, d.due_at, d.attempts, d.address,
           coalesce(c.full_name, ''), coalesce(c.attributes, '{{}}')::text, c.id IS NOT NULL AND stop.reason IS NULL
    FROM claimed d
    CROSS JOIN LATERAL (SELECT * FROM mailings_run WHERE id = %(run)s LIMIT 1) run
    LEFT JOIN LATERAL (SELECT id, full_name, attributes FROM clients_client WHERE id = d.client_id LIMIT 1) c ON true
    LEFT JOIN LATERAL ({stops.OF_LETTER}) stop ON true
"""

# Asked where there is no token: a run without letters due is over, whatever the limits say.
SOMETHING_IS_DUE = f"SELECT EXISTS (SELECT FROM mailings_delivery WHERE run_id = %(run)s AND {DUE} {IN_ORDER})"

# Many receipts in one round trip. Their letters are locked first, in one order, and read then: whoever rescues them, or
# queues them again, is waited for. The attempt decides: a receipt that was written before (the answer to the first
# settlement was lost) writes nothing. A receipt of a worker that was only believed dead corrects the `unknown` attempt
# that RESCUE wrote for it, and settles the letter if nobody has claimed it since: an unknown one only if the receipt is
# final, an expired or cancelled one only if it was accepted. Where the address was erased (account_erasure.py), the
# answer is not stored either, for it may quote it.
SETTLE = f"""
    WITH receipt AS MATERIALIZED (
        SELECT r.*, d.run_id, d.state AS was, d.settled_at AS was_at, d.attempts, d.address, d.claim = r.claim AS counts
        FROM (
            SELECT * FROM unnest(
                %(deliveries)s::bigint[], %(claims)s::integer[], %(workers)s::bigint[], %(outcomes)s::text[],
                %(codes)s::smallint[], %(answers)s::text[], %(ages)s::float8[], %(durations)s::float8[],
                %(retries)s::float8[]
            ) AS it (delivery_id, claim, worker_id, outcome, code, answer, age, duration, retry_after)
            ORDER BY delivery_id
        ) r
        CROSS JOIN LATERAL (SELECT * FROM mailings_delivery WHERE id = r.delivery_id LIMIT 1 FOR NO KEY UPDATE) d
    ), attempt AS (
        INSERT INTO mailings_attempt
            (delivery_id, claim, outcome, charged, code, answer, began_at, duration, worker_id)
        SELECT delivery_id, claim, outcome, true, code, CASE WHEN address <> '' THEN answer ELSE '' END,
               clock_timestamp() - age * interval '1 second', duration, worker_id
        FROM receipt
        ON CONFLICT (delivery_id, claim) DO UPDATE SET
            outcome = excluded.outcome, charged = true, code = excluded.code, answer = excluded.answer,
            began_at = excluded.began_at, duration = excluded.duration
            WHERE NOT mailings_attempt.charged
        RETURNING delivery_id, claim, (xmax = 0) AS is_new
    ), verdict AS MATERIALIZED (
        SELECT delivery_id, was, was_at, r.worker_id, is_new::int AS tries, run.filled_at,
               statement_timestamp() + r.retry_after * interval '1 second' AS retry_at,
               CASE
                   WHEN r.outcome = 'accepted' THEN 'sent'
                   WHEN r.outcome = 'permanent' THEN 'failed'
                   WHEN r.outcome = 'unknown' AND %(hold)s THEN 'unknown'
                   WHEN r.attempts + 1 >= %(max_attempts)s THEN 'failed'
                   WHEN run.cancelled_at IS NOT NULL THEN 'cancelled'
                   WHEN statement_timestamp() + r.retry_after * interval '1 second' >= run.window_end THEN 'expired'
                   ELSE 'queued'
               END AS state
        FROM receipt r JOIN attempt USING (delivery_id, claim)
        CROSS JOIN LATERAL (SELECT * FROM mailings_run WHERE id = r.run_id LIMIT 1) run
        WHERE r.counts
    ), settled AS (
        UPDATE mailings_delivery d SET
            state = v.state, worker_id = NULL, attempts = d.attempts + 1,
            due_at = CASE WHEN v.state = 'queued' THEN v.retry_at END,
            settled_at = CASE WHEN v.state <> 'queued' THEN statement_timestamp() END
        FROM verdict v
        WHERE d.id = v.delivery_id
          AND (v.was IN ('sending', 'queued')
               OR v.was = 'unknown' AND v.tries = 0 AND v.state IN ('sent', 'failed')
               OR v.was IN ('expired', 'cancelled') AND v.tries = 0 AND v.state = 'sent')
        RETURNING d.run_id, v.worker_id AS worker, d.state, v.tries, v.was, v.was_at,
                  CASE WHEN v.state = 'sent' THEN date_part('epoch', d.settled_at - v.filled_at) END AS seconds
    )
    {COUNT}
"""

# Letters that were claimed and not handed over: no attempt, no charge, unless the run is over for them, the client is
# gone or not written to any more. Their due time stays, so they stand where they stood in the queue, unless they are
# put off for some seconds.
GIVE_BACK = f"""
    WITH verdict AS MATERIALIZED (
        SELECT d.id, given.put_off, d.worker_id AS worker, CASE
            WHEN run.cancelled_at IS NOT NULL OR client.id IS NULL OR stop.reason IS NOT NULL THEN 'cancelled'
            WHEN run.window_end <= statement_timestamp() THEN 'expired'
            ELSE 'queued' END AS state,
            CASE WHEN run.cancelled_at IS NULL THEN stop.reason END AS reason
        FROM (
            SELECT * FROM unnest(%(deliveries)s::bigint[], %(claims)s::integer[], %(put_off)s::float8[])
                AS it (id, claim, put_off)
            ORDER BY id
        ) given
        CROSS JOIN LATERAL (SELECT * FROM mailings_delivery WHERE id = given.id LIMIT 1 FOR NO KEY UPDATE) d
        CROSS JOIN LATERAL (SELECT * FROM mailings_run WHERE id = d.run_id LIMIT 1) run
        LEFT JOIN LATERAL (SELECT id FROM clients_client WHERE id = d.client_id LIMIT 1) client ON true
        LEFT JOIN LATERAL ({stops.OF_LETTER}) stop ON true
        WHERE d.claim = given.claim AND d.state = 'sending'
    ), settled AS (
        UPDATE mailings_delivery d SET
            state = v.state, worker_id = NULL, reason = coalesce(v.reason, ''),
            due_at = CASE
                WHEN v.state = 'queued' AND v.put_off > 0
                    THEN statement_timestamp() + v.put_off * interval '1 second'
                WHEN v.state = 'queued' THEN d.due_at END,
            settled_at = CASE WHEN v.state <> 'queued' THEN statement_timestamp() END
        FROM verdict v
        WHERE d.id = v.id
        RETURNING d.run_id, v.worker, d.state, {NOT_TRIED}
    )
    {COUNT}
"""

IN_HAND = "SELECT id, claim FROM mailings_delivery WHERE state = 'sending' AND worker_id = %(worker)s"

# A worker that has not beaten for ten seconds is dead; but after PostgreSQL itself was away, nobody could beat.
REAP = """
    UPDATE mailings_worker SET ended_at = clock_timestamp(), died = true
    WHERE ended_at IS NULL AND beat_at < clock_timestamp() - %(dead_after)s::interval
      AND pg_postmaster_start_time() < clock_timestamp() - %(dead_after)s::interval
    RETURNING id, name
"""

# What workers that ended had in hand may have gone out: that is written down, uncharged. A letter rescued too often
# becomes unknown, for it may be what kills workers.
RESCUE = f"""
    WITH lost AS MATERIALIZED (
        SELECT d.id, d.claim, d.worker_id, w.beat_at
        FROM mailings_delivery d
        CROSS JOIN LATERAL (SELECT * FROM mailings_worker WHERE id = d.worker_id LIMIT 1) w
        WHERE d.state = 'sending' AND w.ended_at IS NOT NULL
        FOR UPDATE OF d SKIP LOCKED
    ), attempt AS (
        INSERT INTO mailings_attempt
            (delivery_id, claim, outcome, charged, code, answer, began_at, duration, worker_id)
        SELECT id, claim, 'unknown', false, NULL, '{own_answers.WORKER_DIED}', beat_at, 0, worker_id
        FROM lost
        ON CONFLICT (delivery_id, claim) DO NOTHING
    ), settled AS (
        UPDATE mailings_delivery d SET
            worker_id = NULL, recoveries = d.recoveries + 1,
            (state, due_at, settled_at) = (
                SELECT v.state, CASE WHEN v.state = 'queued' THEN statement_timestamp() END,
                       CASE WHEN v.state <> 'queued' THEN statement_timestamp() END
                FROM (
                    SELECT CASE
                        WHEN %(hold)s OR d.recoveries + 1 >= %(recoveries)s THEN 'unknown'
                        WHEN run.cancelled_at IS NOT NULL THEN 'cancelled'
                        WHEN run.window_end <= statement_timestamp() THEN 'expired'
                        ELSE 'queued' END AS state
                    FROM mailings_run run WHERE run.id = d.run_id
                ) v
            )
        WHERE d.id = ANY (ARRAY(SELECT id FROM lost))
        RETURNING d.run_id, 0::bigint AS worker, d.state, 1 AS tries, {NOT_ENDED}
    ), counted AS ({COUNT})
    SELECT DISTINCT run_id FROM settled
"""

# None of the run's letters is queued, or in hand; each found by an index of its own.
NOTHING_LEFT = f"""
    NOT EXISTS (
        SELECT FROM mailings_delivery WHERE run_id = run.id AND state = 'queued' {IN_ORDER}
    ) AND NOT EXISTS (
        SELECT FROM mailings_delivery WHERE run_id = run.id AND state = 'sending' ORDER BY worker_id OFFSET 0
    )
"""

# What the tick has to close: runs that were cancelled, whose time is up, or whose last letter is settled.
TO_CLOSE = f"""
    SELECT id FROM mailings_run run
    WHERE state = 'open' AND (
        cancelled_at IS NOT NULL OR window_end <= statement_timestamp() OR filled_at IS NOT NULL AND {NOTHING_LEFT}
    )
"""

# Ends queued letters of a run that was cancelled or whose window has closed, some thousands a statement, one process at
# a time. In a run that goes on it reads and locks no letters.
CLOSE_OUT = f"""
    WITH over AS MATERIALIZED (
        SELECT cancelled_at FROM mailings_run
        WHERE id = %(run)s AND (cancelled_at IS NOT NULL OR window_end <= statement_timestamp())
    ), alone AS MATERIALIZED (
        SELECT cancelled_at FROM over WHERE pg_try_advisory_xact_lock(hashtextextended('{locks.CLOSE}', %(run)s))
    ), chosen AS MATERIALIZED (
        SELECT id FROM mailings_delivery
        WHERE run_id = %(run)s AND state = 'queued' AND EXISTS (SELECT FROM alone)
        ORDER BY due_at, id LIMIT %(chunk)s FOR UPDATE
    ), settled AS (
        UPDATE mailings_delivery d SET
            state = CASE WHEN (SELECT cancelled_at FROM over) IS NOT NULL THEN 'cancelled' ELSE 'expired' END,
            due_at = NULL, settled_at = statement_timestamp()
        WHERE d.id = ANY (ARRAY(SELECT id FROM chosen))
        RETURNING d.run_id, 0::bigint AS worker, d.state, {NOT_TRIED}
    ), counted AS ({COUNT})
    SELECT count(*), EXISTS (SELECT FROM over) AND NOT EXISTS (SELECT FROM alone) FROM settled
"""

# A run is over at once when its last letter is. Two statements: whoever reopens letters holds the run's row, and only
# a snapshot taken after the row is ours shows what they did. (NO KEY: what refers to the run does not wait for it.)
# The second is asked only if the first says that the run is open.
LOCK_RUN = "SELECT state = 'open' FROM mailings_run WHERE id = %(run)s FOR NO KEY UPDATE"
FINISH = f"""
    UPDATE mailings_run run SET
        state = CASE WHEN cancelled_at IS NOT NULL THEN 'cancelled'
                     WHEN filled_at IS NULL THEN 'missed' ELSE 'finished' END,
        reason = CASE WHEN cancelled_at IS NULL AND filled_at IS NULL
                      THEN 'the service was not running' ELSE reason END,
        finished_at = clock_timestamp()
    WHERE id = %(run)s
      AND (filled_at IS NOT NULL OR cancelled_at IS NOT NULL OR window_end <= statement_timestamp())
      AND {NOTHING_LEFT}
    RETURNING mailing_id
"""


def next_run(owner_id: int, idle: Sequence[int] = (), only: Sequence[int] | None = None) -> NextRun | None:
    """Return the owner's run whose turn it is, none of the `idle` ones, and one of `only` if given."""
    rows = execute(NEXT_RUN, owner=owner_id, idle=list(idle), only=None if only is None else list(only))
    return NextRun(*rows[0]) if rows else None


def claim(run_id: int, worker_id: int, limit: int, bound: Bound | None) -> list[Claimed]:
    """Claim at most `limit` due letters behind `bound` for this worker; return them in the order they are due."""
    due, last = bound or ("-infinity", 0)
    rows = execute(CLAIM, run=run_id, worker=worker_id, limit=limit, due=due, id=last)
    claimed = [Claimed(*row) for row in rows]
    return sorted(claimed, key=lambda letter: (letter.due_at, letter.delivery_id))


def something_is_due(run_id: int) -> bool:
    """Say whether a letter of the run could be claimed now."""
    return bool(execute(SOMETHING_IS_DUE, run=run_id)[0][0])


def settle(settlements: Sequence[Settlement], now: float) -> None:
    """Write attempts down. `now`: time.monotonic(), against which they began."""
    execute(
        SETTLE,
        deliveries=[it.delivery_id for it in settlements],
        claims=[it.claim for it in settlements],
        workers=[it.worker_id for it in settlements],
        outcomes=[it.outcome.value for it in settlements],
        codes=[it.code for it in settlements],
        answers=[it.answer for it in settlements],
        ages=[now - it.began for it in settlements],
        durations=[it.duration for it in settlements],
        retries=[it.retry_after for it in settlements],
        hold=settings.UNKNOWN_OUTCOMES == "hold",
        max_attempts=settings.MAX_ATTEMPTS,
    )


def give_back(keys: Collection[Key], put_off: Sequence[float] = ()) -> None:
    """Give back letters that were not handed over; each is put off for so many seconds, if any are given."""
    execute(
        GIVE_BACK,
        deliveries=[delivery_id for delivery_id, _ in keys],
        claims=[claim for _, claim in keys],
        put_off=list(put_off) or [0.0] * len(keys),
    )


def in_hand(worker_id: int) -> list[Key]:
    """Return what this worker has in hand, by the ledger."""
    return execute(IN_HAND, worker=worker_id)


def reap() -> list[DeadWorker]:
    """Declare workers without a heartbeat dead; return them."""
    return [DeadWorker(*row) for row in execute(REAP, dead_after=settings.DEAD_AFTER)]


def rescue() -> list[int]:
    """Write down what ended workers had in hand, and queue it again; return the runs it belongs to."""
    rows = execute(RESCUE, hold=settings.UNKNOWN_OUTCOMES == "hold", recoveries=settings.RECOVERIES)
    return [run_id for (run_id,) in rows]


def close_out(run_id: int) -> bool:
    """End what is queued in a run that was cancelled or whose window has closed; False if somebody else is at it."""
    while True:
        ((ended, others_turn),) = execute(CLOSE_OUT, run=run_id, chunk=CHUNK)
        if not ended:
            return not others_turn


def to_close() -> list[int]:
    """Return the runs that are over, or should be."""
    return sorted(run_id for (run_id,) in execute(TO_CLOSE))


def execute(statement: str, **parameters: Any) -> list[Any]:
    """Run a statement by the server's own binding, prepared once per connection; return its rows, if any."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement.encode(), parameters, prepare=True)
        return cursor.fetchall() if cursor.description else []
