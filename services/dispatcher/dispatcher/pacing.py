"""May I send now, and how many? The gate is asked before every single hand-over; the hand bounds claims."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from dispatcher import ledger

OPEN_RUNS = f"""
    SELECT run.id, extract(epoch FROM run.window_end - clock_timestamp())::float8
    FROM {ledger.RUN_IN_CONTEXT} WHERE run.id = ANY(%(runs)s::bigint[]) AND {ledger.MAY_SEND}
"""


class Gate:
    """Which runs may hand letters over: by PostgreSQL's word of at most two seconds ago.

    `worker_is_fresh` says whether this process's own heartbeat is; without it nothing passes.
    """

    def __init__(self, worker_is_fresh: Callable[[], bool]) -> None:
        self._worker_is_fresh = worker_is_fresh
        self._closes: dict[int, float] = {}  # run → time.monotonic() when its window or our knowledge ends
        self._watchers: dict[int, int] = {}
        self._lock = threading.Lock()
        self.shut = False

    @contextmanager
    def admitting(self, run_id: int, asked: float, window_seconds: float) -> Iterator[None]:
        """Open for a run that the database, asked at `asked` (time.monotonic()), said may send; keep it fresh."""
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
        """Whether a letter of this run may be handed over this instant."""
        return not self.shut and time.monotonic() < self._closes.get(run_id, 0.0) and self._worker_is_fresh()

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


class Hand:
    """How many letters this process may have claimed at once: what its connections take, and once more."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = threading.Condition()

    def take(self, most: int) -> int:
        """Room for at most `most` letters; 0 if there is hardly any, so that claims do not become tiny."""
        with self._changed:
            least = min(most, max(1, self.size // 4))
            if self._free < least:
                return 0
            room = min(most, self._free)
            self._free -= room
            return room

    def free(self, count: int) -> None:
        """`count` letters are settled or were given back."""
        if count:
            with self._changed:
                self._free += count
                self._changed.notify_all()

    def wait(self, timeout: float) -> None:
        """Wait until letters leave the hand, at most `timeout` seconds."""
        with self._changed:
            if self._free < max(1, self.size // 4):
                self._changed.wait(timeout)


def retry_after(attempts: int) -> float:
    """Seconds to wait after the charged attempt number `attempts` failed: exponential, capped, spread by a quarter."""
    seconds: float = min(settings.RETRY_CAP_SECONDS, settings.RETRY_BASE_SECONDS * 2 ** (attempts - 1))
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def setback(count: int) -> float:
    """Seconds to stay away from a service that refused `count` times in a row."""
    seconds: float = settings.SETBACKS[min(count, len(settings.SETBACKS)) - 1]
    return seconds
