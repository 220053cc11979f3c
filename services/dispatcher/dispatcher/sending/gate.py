"""May I send now, and how many? The gate is asked before every single hand-over; the hand bounds claims."""

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings
from django.db import Error, connection

from dispatcher.ledger import rows, statements

logger = logging.getLogger(__name__)

OPEN_RUNS = f"""
    SELECT run.id, extract(epoch FROM run.window_end - clock_timestamp())::float8
    FROM {statements.RUN_IN_CONTEXT} WHERE run.id = ANY(%(runs)s::bigint[]) AND {statements.MAY_SEND}
"""


class Gate:
    """Which runs may hand letters over: by PostgreSQL's word of at most two seconds ago.

    `worker_is_fresh` says whether this process's own heartbeat is, `service_is_there` whether its pace allows for any;
    without them nothing passes.
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


class Hand:
    """The letters this process has claimed: at most what its connections take, and once more."""

    DOUBT_SECONDS = 10.0

    def __init__(self, size: int) -> None:
        self.size = size
        self._least = max(1, size // 4)
        self._letters: set[rows.Key] = set()
        self._claiming = threading.Lock()
        self._changed = threading.Condition()
        self._doubtful_until: float | None = None

    def claim(self, most: int, claim: Callable[[int], list[rows.Claimed]]) -> list[rows.Claimed] | None:
        """Hold what `claim` finds for the room there is, at most `most` letters. None if there is hardly any room: a
        quarter of the hand at least, so that claims do not become tiny.
        """
        with self._claiming:
            room = min(most, self.size - len(self._letters))
            if room < min(most, self._least):
                return None
            with self._doubting():
                claimed = claim(room)
            with self._changed:
                self._letters.update(letter.key for letter in claimed)
            return claimed

    def give_back(self, keys: Collection[rows.Key], put_off: Sequence[float] = ()) -> None:
        """Give back letters that were not handed over; if the database does not take them now, a little later.

        `put_off`: for each of them, in how many seconds at the earliest it is due again.
        """
        try:
            with self._doubting():
                statements.give_back(keys, put_off)
        except Error as error:
            logger.warning("%d letters wait to be given back: %s", len(keys), error)
        self.let_go(keys)

    def let_go(self, keys: Collection[rows.Key]) -> None:
        """These letters are settled, or were given back."""
        with self._changed:
            self._letters.difference_update(keys)
            self._changed.notify_all()

    def wait(self, timeout: float) -> None:
        """Wait until there is room, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.size - len(self._letters) >= self._least, timeout)

    def wait_until_empty(self, timeout: float) -> None:
        """Wait until nothing is in hand, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._letters, timeout)

    def clear_doubts(self, worker_id: int) -> None:
        """Give back what the ledger believes in this worker's hand and is not: the answer to a claim, or a give-back,
        was lost. Looked for while one was, lately, and at least once after that; not beside a claim, which may take
        long, and with it the heartbeat.
        """
        until = self._doubtful_until
        if until is None or not self._claiming.acquire(blocking=False):
            return
        try:
            began = time.monotonic()
            strays = [key for key in statements.in_hand(worker_id) if key not in self._letters]
        finally:
            self._claiming.release()
        if began > until and self._doubtful_until == until:
            self._doubtful_until = None
        if strays:
            logger.warning("%d letters were claimed and never received; they are given back", len(strays))
            statements.give_back(strays)

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        try:
            yield
        except Error:
            self._doubtful_until = time.monotonic() + self.DOUBT_SECONDS
            raise


def retry_after(attempts: int) -> float:
    """Seconds to wait after the charged attempt number `attempts` failed: exponential, capped, spread by a quarter."""
    seconds: float = min(settings.RETRY_CAP_SECONDS, settings.RETRY_BASE_SECONDS * 2 ** (attempts - 1))
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def setback(count: int) -> float:
    """Seconds to stay away from a service that refused `count` times in a row."""
    seconds: float = settings.SETBACKS[min(count, len(settings.SETBACKS)) - 1]
    return seconds
