"""May this run's letters be handed over now? The gate is asked before every single one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from dispatcher.ledger import statements

OPEN_RUNS = f"""
    SELECT run.id, extract(epoch FROM run.window_end - clock_timestamp())::float8
    FROM {statements.RUN_IN_CONTEXT} WHERE run.id = ANY(%(runs)s::bigint[]) AND {statements.MAY_SEND}
"""

# Where refusals are in doubt: do other letters come, which may be taken? One in hand, or one that is due and may go.
SOMETHING_COMES = f"""
    SELECT EXISTS (
        SELECT FROM {statements.RUN_IN_CONTEXT}
        WHERE {statements.MAY_SEND} AND (
            EXISTS (SELECT FROM mailings_delivery WHERE run_id = run.id AND state = 'sending' OFFSET 0)
            OR EXISTS (SELECT FROM mailings_delivery WHERE run_id = run.id AND {statements.DUE} {statements.IN_ORDER})
        )
    )
"""


def something_comes() -> bool:
    """Say whether a letter of any run is in hand, or due and may be sent. Raises django.db.Error."""
    with connection.cursor() as cursor:
        cursor.execute(SOMETHING_COMES)
        return bool(cursor.fetchone()[0])


class Gate:
    """Which runs may hand letters over: by PostgreSQL's word of at most two seconds ago.

    `worker_is_fresh` says whether this process's own heartbeat is, `service_is_there` whether its pace allows any
    letter; without them nothing passes.
    """

    def __init__(self, worker_is_fresh: Callable[[], bool], service_is_there: Callable[[], bool]) -> None:
        self._worker_is_fresh = worker_is_fresh
        self._service_is_there = service_is_there
        self._closes: dict[int, float] = {}  # run → time.monotonic() when its window or our knowledge ends
        self._watchers: dict[int, int] = {}
        self._lock = threading.Lock()
        self.shut = False

    @contextmanager
    def admitting(self, run_id: int, asked: float, window_seconds: float) -> Iterator[None]:
        """Let a run pass that the database, asked at `asked` (time.monotonic()), said may send, and keep that fresh."""
        with self._lock:
            self._watchers[run_id] = self._watchers.get(run_id, 0) + 1
            self._closes[run_id] = asked + min(window_seconds, settings.GATE_VALID_FOR.total_seconds())
        try:
            yield
        finally:
            with self._lock:
                self._watchers[run_id] -= 1
                if not self._watchers[run_id]:
                    del self._watchers[run_id], self._closes[run_id]

    def is_open(self, run_id: int) -> bool:
        """Say whether a letter of this run may be handed over this instant."""
        return (
            not self.shut
            and time.monotonic() < self._closes.get(run_id, 0.0)
            and self._worker_is_fresh()
            and self._service_is_there()
        )

    def refresh(self) -> None:
        """Ask the database about every run that a lane works on."""
        runs = list(self._watchers)
        if not runs:
            return
        asked = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(OPEN_RUNS, {"runs": runs})
            window_seconds = dict(cursor.fetchall())
        valid = settings.GATE_VALID_FOR.total_seconds()
        with self._lock:
            for run_id in runs:
                if run_id in self._closes:
                    self._closes[run_id] = asked + min(window_seconds.get(run_id, -1.0), valid)
