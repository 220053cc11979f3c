"""How a run ends: its queued letters, where it was cancelled or its time is up, and then the run itself."""

from datetime import timedelta

from django.db import connection, transaction

from dispatcher.ledger import statements
from vestnik import clock, homepage_hint, jobs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run, RunState

EARLY = timedelta(seconds=10)
"""How much clocks of hosts may differ from the database's. Later ends have hints of their own."""


def close_in_time(run_id: int) -> None:
    """Close the run, as the job does; a hint that came early by the database's clock is repeated for the rest."""
    if close(run_id):
        return
    run = Run.objects.filter(pk=run_id, state=RunState.OPEN, cancelled_at=None).only("window_end").first()
    if run and timedelta() < run.window_end - clock.now() < EARLY:
        runs.hint_end(run)


def close(run_id: int) -> bool:
    """End what may no longer be sent, and the run if nothing is left; return whether this call ended the run.

    Gives up at once if somebody else is closing the run: whoever ends the last letter finishes it.
    """
    return statements.close_out(run_id) and finish(run_id)


def finish(run_id: int) -> bool:
    """Finish the run if its last letter is settled; return whether this call did.

    An occurrence that waited for it is launched.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        runs.lock_mailing(run_id)
        cursor.execute(statements.LOCK_RUN, {"run": run_id})
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(statements.FINISH, {"run": run_id})
        over = cursor.fetchone()
        if over:
            homepage_hint.changed()
        if over and over[0] is not None:
            runs.end_pause_if_over(over[0])
            jobs.launch(over[0])
        if over:
            jobs.note_refused(run_id)
    return bool(over)
