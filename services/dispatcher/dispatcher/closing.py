"""How a run ends: its queued letters, where it was cancelled or its time is up, and then the run itself."""

from django.db import connection, transaction

from dispatcher import ledger
from vestnik import jobs
from vestnik.front import figures


def close(run_id: int) -> bool:
    """End what may no longer be sent, and the run if nothing is left; whether the run is over by this call.

    Gives up at once if somebody else is closing the run: whoever ends the last letter finishes it.
    """
    return ledger.close_out(run_id) and finish(run_id)


def finish(run_id: int) -> bool:
    """Finish the run if its last letter is settled; whether this call did. An occurrence that waited is launched."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ledger.LOCK_RUN, {"run": run_id})
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(ledger.FINISH, {"run": run_id})
        over = cursor.fetchone()
        if over:
            figures.changed()
        if over and over[0] is not None:
            jobs.launch(over[0])
    return bool(over)
