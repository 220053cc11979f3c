"""Telling operators of new dead letters: once for each run and cause, however many letters and processes there are.

A report is an error in the log, and so an event at Sentry. The ledger has a row for each: whoever writes it first
reports.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import sentry_sdk
from django.db import Error, connection

from dispatcher.providers.base import Outcome
from vestnik.mailings.ledger.causes import Cause

logger = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Runs and causes that a process knows as reported; with more it forgets them all, and asks again."""

NOTED = 10_000
"""Letters that are noted while the database is away; more are not."""

# One of the letters of each run and cause that are dead by the ledger's word, and whether this statement was the first
# to report it. No report is made twice: whoever comes second waits for the first one's row, and finds it there.
REPORT = """
    WITH dead AS MATERIALIZED (
        SELECT DISTINCT ON (d.run_id, d.state, last.outcome, last.code)
               d.run_id, d.state, last.outcome, last.code, d.id,
               concat_ws('-', d.state, last.outcome, last.code) AS reason
        FROM {letters} d
        LEFT JOIN LATERAL (
            SELECT outcome, code FROM mailings_attempt WHERE delivery_id = d.id AND claim = d.claim LIMIT 1
        ) last ON true
        WHERE d.state IN ('failed', 'unknown') AND d.dismissed_at IS NULL
        ORDER BY d.run_id, d.state, last.outcome, last.code, d.id
    ), reported AS (
        INSERT INTO mailings_deadletterreport (run_id, reason)
        SELECT run_id, reason FROM dead ORDER BY run_id, reason
        ON CONFLICT (run_id, reason) DO NOTHING
        RETURNING run_id, reason
    )
    SELECT dead.run_id, run.mailing_id, run.owner_id, dead.id, dead.state, dead.outcome, dead.code,
           reported.reason IS NOT NULL
    FROM dead LEFT JOIN reported USING (run_id, reason)
    CROSS JOIN LATERAL (SELECT * FROM mailings_run WHERE id = dead.run_id LIMIT 1) run
    ORDER BY dead.run_id, dead.reason
"""
OF_LETTERS = REPORT.format(
    letters="""
        unnest(%(letters)s::bigint[]) AS noted (id)
        CROSS JOIN LATERAL (SELECT * FROM mailings_delivery WHERE id = noted.id LIMIT 1)"""
)
SET_ASIDE = REPORT.format(
    letters="""
        unnest(%(runs)s::bigint[]) AS recovered (id)
        CROSS JOIN LATERAL (
            SELECT * FROM mailings_delivery
            WHERE run_id = recovered.id AND state = 'unknown' AND dismissed_at IS NULL OFFSET 0
        )"""
)

DEADLY = frozenset({Outcome.TEMPORARY, Outcome.PERMANENT, Outcome.UNKNOWN})
"""What a letter may die of; a temporary failure is its end if it was the last attempt."""


class Reporter:
    """Notes what letters were answered, and reports those that died of it. For one thread, or with a lock."""

    def __init__(self) -> None:
        self._noted: list[int] = []
        self._known: set[tuple[int, str | None, int | None]] = set()

    def note(self, run_id: int, delivery_id: int, outcome: Outcome, code: int | None) -> None:
        """Note that a receipt has been written down. Asks nobody; `flush` asks whether the letter is dead."""
        if outcome in DEADLY and (run_id, outcome, code) not in self._known and len(self._noted) < NOTED:
            self._noted.append(delivery_id)

    def flush(self) -> None:
        """Report what is new among the letters that were noted; in one statement, and in none if nothing is.

        Never raises: while the database is away the notes are kept.
        """
        if not self._noted:
            return
        try:
            found = _report(OF_LETTERS, letters=self._noted)
        except Error as error:
            logger.warning("dead letters are reported later: %s", error)
            return
        self._noted = []
        if len(self._known) + len(found) > REMEMBERED:
            self._known.clear()
        self._known.update((run_id, cause.outcome, cause.code) for run_id, cause in found)


def report_set_aside(run_ids: Collection[int]) -> None:
    """Report unknown letters of these runs, set aside by a rescue or by UNKNOWN_OUTCOMES, if nobody has reported them.

    Raises django.db.Error.
    """
    if run_ids:
        _report(SET_ASIDE, runs=list(run_ids))


def _report(statement: str, **parameters: Any) -> list[tuple[int, Cause]]:
    """Report what was not yet; return each run and cause of which there are dead letters."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    found = []
    for run_id, mailing_id, owner_id, delivery_id, state, outcome, code, is_new in rows:
        cause = Cause(state, outcome, code)
        found.append((run_id, cause))
        if is_new:
            _log(cause, run_id=run_id, mailing_id=mailing_id, owner_id=owner_id, delivery_id=delivery_id)
    return found


def _log(cause: Cause, **ids: int | None) -> None:
    """Log one error, which is an event of its own at Sentry, and never grouped with others."""
    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = ["dead-letters", str(ids["run_id"]), cause.key]
        logger.error(
            "run %(run_id)d of mailing %(mailing_id)s, owner %(owner_id)d: dead letters, %(words)s;"
            " letter %(delivery_id)d is one of them",
            {**ids, "words": cause.sentence},
            extra={**ids, "reason": cause.key},
        )
