"""Refusals that may be of us: until it is known, their letters are neither dead nor charged (decision 0030).

A service that refuses our sender, our host or our right to send says so to every letter, and most of them with the same
codes as for a wrong address. What tells the one from the other is whether it takes letters meanwhile. So a doubtful
refusal is kept in mind here, and its letter given back to the ledger, due a little later. Then

- a letter that was begun after the refusal is taken, by any process: the refusal was about its letter, and is settled;
- or letters to many recipients are refused, and none is taken: the breaker opens, and nobody pays;
- or there are only few letters, and no more come: the refusals stand.

A letter that was refused before sending halted, and is again after others have been taken, was refused for itself, too.

What is kept in mind here is a hint as all that processes know: were it lost, the letters would be tried again.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from dispatcher.pace.breaker import Breaker
from dispatcher.providers.base import About, Outcome, Receipt
from vestnik import addresses

logger = logging.getLogger(__name__)

MANY = 20
"""Recipients refused, and nothing taken since: nothing more is handed over before it is known why."""
FEW = 5
"""Fewer than these are not many where no more letters come."""
OTHERS_SPEAK = 2.0
"""Seconds within which each process says what it has seen taken: a heartbeat, and time to be late."""
QUIET = 3.0
"""Seconds without a further refusal after which no more letters come; no fewer than OTHERS_SPEAK."""
LEAST_WAIT = 5.0
"""Seconds after which a letter that was refused in doubt is due again, at the earliest: by then it is decided."""
REMEMBERED = 10_000
"""Letters of which it is known that they were refused before sending halted; of more it is forgotten."""


class _Refusal(NamedTuple):
    receipt: Receipt
    stands: Callable[[Outcome], None]
    ended: float


class Doubts:
    """One process's doubtful refusals since the service took a letter. Safe from any thread."""

    def __init__(self, breaker: Breaker, part: Callable[[], None]) -> None:
        """`part` gives up all connections: who mends a service leaves sessions that are open as they are, often."""
        self._breaker = breaker
        self._part = part
        self._parted = False
        self._refusals: dict[int, _Refusal] = {}  # delivery → its last refusal
        self._halted: dict[int, float] = {}  # delivery → when it was refused before sending halted
        self._taken_at = -math.inf
        self._many_since: float | None = None
        self._lock = threading.Lock()

    def taken(self, receipt: Receipt) -> None:
        """A letter was taken: what was refused before it was begun was refused for itself."""
        self._taken_at = max(self._taken_at, receipt.began)
        if self._refusals:
            self._taken(receipt.began)

    def refused(self, receipt: Receipt, stands: Callable[[Outcome], None]) -> None:
        """A doubtful refusal: `stands` is called if it turns out to be of its letter, with what it then comes to."""
        refusal = _Refusal(receipt, stands, receipt.began + receipt.duration)
        with self._lock:
            before = self._halted.pop(receipt.letter.delivery_id, math.inf)
        if before < max(self._taken_at, self._breaker.taken_at):
            self._stand([refusal])
        elif self._breaker.refuses:
            self._note_halted([refusal])
            self._part()
        else:
            self._remember(refusal)

    def decide(self) -> None:
        """Once a second, when the breaker knows what others have seen. Never raises."""
        if self._breaker.refuses and not self._parted:
            self._part()
        self._parted = self._breaker.refuses
        if not self._refusals:
            return
        self._taken(self._breaker.taken_at)
        now = time.monotonic()
        with self._lock:
            if not self._refusals:
                return
            last = max(self._refusals.values(), key=lambda refusal: refusal.ended)
            recipients = self._recipients()
            quiet = now - last.ended >= QUIET
            waited = self._many_since is not None and now - self._many_since >= OTHERS_SPEAK
            halted = self._breaker.refuses
            if not (halted or waited or quiet):
                return
            decided = self._forget(last.ended)
        if not halted and (waited or recipients >= FEW):
            self._note_halted(decided)
            self._breaker.refused(last.receipt)
            self._part()
        elif not halted:
            self._stand(decided)
        self._breaker.deciding = False

    def _remember(self, refusal: _Refusal) -> None:
        with self._lock:
            self._refusals[refusal.receipt.letter.delivery_id] = refusal
            if self._many_since is None and self._recipients() >= MANY:
                self._many_since = time.monotonic()
                self._breaker.deciding = True

    def _taken(self, began: float) -> None:
        with self._lock:
            decided = self._forget(began)
            if self._recipients() < MANY:
                self._many_since, self._breaker.deciding = None, False
        self._stand(decided)

    def _forget(self, until: float) -> list[_Refusal]:
        """Take out what was refused until then."""
        decided = [refusal for refusal in self._refusals.values() if refusal.ended <= until]
        for refusal in decided:
            del self._refusals[refusal.receipt.letter.delivery_id]
        if not self._refusals:
            self._many_since = None
        return decided

    def _note_halted(self, refusals: list[_Refusal]) -> None:
        with self._lock:
            self._halted.update((refusal.receipt.letter.delivery_id, refusal.ended) for refusal in refusals)
            while len(self._halted) > REMEMBERED:
                del self._halted[next(iter(self._halted))]

    def _recipients(self) -> int:
        return len({refusal.receipt.letter.recipient for refusal in self._refusals.values()})

    def _stand(self, refusals: list[_Refusal]) -> None:
        """Settle them. One that is certainly of us, though others are taken, is no letter's end but by its last try."""
        for receipt, stands, _ in refusals:
            outcome = receipt.outcome if receipt.about is About.UNCLEAR else Outcome.TEMPORARY
            if outcome is not receipt.outcome and self._breaker.is_news(receipt.answer):
                words = addresses.masked(receipt.answer, receipt.letter.recipient)
                logger.error("some letters are refused for what the service thinks of us: %s %s", receipt.code, words)
            stands(outcome)
