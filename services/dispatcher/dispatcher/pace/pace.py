"""The pace at which a process hands letters over: the breaker, the service's own "slower", and the limits, together."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import redis

from dispatcher import metrics
from dispatcher.pace.breaker import Breaker, CircuitOpen
from dispatcher.pace.limits import Permit, RateLimits
from dispatcher.pace.throttle import Throttle
from dispatcher.providers.base import Receipt
from dispatcher.providers.errors import ProviderError
from vestnik import addresses
from vestnik.mailings import outages

logger = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 1.0
"""How long to wait while Redis, which keeps the limits, does not answer: nothing may go beyond them."""

NOTED_AGAIN_SECONDS = 0.25
"""How much later a domain's limit must end for pages to be told again."""

NOTED_DOMAINS = 10_000
"""Domains of which a process remembers that pages were told."""

PROBE_SECONDS = 0.1
"""How long to wait while another lane of this process tries a letter."""


class Pace:
    """One per process and provider, shared by its lanes. Safe from any thread."""

    def __init__(self, service_name: str, connections: int) -> None:
        """Watch the service of this name; `connections` letters in a row without an answer mean that none of them
        works.
        """
        self.breaker = Breaker(service_name)
        self.limits = RateLimits()
        self.throttle = Throttle(self.limits.each_second)
        self._connections = connections
        self._noted: dict[str, float] = {}
        """Until when (time.monotonic()) pages have been told that a domain is limited."""

    @contextmanager
    def circuit(self) -> Iterator[Callable[[], None]]:
        """Hand letters over in this block.

        It yields a function to be called before each run or delivery, which raises CircuitOpen while nothing may be
        handed over. A ProviderError that comes out of the block is recorded; if that opens the breaker, CircuitOpen is
        raised from it instead. However the block ends, a probe that found nothing to try is left to others.
        """
        try:
            yield self.breaker.check
        except ProviderError as error:
            if (wait := self.breaker.failed(error)) is not None:
                raise CircuitOpen(wait) from error
            raise
        finally:
            self.breaker.release_probe()

    def take(self, owner_id: int | None, most: int, urgent: bool = False) -> Permit:
        """Take tokens for at most so many letters of the owner, before they are claimed; None is account mail."""
        if self.breaker.probing:
            if not self.breaker.reserve():
                return Permit(0, PROBE_SECONDS, of_owner=False)
            most = 1
        leave = self.throttle.take(most)
        if not leave.letters:
            metrics.waits("service", leave.wait)
            return Permit(0, leave.wait, of_owner=False)
        grant = Permit(0, ASK_AGAIN_SECONDS, of_owner=False)
        try:
            grant = self.limits.take(owner_id, leave.letters, urgent)
        except redis.RedisError as error:
            logger.warning("the limits cannot be asked for: %s", error)
        finally:
            self.throttle.give_back(leave.letters - grant.count)
        if not grant.count:
            metrics.waits("owner" if grant.of_owner else "installation", grant.wait)
        if not grant.count and grant.wait > ASK_AGAIN_SECONDS:
            with suppress(redis.RedisError):
                outages.note_limit(owner_id if grant.of_owner else None, timedelta(seconds=grant.wait))
        return grant

    @property
    def free(self) -> bool:
        """Whether letters may be handed over, by what this process knows; the gate asks it for every letter."""
        return self.breaker.passes and self.limits.fresh

    def domain_wait(self, address: str) -> float:
        """Return 0 for a letter that may go to this address now, and then has to; else seconds by which to put it
        off.
        """
        try:
            if wait := self.limits.domain_wait(address):
                metrics.waits("domain", wait)
                self._note_domain_limit(addresses.domain(address), wait)
            return wait
        except redis.RedisError as error:
            logger.warning("the limits of domains cannot be asked for: %s", error)
            return ASK_AGAIN_SECONDS

    def _note_domain_limit(self, domain: str, wait: float) -> None:
        """Note it for pages. One note for many letters is enough, and none waits because a note failed."""
        until = time.monotonic() + wait
        if until - self._noted.get(domain, 0.0) < NOTED_AGAIN_SECONDS:
            return
        if len(self._noted) > NOTED_DOMAINS:
            self._noted.clear()
        self._noted[domain] = until
        with suppress(redis.RedisError):
            outages.note_domain_limit(domain, timedelta(seconds=wait))

    def handed_over(self, owner_id: int | None, letter: tuple[int, int]) -> None:
        """Note that a letter with a token, by its id and claim, is on its way."""
        self.limits.used(owner_id)
        self.breaker.handed_over(letter)

    def give_back(self, owner_id: int | None, count: int) -> None:
        """Give back so many tokens that were not needed."""
        if count:
            self.throttle.give_back(count)
            self.limits.give_back(owner_id, count)

    def record(self, receipt: Receipt) -> None:
        """Note what became of a letter."""
        self.throttle.record(receipt)
        self.breaker.record(receipt, self._connections)

    def renew(self) -> None:
        """Keep what is shared with other processes; call it once a second. Never raises."""
        self.breaker.renew()
        self.limits.renew()

    def close(self) -> None:
        """Give everything back: the process sends no more."""
        self.breaker.release_probe()
        self.limits.close()
