"""The letters a process has in hand, from claim to receipt: a window that bounds its claims."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from django.db import Error

from dispatcher.ledger import rows, statements

logger = logging.getLogger(__name__)


class InFlight:
    """The letters this process has claimed: at most what its connections take, and as many again."""

    DOUBT_SECONDS = 10.0

    def __init__(self, size: int) -> None:
        self.size = size
        self._least = max(1, size // 4)
        self._letters: set[rows.Key] = set()
        self._claiming = threading.Lock()
        self._changed = threading.Condition()
        self._doubtful_until: float | None = None

    def claim(self, most: int, claim: Callable[[int], list[rows.Claimed]]) -> list[rows.Claimed] | None:
        """Hold what `claim` finds for the room there is, at most `most` letters, and return it.

        Return None if there is hardly any room: less than a quarter of the window, so that claims do not become tiny.
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
        self.release(keys)

    def release(self, keys: Collection[rows.Key]) -> None:
        """Remove letters that are settled, or were given back."""
        with self._changed:
            self._letters.difference_update(keys)
            self._changed.notify_all()

    def wait_for_room(self, timeout: float) -> None:
        """Wait until there is room, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.size - len(self._letters) >= self._least, timeout)

    @property
    def empty(self) -> bool:
        """Whether nothing is in hand."""
        return not self._letters

    def wait_until_empty(self, timeout: float) -> None:
        """Wait until nothing is in hand, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._letters, timeout)

    def give_back_strays(self, worker_id: int) -> None:
        """Give back letters that this worker has in hand by the ledger, and not in fact: an answer was lost.

        Searched for while an answer to a claim or a give-back was lost lately, and at least once after that; not beside
        a claim, which may take long, and would delay the heartbeat.
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
