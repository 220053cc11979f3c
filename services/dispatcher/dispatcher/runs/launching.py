"""From an occurrence to a run and its letters."""

import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction

from dispatcher.ledger import closing
from vestnik import clock, homepage_hint, jobs, locks, mode, planner
from vestnik.mailings import audience, calendar, stops
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run, RunState
from vestnik.mailings.models import Mailing

logger = logging.getLogger(__name__)

# Client by client, in the order of their ids (docs/decisions/0028): a launch takes what its own audience takes, however
# many clients there are beside it, and whatever is known of clients that were imported a moment ago. Who is not written
# to is counted in the same statement, by reason; nobody else is left out.
WRITE = f"""
    WITH run AS MATERIALIZED (
        SELECT id, owner_id, mailing_id, kind FROM mailings_run WHERE id = %s
    ), chosen AS MATERIALIZED (
        SELECT client.id, client.email, stop.reason
        FROM (SELECT id FROM ({{chosen}}) AS chosen (id) ORDER BY id) chosen
        CROSS JOIN LATERAL (SELECT id, owner_id, email FROM clients_client WHERE id = chosen.id LIMIT 1) client
        CROSS JOIN run
        LEFT JOIN LATERAL ({stops.OF_CLIENT}) stop ON true
        WHERE client.owner_id = (SELECT owner_id FROM run)
    ), written AS (
        INSERT INTO mailings_delivery (run_id, client_id, address, state, due_at)
        SELECT (SELECT id FROM run), id, email, 'queued', statement_timestamp() FROM chosen WHERE reason IS NULL
    )
    SELECT reason, count(*) FROM chosen GROUP BY reason ORDER BY reason
"""


def launch_and_wake(mailing_id: int) -> None:
    """Launch what is due of the mailing, and wake its lanes. A hint that came early is repeated for the rest."""
    launched = launch(mailing_id)
    for run in launched:
        if run.state == RunState.OPEN:
            jobs.wake(run.owner_id)
            runs.hint_end(run)
    if launched and settings.MODE == mode.PRODUCTION:
        jobs.try_link()
    if not launched:
        next_at = Mailing.objects.filter(pk=mailing_id).values_list("next_at", flat=True).first()
        if next_at and timedelta() < (wait := next_at - clock.now()) < jobs.horizon():
            jobs.launch(mailing_id, wait)


def launch(mailing_id: int) -> list[Run]:
    """Launch what is due of the mailing: its occurrence, a run that was asked for by hand. Return the runs it filled.

    Idempotent. Occurrences whose window has closed are recorded as missed, or as skipped if the mailing was held.
    """
    _make_room(mailing_id)
    with transaction.atomic():
        if not locks.take(locks.LAUNCH, mailing_id):
            return []  # whoever is at it does it all
        mailing = Mailing.objects.select_related("owner", "message").filter(pk=mailing_id).first()
        if mailing is None:
            return []
        started = [run for run in (_fill_asked(mailing), _launch_occurrence(mailing)) if run]
        homepage_hint.changed()
    for run in started:
        planner.tell({"mailings_delivery": run.total}, wait=True)
        logger.info("run %d of mailing %d: %d letters", run.pk, mailing_id, run.total, extra={"run_id": run.pk})
    return started


def _make_room(mailing_id: int) -> None:
    """Close an open run whose time is up before the next begins, if nothing of it is in hand."""
    for run in Run.objects.filter(mailing=mailing_id, state=RunState.OPEN, window_end__lte=clock.now()):
        closing.close(run.pk)


def _fill_asked(mailing: Mailing) -> Run | None:
    """Write the letters of a run that was opened by hand."""
    run = Run.objects.filter(
        mailing=mailing, state=RunState.OPEN, filled_at=None, cancelled_at=None, window_end__gt=clock.now()
    ).first()
    return _fill(mailing, run) if run else None


def _launch_occurrence(mailing: Mailing) -> Run | None:
    """Open and fill the run of the occurrence that is due, after recording those before it that were not launched."""
    now = clock.now()
    planned = mailing.next_at
    if planned is None or planned > now:
        return None
    runs.record_passed(mailing, now)
    current = calendar.latest_occurrence(mailing.schedule, now)
    run = None
    if current is not None and calendar.window_end(mailing.schedule, current) > now:
        taken = mailing.runs.filter(occurrence=current).exists()
        if not taken and (mailing.hold or mailing.runs.filter(state=RunState.OPEN).exists()):
            _wait(mailing, planned, current)
            return None
        if not taken:
            window_end = calendar.window_end(mailing.schedule, current)
            run = _fill(mailing, runs.open_run(mailing, window_end, occurrence=current))
    _move_on(mailing, now, run)
    return run


def _wait(mailing: Mailing, planned: datetime, occurrence: datetime) -> None:
    """Let this occurrence wait inside its window, unless an edit planned otherwise meanwhile."""
    Mailing.objects.filter(pk=mailing.pk, next_at=planned).update(next_at=occurrence)


def _move_on(mailing: Mailing, now: datetime, run: Run | None) -> None:
    """Plan the occurrence after `now`, by the mailing's schedule as it is by now.

    It may have been edited while the letters were written, by somebody who could not see the new run.
    """
    current = Mailing.objects.select_for_update(no_key=True).get(pk=mailing.pk)
    current.next_at = calendar.next_occurrence(current.schedule, now)
    current.save(update_fields=["next_at"])
    runs.end_pause_if_over(mailing.pk)
    if run and run.state == RunState.OPEN and current.schedule != mailing.schedule:
        runs.move_window(run, current)


def _fill(mailing: Mailing, run: Run) -> Run | None:
    """Write the run's letters, one for each client of the audience, in one statement; None if it was over meanwhile."""
    chosen, parameters = audience.ids(mailing).query.sql_with_params()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WRITE.format(chosen=chosen), [run.pk, *parameters])
        counted = dict(cursor.fetchall())
        run.total, run.left_out = counted.pop(None, 0), counted
        run.filled_at = clock.now()
        if not run.total:
            run.state, run.finished_at, run.reason = RunState.FINISHED, run.filled_at, _nobody(run)
        changed = Run.objects.filter(pk=run.pk, state=RunState.OPEN).update(
            total=run.total,
            left_out=run.left_out,
            filled_at=run.filled_at,
            state=run.state,
            finished_at=run.finished_at,
            reason=run.reason,
        )
        if not changed:
            transaction.set_rollback(True)
            return None
    return run


def _nobody(run: Run) -> str:
    """Return why the run has no letters."""
    return "everybody in the audience is on the suppression list" if run.left_out else "the audience is empty"


class DueSoon(NamedTuple):
    """A mailing that will fall due."""

    mailing_id: int
    wait: timedelta


def due_soon(within: timedelta) -> list[DueSoon]:
    """Return the mailings that fall due later than now and `within` that time."""
    now = clock.now()
    soon = Mailing.objects.due(now + within).filter(next_at__gt=now).values_list("pk", "next_at")
    return [DueSoon(pk, next_at - now) for pk, next_at in soon if next_at]
