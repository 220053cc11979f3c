"""The circuit breaker: while the service takes nothing, nobody claims, and one letter at a time finds out about it.

Its state is a hash in Redis, shared by all processes and read by pages (vestnik.mailings.service):

    failures   how many there were in a row, while it is closed
    next       when the next probe may begin (ms by Redis's clock); there is no such field while it is closed
    since      when it opened
    times      how many probes in a row were in vain: each waits longer (SETBACKS)
    trouble, words   what it was
    service          whose name; what is known of another service counts for nothing
    prober, until    who tries now, and until when others leave it to them

Redis is asked once a slice, and when something happened; never for a letter. Where Redis does not answer there is no
breaker: each lane then stays away by itself.
"""

import logging
import math
import secrets
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings

from dispatcher.entries import Key
from dispatcher.providers.base import Outcome, Receipt
from dispatcher.providers.errors import Misconfigured, NoRoom, ProviderError
from vestnik import addresses, jobs, monitoring
from vestnik.mailings import service
from vestnik.mailings.service import Trouble
from vestnik.settings import impatient

logger = logging.getLogger(__name__)

PROBE_LEASE = timedelta(seconds=10)
"""A probe is left to whoever began it for so long after their last heartbeat."""

FORGET_AFTER = timedelta(minutes=10)
"""Failures that did not open the breaker are forgotten, and so is an open breaker that nobody probes any more."""

PROVED_SECONDS = 5.0
"""For so long after an answer the service is believed to be there, though all letters to one domain meet silence."""

SUSPECT = 20
"""So many refusals in a row that would meet every letter are a fault of ours, and no further letter pays for it."""

_NOW = "local time = redis.call('TIME'); local now = time[1] * 1000 + math.floor(time[2] / 1000);"

# May this worker (ARGV 1) send to the service of this name (ARGV 3)? {verdict, milliseconds to wait, failures}: 0 no,
# 1 yes, 2 yes, as a probe. What is known of another service is forgotten.
ASK = f"""
    {_NOW}
    local failures, next_at, till, prober, name =
        unpack(redis.call('HMGET', KEYS[1], 'failures', 'next', 'until', 'prober', 'service'))
    if name and name ~= ARGV[3] then
        redis.call('DEL', KEYS[1])
        failures, next_at = 0, nil
    end
    if not next_at then return {{1, 0, tonumber(failures or 0)}} end
    local mine = prober == ARGV[1]
    if not mine and tonumber(till or 0) > now then return {{0, tonumber(till) - now, 0}} end
    if not mine and tonumber(next_at) > now then return {{0, tonumber(next_at) - now, 0}} end
    redis.call('HSET', KEYS[1], 'prober', ARGV[1], 'until', now + ARGV[2])
    return {{2, 0, 0}}
"""

# It went wrong, as often as ARGV 2 says: {is open, milliseconds to wait, is news}. Once open, only the probe counts:
# others hear of letters that were under way before.
FAIL = f"""
    {_NOW}
    local worker, weight, enough, trouble, words, forget, name = unpack(ARGV, 1, 7)
    local next_at, prober, was = unpack(redis.call('HMGET', KEYS[1], 'next', 'prober', 'trouble'))
    if next_at and prober ~= worker then return {{1, math.max(tonumber(next_at) - now, 0), 0}} end
    if not next_at then
        if redis.call('HINCRBY', KEYS[1], 'failures', weight) < tonumber(enough) then
            redis.call('HSET', KEYS[1], 'service', name)
            redis.call('PEXPIRE', KEYS[1], forget)
            return {{0, 0, 0}}
        end
        redis.call('HSET', KEYS[1], 'since', now)
    end
    local times = redis.call('HINCRBY', KEYS[1], 'times', 1)
    local wait = tonumber(ARGV[7 + math.min(times, #ARGV - 7)])
    redis.call('HSET', KEYS[1], 'next', now + wait, 'trouble', trouble, 'words', words, 'service', name)
    redis.call('HDEL', KEYS[1], 'prober', 'until', 'failures')
    redis.call('PEXPIRE', KEYS[1], wait + forget)
    return {{1, wait, was == trouble and 0 or 1}}
"""

# The service asks to be left alone until then: {is news}. The latest it named stands.
HOLD = f"""
    {_NOW}
    local next_at = redis.call('HGET', KEYS[1], 'next')
    redis.call('HDEL', KEYS[1], 'prober', 'until')
    if next_at and tonumber(next_at) >= now + ARGV[1] then return 0 end
    redis.call('HSETNX', KEYS[1], 'since', now)
    redis.call('HSET', KEYS[1], 'next', now + ARGV[1], 'trouble', 'throttled', 'words', ARGV[2], 'service', ARGV[4])
    redis.call('PEXPIRE', KEYS[1], ARGV[1] + ARGV[3])
    return next_at and 0 or 1
"""

# It works: 1 if it was open; -1 if it stays so, for the service asked to be left alone, and this was no probe.
CLOSE = f"""
    {_NOW}
    local next_at, trouble, prober = unpack(redis.call('HMGET', KEYS[1], 'next', 'trouble', 'prober'))
    if next_at and trouble == 'throttled' and tonumber(next_at) > now and prober ~= ARGV[1] then return -1 end
    redis.call('DEL', KEYS[1])
    return next_at and 1 or 0
"""

# A probe that had nothing to try.
LEAVE = "if redis.call('HGET', KEYS[1], 'prober') == ARGV[1] then redis.call('HDEL', KEYS[1], 'prober', 'until') end"

# Keep the probe, if it is this worker's: for how many milliseconds it has been open, -1 if it is not.
RENEW = f"""
    {_NOW}
    local next_at, prober, since = unpack(redis.call('HMGET', KEYS[1], 'next', 'prober', 'since'))
    if prober == ARGV[1] then redis.call('HSET', KEYS[1], 'until', now + ARGV[2]) end
    return next_at and now - since or -1
"""


class Open(Exception):
    """The service takes nothing now: `wait` seconds until it is worth asking again."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the breaker is open for {wait:.1f} s")
        self.wait = wait


class Breaker:
    """One process's view of it. Safe from any thread."""

    def __init__(self, service_name: str) -> None:
        self.probing = False
        """Whether this process may try one letter, and no more, until it has its answer."""
        self.proofs = 0
        """How many letters were answered in a way that proves the service is there."""
        self._service = service_name
        self._worker = secrets.token_hex(8)
        self._redis = redis.Redis.from_url(impatient(settings.REDIS_URL))
        self._lock = threading.Lock()
        self._open = False
        self._failures = 0
        self._alone_until = 0.0
        """time.monotonic() until which this process stays away by itself, where Redis does not answer."""
        self._prober: int | None = None
        """The thread that is about to hand the probe over."""
        self._probe: Key | None = None
        self._suspicious = 0
        self._silent = 0
        self._silent_domains: set[str] = set()
        self._proved_at = -PROVED_SECONDS
        self._returned: Receipt | None = None
        # What is to be told.
        self._works = False
        self._silence: Receipt | None = None
        self._hold: Receipt | None = None

    @property
    def passes(self) -> bool:
        """Whether letters may be handed over, by what this process knows; the gate asks it for every letter."""
        return not self._open or self.probing

    @property
    def trying(self) -> bool:
        """Whether a probe is out, and its answer is awaited."""
        return self.probing and self._probe is not None

    def ask(self) -> None:
        """Once before a slice: raises Open if nothing may be handed over now."""
        if self.trying:
            raise Open(PROBE_LEASE.total_seconds())
        answer = self._call(ASK, self._worker, _ms(PROBE_LEASE), self._service)
        if answer is None:
            left = self._alone_until - time.monotonic()
            self._open = left > 0
            self.probing = False
            if left > 0:
                raise Open(left)
            return
        verdict, wait, self._failures = answer
        self._open, self.probing = verdict != 1, verdict == 2
        if verdict == 0:
            self._hint(wait / 1000)
            raise Open(max(wait / 1000, 0.05))

    def reserve(self) -> bool:
        """Whether this thread's letter is the probe."""
        with self._lock:
            if self._probe is not None or self._prober not in (None, threading.get_ident()):
                return False
            self._prober = threading.get_ident()
            return True

    def handed_over(self, letter: Key) -> None:
        """A letter is on its way."""
        if self.probing:
            self._prober, self._probe = None, letter

    def leave(self) -> None:
        """A thread's slice is over: a probe that found nothing to try is left to others."""
        if not self.probing:
            return
        with self._lock:
            if self._prober == threading.get_ident():
                self._prober = None
            idle = self._prober is None and self._probe is None
        if idle:
            self.probing = False
            self._call(LEAVE, self._worker)

    def heard(self, receipt: Receipt, patience: int) -> None:
        """What a letter's receipt says of the service; so many in a row without an answer (`patience`) speak against
        it. Asks nobody: `tell` does, where something is to be told."""
        probe = self._probe == (receipt.letter.delivery_id, receipt.letter.claim)
        if probe:
            self._probe = None
        returned = receipt.outcome is Outcome.RETURNED
        if returned and probe:
            self._returned = receipt
        elif returned and receipt.code is not None:
            pass  # a refusal of us: its lane is told why
        elif receipt.retry_after:
            self._hold = receipt
        elif returned or receipt.silent or (receipt.outcome is Outcome.TEMPORARY and (receipt.code or 0) >= 500):
            self._silent += 1
            self._silent_domains.add(receipt.letter.recipient.rpartition("@")[2])
            if probe or (self._silent >= patience and not self._is_one_domains_affair()):
                self._silence = receipt
                self._forget_silence()
        elif receipt.about_us:
            self._suspicious += 1
            if self._suspicious >= SUSPECT:
                self._silence = receipt
        elif probe or not receipt.throttled:
            self.proofs += 1
            self._proved_at = time.monotonic()
            self._suspicious = 0
            self._forget_silence()
            self._works = self._open or self._failures > 0

    def _is_one_domains_affair(self) -> bool:
        """Whether all who are silent are behind one domain, and others have been answered just now."""
        return len(self._silent_domains) == 1 and time.monotonic() - self._proved_at < PROVED_SECONDS

    def _forget_silence(self) -> None:
        if self._silent:
            self._silent = 0
            self._silent_domains.clear()

    def is_our_fault(self, receipt: Receipt) -> bool:
        """Whether this refusal is one of many that met every letter: this one is not to pay for it."""
        return receipt.about_us and self._suspicious >= SUSPECT

    def tell(self) -> None:
        """Tell the others what was heard. Cheap where there is nothing to tell."""
        if not (self._works or self._silence or self._hold):
            return
        with self._lock:
            works, self._works = self._works, False
            silence, self._silence = self._silence, None
            hold, self._hold = self._hold, None
        if works:
            self._close()
        if silence:
            ours = silence.about_us
            words = f"letter after letter is refused: {silence.code} {silence.answer}" if ours else silence.answer
            trouble = Trouble.MISCONFIGURED if ours else Trouble.UNAVAILABLE
            if self._fail(trouble, words, settings.BREAKER_FAILURES) is None:
                self._stay_away_alone(settings.SETBACKS[-1] if ours else settings.SETBACKS[0])
        if hold:
            self._leave_alone(hold.retry_after or 0.0, hold.answer)

    def failed(self, error: ProviderError) -> float | None:
        """No connection was to be had: seconds to stay away if the breaker is open now; None if it is not (yet)."""
        self._returned = None
        if isinstance(error, NoRoom):
            return None
        trouble = Trouble.MISCONFIGURED if isinstance(error, Misconfigured) else Trouble.UNAVAILABLE
        return self._fail(trouble, str(error), settings.BREAKER_FAILURES if trouble == Trouble.MISCONFIGURED else 1)

    def renew(self) -> None:
        """Once a second: keep a probe that is out, tell what was heard, see what others found. Never raises."""
        self.tell()
        returned, self._returned = self._returned, None
        if returned and self.probing:  # its lane had left, and nobody said why
            self._fail(Trouble.UNAVAILABLE, returned.answer, settings.BREAKER_FAILURES)
        known = self._call(RENEW, self._worker, _ms(PROBE_LEASE))
        if known is None:
            self._open = time.monotonic() < self._alone_until
        else:
            self._open = known >= 0
        if not self._open:
            self.probing = False
        elif known is not None and (time.monotonic() - self._proved_at) * 1000 < known:
            self._close()  # answered here after others found it away

    def _fail(self, trouble: Trouble, words: str, weight: int) -> float | None:
        waits = [round(seconds * 1000) for seconds in settings.SETBACKS]
        answer = self._call(
            FAIL,
            self._worker,
            weight,
            settings.BREAKER_FAILURES,
            trouble.value,
            words,
            _ms(FORGET_AFTER),
            self._service,
            *waits,
        )
        if answer is None:
            return None
        is_open, milliseconds, news = answer
        wait: float = max(milliseconds / 1000, 0.05)
        self._failures += 1
        if not is_open:
            return None
        self._open, self.probing = True, False
        self._hint(wait)
        if news:
            log = logger.error if trouble == Trouble.MISCONFIGURED else logger.warning
            log("nothing is handed over, the next try is in %.1f s: %s", wait, addresses.masked(words))
            if trouble != Trouble.MISCONFIGURED:  # that was an error, which Sentry hears of by itself
                monitoring.tell(f"Nothing is handed over, the mail service is away: {words}", "breaker", trouble)
        return wait

    def _leave_alone(self, seconds: float, words: str) -> None:
        """As the service asked for."""
        self._open, self.probing = True, False
        news = self._call(HOLD, round(seconds * 1000), words, _ms(FORGET_AFTER), self._service)
        if news is None:
            self._stay_away_alone(seconds)
        else:
            self._hint(seconds)
        if news:
            logger.warning("the service asked to be left alone for %.0f s: %s", seconds, addresses.masked(words))

    def _stay_away_alone(self, seconds: float) -> None:
        self._alone_until = time.monotonic() + seconds
        self._open = True

    def _close(self) -> None:
        closed = self._call(CLOSE, self._worker)
        if closed == -1:
            return
        self._open = self.probing = False
        self._failures = 0
        self._alone_until = 0.0
        if closed:
            logger.warning("the service takes letters again")
            jobs.TICK.enqueue()

    def _hint(self, seconds: float) -> None:
        """A tick at the time of the next probe wakes all lanes, and one of them is it. Once for all who hint at it."""
        at = math.ceil((time.time() + seconds) * 10) / 10
        wait = at - time.time()
        with suppress(redis.RedisError):
            hinted = f"vestnik:probe:{at:.1f}"
            if self._redis.set(hinted, 1, nx=True, px=round(wait * 1000) + 5000) and not jobs.TICK.enqueue(
                delay=timedelta(seconds=wait)
            ):
                self._redis.delete(hinted)

    def _call(self, script: str, *arguments: str | int) -> Any:
        """The script's answer; None without Redis."""
        try:
            return self._redis.eval(script, 1, service.KEY, *arguments)
        except redis.RedisError as error:
            logger.debug("no breaker without Redis: %s", error)
            return None


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
