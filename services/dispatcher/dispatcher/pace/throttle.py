"""Slowing down by itself where the service asks for it, and speeding up again.

When the service complains, the rate becomes a little less than what was accepted in the last second (half of what was
tried, if nothing was). It is lowered at most once a second, and once for all letters that were under way when it was
lowered last. Then it grows by a tenth a second as long as letters are accepted. The first guess, over less than a
second, may be far too low: after it, the rate doubles each second until the service complains again (the shape is TCP's
with its slow start, RFC 5681, 3.1, but by shares). Each process goes by its own answers, so that together they settle
around what the service takes.
"""

import threading
import time
from typing import NamedTuple

from dispatcher.providers.base import About, Outcome, Receipt

SLOWEST = 1.0
"""Letters a second: no service is helped by less."""
SLOWEST_IN_DOUBT = 20.0
"""Letters a second at least, where it is not certain that the service wants fewer."""
FREE = 20_000.0
"""Letters a second from which there is no limit any more."""
WITHIN = 0.9
"""Share of what was accepted in the second of the complaint, to be tried in the next."""
GROWTH = 1.1
"""Factor by which the rate grows in a second."""
SEARCH = 2.0
"""That factor after a first guess."""
BURST_SECONDS = 0.1
"""Seconds for which letters are saved up in a pause; at least one letter."""

MAYBE_THE_MAILBOX = frozenset({450, 451, 452, 454})
"""Codes that may be about one recipient (RFC 5321, 4.2.3): a full mailbox, greylisting. Only many of them mean us."""
MANY = 0.2
"""Share of the last answers that is many."""
MEMORY = 0.02
"""Weight of one answer in that share: about the last fifty count."""


class Leave(NamedTuple):
    """How many letters may go now."""

    letters: int
    wait: float
    """Seconds until one may go, if none may now."""


class Throttle:
    """How many letters this process may hand over now. Safe from any thread."""

    def __init__(self, most: float | None = None) -> None:
        """Allow `most` letters a second in any case; they go out one after the other, not in bursts."""
        self._most = most or float("inf")
        self.rate: float | None = None
        """Letters a second that the service takes; None: as many as there are."""
        self._tokens = 0.0
        self._at = self._slowed_at = self._grown_at = 0.0
        self._share = 0.0
        self._taken, self._accepted, self._since = 0, 0, 0.0
        self._last_rate = self._last_accepted = 0.0
        self._growth = GROWTH
        self._lock = threading.Lock()

    def take(self, most: int) -> Leave:
        """Take leave for at most so many letters."""
        with self._lock:
            now = time.monotonic()
            granted = most
            rate = min(self.rate or self._most, self._most)
            if rate < FREE:
                self._tokens = min(max(1.0, rate * BURST_SECONDS), self._tokens + (now - self._at) * rate)
                self._at = now
                granted = min(most, int(self._tokens))
                if not granted:
                    return Leave(0, max(0.001, (1 - self._tokens) / rate))
                self._tokens -= granted
            self._count(granted, now)
            return Leave(granted, 0.0)

    def give_back(self, count: int) -> None:
        """Give back leave for letters that were not handed over after all."""
        with self._lock:
            self._tokens += count
            self._taken -= count

    def record(self, receipt: Receipt) -> None:
        """Note what became of a letter."""
        throttled = receipt.throttled
        if receipt.outcome is Outcome.ACCEPTED:
            self._accepted += 1
        if not throttled and self.rate is None and not self._share:
            return
        with self._lock:
            self._share += MEMORY * (throttled - self._share)
            if throttled and (self._share >= MANY or receipt.retry_after or receipt.code not in MAYBE_THE_MAILBOX):
                doubt = receipt.about is About.UNCLEAR and receipt.code in MAYBE_THE_MAILBOX
                self._slow_down(receipt.began, SLOWEST_IN_DOUBT if doubt else SLOWEST)
            elif receipt.outcome is Outcome.ACCEPTED:
                self._speed_up()

    def _slow_down(self, began: float, least: float) -> None:
        now = time.monotonic()
        if began < self._slowed_at or now - self._slowed_at < 1.0:  # services count by the second
            return
        self._count(0, now)
        accepted = max(self._last_accepted, float(self._accepted))
        self._growth = SEARCH if self.rate is None and not self._last_accepted else GROWTH
        before = self.rate if self.rate is not None else max(self._last_rate, float(self._taken))
        slower = max(least, min(accepted, before) * WITHIN if accepted else before / 2)
        self.rate = slower if self.rate is None else min(self.rate, slower)
        self._tokens = 0.0
        self._slowed_at = self._at = self._grown_at = now

    def _speed_up(self) -> None:
        now = time.monotonic()
        if self.rate is None or now - self._grown_at < BURST_SECONDS:
            return
        self.rate *= self._growth ** min(1.0, now - self._grown_at)  # no longer pause was a test of the service
        self._grown_at = now
        if self.rate >= FREE:
            self.rate = None

    def _count(self, granted: int, now: float) -> None:
        """Count letters a second: in the second before this one, and in this one so far."""
        if now - self._since >= 1.0:
            passed = now - self._since
            self._last_rate, self._last_accepted = self._taken / passed, self._accepted / passed
            self._since, self._taken, self._accepted = now, 0, 0
        self._taken += granted
