"""Slowing down by itself where the service asks for it, and speeding up again.

The rate becomes a little less than what was taken in the last second (half of what was tried, if nothing was), at most
once a second, and once for all that was under way when it was lowered last; then it grows by a tenth a second as long
as letters are taken. The first guess, of less than a second, may be far too low: after it, the rate doubles each second
until the service complains again (the shape is TCP's with its slow start, RFC 5681, 3.1, but by shares). Each process
goes by the answers that it gets itself, so that together they settle around what the service takes.
"""

import threading
import time

from dispatcher.providers.base import About, Outcome, Receipt

SLOWEST = 1.0
"""Letters a second: slower than that spares nobody anything."""
SLOWEST_IN_DOUBT = 20.0
"""The same where the service has not said that it wants fewer: if nothing is taken, slowness does not help."""
FREE = 20_000.0
"""Letters a second from which there is no limit any more."""
WITHIN = 0.9
"""Of what was taken in a second when the service complained: so much is tried in the next."""
GROWTH = 1.1
"""Factor a second."""
SEARCH = 2.0
"""The same after a first guess."""
BURST_SECONDS = 0.1
"""What a pause saves up: letters for so long, and at least one."""

MAYBE_THE_MAILBOX = frozenset({450, 451, 452, 454})
"""They may be about one recipient (RFC 5321, 4.2.3): a full mailbox, greylisting. Only many of them mean us."""
MANY = 0.2
"""Of the last answers, this share."""
MEMORY = 0.02
"""What one answer weighs in it: it goes by the last fifty or so."""


class Throttle:
    """How many letters this process may hand over now. Safe from any thread."""

    def __init__(self, most: float | None = None) -> None:
        """`most`: letters a second that are allowed in any case; they go out one after the other, not in heaps."""
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

    def take(self, most: int) -> tuple[int, float]:
        """Of so many letters, how many may go now; and if none, the seconds until one may."""
        with self._lock:
            now = time.monotonic()
            granted = most
            rate = min(self.rate or self._most, self._most)
            if rate < FREE:
                self._tokens = min(max(1.0, rate * BURST_SECONDS), self._tokens + (now - self._at) * rate)
                self._at = now
                granted = min(most, int(self._tokens))
                if not granted:
                    return 0, max(0.001, (1 - self._tokens) / rate)
                self._tokens -= granted
            self._count(granted, now)
            return granted, 0.0

    def give_back(self, count: int) -> None:
        """So many were not handed over after all."""
        with self._lock:
            self._tokens += count
            self._taken -= count

    def record(self, receipt: Receipt) -> None:
        """What became of a letter."""
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
        """How many a second were taken before this second, and how many in it so far."""
        if now - self._since >= 1.0:
            passed = now - self._since
            self._last_rate, self._last_accepted = self._taken / passed, self._accepted / passed
            self._since, self._taken, self._accepted = now, 0, 0
        self._taken += granted
