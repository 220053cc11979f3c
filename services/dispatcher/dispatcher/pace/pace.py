"""At what pace a process hands letters over: the breaker, the service's own "slower", and the limits, together."""

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
"""While Redis, which keeps the limits, does not answer, nothing is sent that might go beyond them."""

NOTED_AGAIN_SECONDS = 0.25
"""By so much longer a domain's limit holds letters up before pages are told again."""

NOTED_DOMAINS = 10_000
"""Of more of them a process does not remember that pages were told."""

PROBE_SECONDS = 0.1
"""While another lane of this process tries a letter."""


class Pace:
    """One per process and provider, shared by its lanes. Safe from any thread."""

    def __init__(self, service_name: str, connections: int) -> None:
        """`connections`: so many letters in a row without an answer mean that none of them works."""
        self.breaker = Breaker(service_name)
        self.limits = RateLimits()
        self.throttle = Throttle(self.limits.each_second)
        self._connections = connections
        self._noted: dict[str, float] = {}
        """Until when (time.monotonic()) pages have been told that a domain is limited."""

    @contextmanager
    def circuit(self) -> Iterator[Callable[[], None]]:
        """Hand letters over in this block. What it gives is called before each run or delivery, and raises CircuitOpen
        while nothing may be handed over.

        A ProviderError that comes out of the block is recorded; if the breaker is open by it, CircuitOpen is raised
        from it instead. Whatever ends the block, a probe that found nothing to try is left to others.
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
        """Tokens for at most so many letters of the owner, before they are claimed; None is account mail."""
        if self.breaker.probing:
            if not self.breaker.reserve():
                return Permit(0, PROBE_SECONDS, of_owner=False)
            most = 1
        granted, wait = self.throttle.take(most)
        if not granted:
            metrics.waits("service", wait)
            return Permit(0, wait, of_owner=False)
        grant = Permit(0, ASK_AGAIN_SECONDS, of_owner=False)
        try:
            grant = self.limits.take(owner_id, granted, urgent)
        except redis.RedisError as error:
            logger.warning("the limits cannot be asked for: %s", error)
        finally:
            self.throttle.give_back(granted - grant.count)
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
        """0 for a letter that may go to this address now, and then has to; else seconds by which to put it off."""
        try:
            if wait := self.limits.domain_wait(address):
                metrics.waits("domain", wait)
                self._note_domain_limit(addresses.domain(address), wait)
            return wait
        except redis.RedisError as error:
            logger.warning("the limits of domains cannot be asked for: %s", error)
            return ASK_AGAIN_SECONDS

    def _note_domain_limit(self, domain: str, wait: float) -> None:
        """For pages. One of many letters is enough, and none is held up for want of a note."""
        until = time.monotonic() + wait
        if until - self._noted.get(domain, 0.0) < NOTED_AGAIN_SECONDS:
            return
        if len(self._noted) > NOTED_DOMAINS:
            self._noted.clear()
        self._noted[domain] = until
        with suppress(redis.RedisError):
            outages.note_domain_limit(domain, timedelta(seconds=wait))

    def handed_over(self, owner_id: int | None, letter: tuple[int, int]) -> None:
        """A letter with a token, by its id and claim, is on its way."""
        self.limits.used(owner_id)
        self.breaker.handed_over(letter)

    def give_back(self, owner_id: int | None, count: int) -> None:
        """So many tokens were not needed."""
        if count:
            self.throttle.give_back(count)
            self.limits.give_back(owner_id, count)

    def record(self, receipt: Receipt) -> None:
        """What became of a letter."""
        self.throttle.record(receipt)
        self.breaker.record(receipt, self._connections)

    def renew(self) -> None:
        """Once a second. Never raises."""
        self.breaker.renew()
        self.limits.renew()

    def close(self) -> None:
        """The process sends no more."""
        self.breaker.release_probe()
        self.limits.close()
