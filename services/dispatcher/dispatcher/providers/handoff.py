"""Where lanes and ready connections meet: the half of a provider that is the same for every kind of service.

A lane is one running call of `deliver`, in a thread of its own. The provider's side opens connections (`opened`),
offers them (`release`), answers letters (`answer`), and after each batch of these calls `flush` once, so that the
threads meet once a batch and not once a letter.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from dispatcher.providers.base import Letter, Receipt
from dispatcher.providers.errors import ProviderError

logger = logging.getLogger(__name__)

Connection = TypeVar("Connection")

PATIENCE = 0.5
"""Seconds after its end that a lane waits for receipts, before it leaves the letters in hand behind."""


class Lane:
    """One call of `deliver`: what it has in hand and what came back."""

    __slots__ = ("answered", "changed", "last_turn", "on_late", "receipts", "taken", "trouble", "yielded")

    def __init__(self, lock: threading.Lock) -> None:
        self.receipts: deque[Receipt] = deque()
        self.taken = 0
        """Connections taken for letters; counted by the lane's thread alone, as `answered` by the provider's."""
        self.answered = 0
        self.yielded = 0
        self.last_turn = 0
        self.trouble: ProviderError | None = None
        self.on_late: Callable[[Receipt], None] | None = None
        """What is called with further receipts, once the lane's thread has left."""
        self.changed = threading.Condition(lock)

    @property
    def in_hand(self) -> int:
        """How many letters were taken and not yet answered."""
        return self.taken - self.answered

    @property
    def turn(self) -> tuple[int, int]:
        """A key that says who of those that wait is served first: the fewest in hand, then the longest not served."""
        return self.in_hand, self.last_turn


class _End(Enum):
    END = "the letters have ended"


class Lanes(Generic[Connection]):
    """The lanes of one provider and its connections that are ready for a letter."""

    def __init__(
        self,
        hand_over: Callable[[Connection, Letter, Lane], None],
        wanted: Callable[[], ProviderError | None],
    ) -> None:
        """Use `hand_over` for each letter with its connection, and `wanted` when a lane waits and nothing is free.

        `wanted` returns why the lane waits in vain, if that is known. Both are called in the lane's thread, `wanted`
        under the lock: it must not call back.
        """
        self._hand_over = hand_over
        self._wanted = wanted
        self._lock = threading.Lock()
        self._free: deque[Connection] = deque()
        self._live: set[Connection] = set()
        self._waiting: list[Lane] = []
        self._answered: set[Lane] = set()
        self._turns = 0

    # The lane's side

    def deliver(
        self,
        letters: Iterable[Letter | None],
        until: float | None = None,
        late: Callable[[Receipt], None] | None = None,
    ) -> Iterator[Receipt]:
        """Hand the letters over as `Provider.deliver` does."""
        lane = Lane(self._lock)
        source = iter(letters)
        asking, exhausted = True, False
        fault: BaseException | None = None
        try:
            while True:
                if asking and until is not None and time.monotonic() >= until:
                    asking, exhausted = False, True
                while (
                    asking
                    and lane.trouble is None
                    and len(lane.receipts) <= len(self._live)
                    and (connection := self._take(lane)) is not None
                ):
                    try:
                        letter = next(source, _End.END)
                    except BaseException as error:  # noqa: BLE001 (raised again at the end)
                        fault, letter = error, _End.END
                    if isinstance(letter, Letter):
                        self._hand_over(connection, letter, lane)
                        continue
                    self._give_back(connection, lane)
                    asking = False
                    exhausted = exhausted or letter is _End.END
                if lane.receipts:
                    asking = not exhausted
                    lane.yielded += 1
                    yield lane.receipts.popleft()
                    continue
                wanting = asking and lane.trouble is None
                if lane.taken == lane.yielded and not wanting:
                    break
                if late is not None and until is not None and time.monotonic() >= until + PATIENCE:
                    break
                try:
                    self._wait(lane, wanting, until if wanting or late is None else until and until + PATIENCE)
                except BaseException as error:  # Ctrl-C and the like
                    if fault is not None:
                        raise
                    fault, asking, exhausted = error, False, True
        finally:
            if late is None:
                self._abandon(lane)
            else:
                self._leave(lane, late)
        if fault is not None:
            raise fault
        if lane.trouble is not None:
            raise lane.trouble

    def _take(self, lane: Lane) -> Connection | None:
        if not self._free:
            return None
        with self._lock:
            if not self._entitled(lane):
                return None
            self._turns += 1
            lane.last_turn = self._turns
            lane.taken += 1
            connection = self._free.pop()
            if self._free:
                self._wake_for_free()
            elif self._waiting:
                self._wanted()
            return connection

    def _entitled(self, lane: Lane) -> bool:
        """Say whether a connection is free and this lane's turn: up to its even share it is, then others come first."""
        if not self._free:
            return False
        rivals = [other for other in self._waiting if other is not lane]
        if not rivals or lane.in_hand < len(self._live) // (len(rivals) + 1):
            return True
        return all(lane.turn <= other.turn for other in rivals)

    def _give_back(self, connection: Connection, lane: Lane) -> None:
        with self._lock:
            lane.taken -= 1
            if connection in self._live:
                self._free.append(connection)
                self._wake_for_free()

    def _wait(self, lane: Lane, wanting: bool, until: float | None = None) -> None:
        """Wait for a receipt or, if wanting, for a connection or trouble; until `until` at most."""
        with self._lock:
            if wanting:
                self._waiting.append(lane)
            try:
                while not lane.receipts and not (wanting and self._ready(lane)):
                    left = None if until is None else until - time.monotonic()
                    if left is not None and left <= 0:
                        break
                    lane.changed.wait(left)
            finally:
                if wanting:
                    self._waiting.remove(lane)

    def _ready(self, lane: Lane) -> bool:
        if self._free:
            self._wake_for_free()
        elif lane.trouble is None:
            lane.trouble = self._wanted()
        return lane.trouble is not None or self._entitled(lane)

    def _wake_for_free(self) -> None:
        """Wake as many waiting lanes as there are free connections, those first whose turn it is."""
        if self._free and self._waiting:
            for lane in sorted(self._waiting, key=lambda waiting: waiting.turn)[: len(self._free)]:
                lane.changed.notify()

    def _leave(self, lane: Lane, late: Callable[[Receipt], None]) -> None:
        """Leave what is in hand behind: its receipts go to `late`."""
        with self._lock:
            lane.on_late = late
            left = _drained(lane)
        for receipt in left:
            late(receipt)

    def _abandon(self, lane: Lane) -> None:
        """Wait for what the caller left in hand when it closed the iterator early."""
        lost = lane.taken - lane.yielded
        while lane.taken > lane.yielded:
            while lane.receipts:
                lane.receipts.popleft()
                lane.yielded += 1
            if lane.taken > lane.yielded:
                self._wait(lane, wanting=False)
        if lost:
            logger.error("receipts lost: the caller stopped before the letters it had in hand", extra={"lost": lost})

    # The provider's side

    @property
    def waiting(self) -> int:
        """How many lanes wait for a connection."""
        return len(self._waiting)

    @property
    def free(self) -> int:
        """How many connections wait for a letter."""
        return len(self._free)

    def opened(self, connection: Connection) -> None:
        """Add a connection; `release` says when it is ready."""
        with self._lock:
            self._live.add(connection)

    def closed(self, connection: Connection) -> None:
        """Remove a connection, whether it was free, reserved or busy."""
        with self._lock:
            self._live.discard(connection)
            if connection in self._free:
                self._free.remove(connection)

    def release(self, connection: Connection) -> None:
        """Offer a connection for the next letter; `flush` must follow."""
        self._free.append(connection)

    def withdraw(self, unwanted: Callable[[Connection], bool]) -> list[Connection]:
        """Take out the free connections that are unwanted, the longest unused first, and return them."""
        with self._lock:
            withdrawn = []
            while self._free and unwanted(self._free[0]):
                withdrawn.append(self._free.popleft())
                self._live.discard(withdrawn[-1])
            return withdrawn

    def answer(self, lane: Lane, receipt: Receipt) -> None:
        """Give a letter's receipt to its lane; `flush` must follow. Called by one thread at a time."""
        lane.receipts.append(receipt)
        lane.answered += 1
        self._answered.add(lane)

    def flush(self) -> None:
        """Wake the lanes for which something changed; give receipts to the callbacks of those that have left."""
        inherited: list[tuple[Callable[[Receipt], None], list[Receipt]]] = []
        with self._lock:
            while self._answered:
                lane = self._answered.pop()
                if lane.on_late is None:
                    lane.changed.notify()
                else:
                    inherited.append((lane.on_late, _drained(lane)))
            self._wake_for_free()
        for on_late, receipts in inherited:
            for receipt in receipts:
                on_late(receipt)

    def fail(self, error: ProviderError) -> None:
        """End every lane that waits for a connection with this error: none can be had."""
        with self._lock:
            for lane in self._waiting:
                lane.trouble = error
                lane.changed.notify()


def _drained(lane: Lane) -> list[Receipt]:
    receipts = []
    while lane.receipts:  # one by one: others append meanwhile
        receipts.append(lane.receipts.popleft())
    lane.yielded += len(receipts)
    return receipts
