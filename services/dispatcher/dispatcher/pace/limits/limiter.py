"""Tokens for letters, and when a domain takes the next one: what one process knows of the limits that all share."""

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import redis
from django.conf import settings

from dispatcher.pace.limits import refill, windows
from dispatcher.pace.limits.rules import Windows
from dispatcher.pace.scripts import TIME
from vestnik import addresses

logger = logging.getLogger(__name__)

REFILLING_SECONDS = 0.2
"""When to ask again whether somebody has refilled the windows."""

FRESH_SECONDS = windows.LEASE_SECONDS - 1


@dataclass(frozen=True, slots=True)
class Permit:
    """Tokens that were granted, or how long to wait for some."""

    count: int
    wait: float
    """Seconds until there may be one, if there is none."""
    of_owner: bool
    """Whether it is the owner's limit that stands in the way; else the provider's, and everybody waits."""


@dataclass(slots=True)
class _Account:
    """What this process took of one key. Times are milliseconds of its own clock, rounded up."""

    limits: Windows
    held: int = 0
    """Tokens outstanding as far as Redis knows; of these …"""
    used: dict[int, int] = field(default_factory=dict)
    """… so many were used since, by the millisecond, …"""
    returned: int = 0
    """… and so many given back."""
    leased_at: float = -math.inf
    """When Redis was last told, in seconds; not if others may have taken this process for dead before."""

    @property
    def left(self) -> int:
        """Tokens that are really outstanding."""
        return max(0, self.held - self.returned - sum(self.used.values()))

    def fresh(self, now: float) -> bool:
        return not self.left or now - self.leased_at < FRESH_SECONDS

    def told(self, used: dict[int, int], returned: int, granted: int, at: float) -> None:
        """Note that Redis was told so much, and granted so many."""
        if self.fresh(at):
            self.leased_at = at
        self.held = max(0, self.held - returned - sum(used.values())) + granted
        self.returned -= returned
        self.used = {ms: rest for ms, count in self.used.items() if (rest := count - used.get(ms, 0))}


class RateLimits:
    """The limits, in one object per process; safe from any thread.

    Without configured limits it answers at once, and Redis is not asked.
    """

    def __init__(
        self, url: str | None = None, *, clock: Callable[[], float] = time.monotonic, redis_clock: str = TIME
    ) -> None:
        """Use Redis at `url`, settings.REDIS_URL if it is None. The clocks are for tests."""
        self._rules = refill.Rules(settings.RATE_LIMITS, settings.OWNER_RATE_LIMITS, settings.DOMAIN_RATE_LIMITS)
        self.active = bool(self._rules.provider or self._rules.owner)
        """Whether there is a limit for the provider or the owners."""
        self._counter = windows.Counter(url, secrets.token_hex(8), _fingerprint(self._rules), redis_clock)
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()
        """Held while the accounts are read or changed."""
        self._talking = threading.Lock()
        """Held while Redis is told what is outstanding: reports must reach it one after the other."""
        self._met = self._lost = self._foreign = False

    @property
    def each_second(self) -> int | None:
        """How many letters a second the provider takes, if that is limited."""
        return next((window.limit for window in self._rules.provider if window.seconds == 1), None)

    @property
    def fresh(self) -> bool:
        """Whether tokens that were taken may be used. If Redis was not told of them for too long, others believed this
        process dead and did not wait for it: then all that are left have to be given back, and none can be taken."""
        if not self._accounts:
            return True
        with self._lock:
            now = self._clock()
            return all(account.fresh(now) for account in self._accounts.values())

    def take(self, owner_id: int | None, most: int, urgent: bool = False) -> Permit:
        """Take tokens for at most `most` letters of the owner; None is account mail, which only the provider limits.

        Each is to be used or given back. `urgent`: all of the long windows may be used up. Raises redis.RedisError if
        Redis does not answer, django.db.Error if it forgot and the database does not.
        """
        keys = self._keys(owner_id)
        # Where only domains are limited: what is claimed before the windows are refilled would count against itself.
        if most <= 0 or not (keys or self._rules.domains):
            return Permit(max(0, most), 0.0, of_owner=False)
        most = most if self.fresh else 0
        answer = self._exchange(keys, most, urgent)
        if self._to_refill(answer.state):
            if not refill.refill(self._counter, self._rules):
                return Permit(0, REFILLING_SECONDS, of_owner=False)
            answer = self._exchange(keys, most, urgent)
        return Permit(answer.granted, 0.0 if answer.granted else answer.wait, answer.scarce.startswith(refill.OWNER))

    def used(self, owner_id: int | None, count: int = 1) -> None:
        """Note that so many letters with tokens are handed over now; Redis is told with the next call."""
        if self.active and (keys := self._keys(owner_id)):
            now = math.ceil(self._clock() * 1000)
            with self._lock:
                for key, limits in keys.items():
                    account = self._accounts.setdefault(key, _Account(limits))
                    account.used[now] = account.used.get(now, 0) + count

    def give_back(self, owner_id: int | None, count: int) -> None:
        """Give back tokens that were not needed. Never raises: what Redis does not hear now it hears later."""
        if count > 0 and (keys := self._keys(owner_id)):
            with self._lock:
                for key, limits in keys.items():
                    self._accounts.setdefault(key, _Account(limits)).returned += count
            self._publish(keys)

    def renew(self) -> None:
        """Tell Redis that this process lives, and what it used; call it once a second. Never raises."""
        if self.active or self._rules.domains:
            self._publish(self._all())

    def close(self) -> None:
        """Tell what was used, and give back everything that is outstanding. Never raises."""
        keys = self._all()
        if keys:
            with self._lock:
                for account in self._accounts.values():
                    account.returned += account.left
            self._publish(keys)
        self._counter.close()

    def domain_wait(self, address: str) -> float:
        """Return 0.0 for a letter that goes to this normalised address now, and count it; else seconds to put it off
        by.

        Raises as `take` does.
        """
        if not self._rules.domains:
            return 0.0
        domain = addresses.domain(address)
        limits = self._rules.of_domain(domain)
        if not limits:
            return 0.0
        admission = self._counter.admit(f"{refill.DOMAIN}{domain}", limits)
        if self._to_refill(admission.state):
            if not refill.refill(self._counter, self._rules):
                return REFILLING_SECONDS
            admission = self._counter.admit(f"{refill.DOMAIN}{domain}", limits)
        return admission.wait

    def _keys(self, owner_id: int | None) -> dict[str, Windows]:
        keys = {}
        if self._rules.provider:
            keys[refill.PROVIDER] = self._rules.provider
        if self._rules.owner and owner_id is not None:
            keys[f"{refill.OWNER}{owner_id}"] = self._rules.owner
        return keys

    def _all(self) -> dict[str, Windows]:
        with self._lock:
            return {key: account.limits for key, account in self._accounts.items()}

    def _exchange(self, keys: dict[str, Windows], most: int, urgent: bool = False) -> windows.Answer:
        """Tell Redis what this process used and holds of these keys, and take at most so many tokens."""
        with self._talking:
            now = self._clock()
            with self._lock:
                accounts = {key: self._accounts.setdefault(key, _Account(limits)) for key, limits in keys.items()}
                before = [(account, dict(account.used), account.returned) for account in accounts.values()]
                reports = [
                    windows.Report(
                        key,
                        tuple((it.limit if urgent else it.ordinary, it.seconds) for it in account.limits),
                        account.left,
                        [(max(0, int(now * 1e6) - ms * 1000), count) for ms, count in account.used.items()],
                    )
                    for key, account in accounts.items()
                ]
            answer = self._counter.exchange(reports, most)
            with self._lock:
                for account, used, returned in before:
                    account.told(used, returned, answer.granted, now)
                for key, account in accounts.items():
                    if not (account.held or account.used or account.returned):
                        del self._accounts[key]
            return answer

    def _publish(self, keys: dict[str, Windows]) -> None:
        try:
            self._exchange(keys, 0)
            self._lost = False
        except redis.RedisError as error:
            if not self._lost:
                logger.warning("Redis is told later of %d limits: %s", len(keys), error)
            self._lost = True

    def _to_refill(self, state: str) -> bool:
        """Say whether this process is to refill the windows.

        One that comes with other rules than those at work makes its own hold. Whoever was there before then waits until
        it is gone: nobody would count for both.
        """
        newcomer, self._met = not self._met, True
        waits = state == "foreign" and not newcomer
        if waits and not self._foreign:
            logger.warning("nothing is sent: a process with limits for other times or domains was started later")
        self._foreign = waits
        return state != "ready" and not waits


def _fingerprint(rules: refill.Rules) -> str:
    """Return a text that is the same for processes that count the same windows, whatever the numbers."""

    def seconds(limits: Iterable[tuple[int, int]]) -> str:
        return ",".join(str(window[1]) for window in limits)

    domains = (f"{domain}={seconds(limits)}" for domain, limits in sorted(rules.domains.items()))
    return ";".join((seconds(rules.provider), seconds(rules.owner), *domains))
