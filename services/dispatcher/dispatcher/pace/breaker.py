"""The circuit breaker: while the service takes nothing, nobody claims, and one letter at a time finds out about it.

Its state is a hash in Redis, shared by all processes and read by pages (vestnik.mailings.outages):

    failures   how many there were in a row, while it is closed
    next       when the next probe may begin (ms by Redis's clock); there is no such field while it is closed
    since      when it opened
    times      how many probes in a row failed: each waits longer (PROBE_BACKOFF)
    trouble, words   the reason and a sentence about it, which names nobody
    refused          whether letter after letter was refused, whatever came after: only an accepted one closes it
    service          its name; what is known of another service does not count
    prober, until    which worker tries now, and until when others leave it to that one

Another key holds when the latest letter was begun, of all processes, that this service accepted from this login
(sending/doubts.py); never later than that was, however long the way to Redis takes.
Redis is asked once a slice, and when something happened; never for a letter. Where Redis does not answer there is no
breaker: each lane then stays away by itself.
"""

import logging
import math
import secrets
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.utils.crypto import salted_hmac

from dispatcher.ledger.rows import Key
from dispatcher.pace.breaker_scripts import AGAIN, ASK, CLOSE, FAIL, HOLD, LEAVE, RENEW
from dispatcher.providers import refusals
from dispatcher.providers.base import Outcome, Receipt
from dispatcher.providers.errors import ConnectionLimitReached, LoginRefused, Misconfigured, ProviderError
from vestnik import addresses, error_tracking, jobs
from vestnik.mailings import outages
from vestnik.mailings.outages import OutageReason
from vestnik.redis_client import new_client

logger = logging.getLogger(__name__)

REFUSED = OutageReason.REFUSED.value.encode()

PROBE_LEASE = timedelta(seconds=10)
"""How long after its last heartbeat a probe is left to the worker that began it."""

FORGET_AFTER = timedelta(minutes=10)
"""Failures that did not open the breaker are forgotten, and so is an open breaker that nobody probes any more."""

PROVED_SECONDS = 5.0
"""How long after an answer the service is believed to work, though no letter to one domain is answered."""

ASK_AGAIN = 1.0
"""Seconds after which lanes ask again whether it is decided."""

TOLD_FOR = timedelta(hours=1)
"""How long operators are not told again of refusals with the same text."""


class CircuitOpen(Exception):
    """The service takes nothing now: `wait` seconds until it is worth asking again."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the breaker is open for {wait:.1f} s")
        self.wait = wait


class Breaker:
    """One process's view of the circuit breaker. Safe from any thread."""

    def __init__(self, service_name: str) -> None:
        self.probing = False
        """Whether this process may try one letter, and no more until that is answered."""
        self.proofs = 0
        """How many letters were answered in a way that proves the service is there."""
        self.deciding = False
        """Whether it is being found out if the service refuses us: meanwhile nothing is handed over."""
        self.refuses = False
        """Whether it is open because letter after letter was refused."""
        self.taken_at = -math.inf
        """time.monotonic() when the latest accepted letter was begun, of all processes, as far as is known."""
        login = salted_hmac("vestnik.breaker", settings.MAIL_SERVICE_URL, algorithm="sha256").hexdigest()[:16]
        self._service = f"{service_name} {login}"
        self._taken_key = f"{outages.KEY}:taken:{self._service}"
        self._worker = secrets.token_hex(8)
        self._redis = new_client()
        self._lock = threading.Lock()
        self._open = False
        self._failures = 0
        self._alone_until = 0.0
        """time.monotonic() until which this process stays away by itself, where Redis does not answer."""
        self._prober: int | None = None
        """The thread that is about to hand the probe over."""
        self._probe: Key | None = None
        self._silent = 0
        self._silent_domains: set[str] = set()
        self._proved_at = -PROVED_SECONDS
        self._accepted_at = self._told_at = -math.inf
        """When the last letter was begun that was accepted here, and the last of which others have been told."""
        self._clock: float | None = None
        """Seconds from time.monotonic() to Redis's clock, or a little less; None until it was asked."""
        self._returned: Receipt | None = None
        # What `publish` has to tell.
        self._works = self._took = False
        self._refusal: Receipt | None = None
        self._again: Receipt | None = None
        self._silence: Receipt | None = None
        self._hold: Receipt | None = None

    @property
    def passes(self) -> bool:
        """Whether letters may be handed over, by what this process knows; the gate asks it for every letter."""
        return not self.deciding and (not self._open or self.probing)

    @property
    def trying(self) -> bool:
        """Whether a probe is out, and its answer is awaited."""
        return self.probing and self._probe is not None

    def check(self) -> None:
        """Ask once before a slice; raises CircuitOpen if nothing may be handed over now."""
        if self.trying:
            raise CircuitOpen(PROBE_LEASE.total_seconds())
        if self.deciding:
            self._hint(ASK_AGAIN)
            raise CircuitOpen(ASK_AGAIN)
        answer = self._call(ASK, self._worker, _ms(PROBE_LEASE), self._service)
        if answer is None:
            left = self._alone_until - time.monotonic()
            self._open = left > 0
            self.probing = False
            if left > 0:
                raise CircuitOpen(left)
            return
        verdict, wait, self._failures, trouble = answer
        self._open, self.probing = verdict != 1, verdict == 2
        self.refuses = trouble == REFUSED
        if verdict == 0:
            self._hint(wait / 1000)
            raise CircuitOpen(max(wait / 1000, 0.05))

    def reserve(self) -> bool:
        """Say whether this thread's letter is the probe."""
        with self._lock:
            if self._probe is not None or self._prober not in (None, threading.get_ident()):
                return False
            self._prober = threading.get_ident()
            return True

    def handed_over(self, letter: Key) -> None:
        """Note that a letter is on its way."""
        if self.probing:
            self._prober, self._probe = None, letter

    def release_probe(self) -> None:
        """Leave the probe to others, if this thread's slice found nothing to try."""
        if not self.probing:
            return
        with self._lock:
            if self._prober == threading.get_ident():
                self._prober = None
            idle = self._prober is None and self._probe is None
        if idle:
            self.probing = False
            self._call(LEAVE, self._worker)

    def record(self, receipt: Receipt, patience: int) -> None:
        """Note what a letter's receipt says of the service; `patience` in a row without an answer speak against it.

        Asks nobody: `publish` does, where there is news.
        """
        probe = self._probe == (receipt.letter.delivery_id, receipt.letter.claim)
        if probe:
            self._probe = None
        returned = receipt.outcome is Outcome.RETURNED
        if returned and probe:
            self._returned = receipt
        elif returned and receipt.code is not None:
            pass  # a refusal of us: its lane gets the reason
        elif receipt.retry_after:
            self._hold = receipt
        elif returned or receipt.silent or (receipt.outcome is Outcome.TEMPORARY and (receipt.code or 0) >= 500):
            self._silent += 1
            self._silent_domains.add(receipt.letter.recipient.rpartition("@")[2])
            if probe or (self._silent >= patience and not self._is_one_domains_affair()):
                self._silence = receipt
                self._reset_silence()
        elif probe and self.refuses and receipt.outcome is not Outcome.ACCEPTED:
            if receipt.doubtful:
                self._refusal = receipt
            else:
                self._again = receipt
        elif probe or not receipt.throttled:
            self.proofs += 1
            self._proved_at = time.monotonic()
            self._reset_silence()
            if receipt.outcome is Outcome.ACCEPTED:
                if receipt.letter.of_sender is None:  # by others it is not known whether ours is taken
                    self._accepted_at = max(self._accepted_at, receipt.began)
                self._took = self._took or self._open
            self._works = self._works or self._open or self._failures > 0

    def _is_one_domains_affair(self) -> bool:
        """Say whether all silence is about one domain, while others were answered just now."""
        return len(self._silent_domains) == 1 and time.monotonic() - self._proved_at < PROVED_SECONDS

    def _reset_silence(self) -> None:
        if self._silent:
            self._silent = 0
            self._silent_domains.clear()

    def publish(self) -> None:
        """Publish what was recorded. Cheap where there is nothing new."""
        if not (self._works or self._silence or self._hold or self._refusal or self._again):
            return
        with self._lock:
            works, took, self._works, self._took = self._works, self._took, False, False
            silence, self._silence = self._silence, None
            hold, self._hold = self._hold, None
            refusal, self._refusal = self._refusal, None
            again, self._again = self._again, None
        if works:
            self._close(took)
        if silence:
            said = addresses.masked(silence.answer, silence.letter.recipient)
            if self._fail(OutageReason.UNAVAILABLE, said, settings.BREAKER_FAILURES) is None:
                self._stay_away_alone(settings.PROBE_BACKOFF[0])
        if refusal:
            self.refused(refusal)
        if again:
            self._try_again(settings.PROBE_BACKOFF[0] if again.outcome is Outcome.TEMPORARY else 0.0)
        if hold:
            self._leave_alone(hold.retry_after or 0.0, addresses.masked(hold.answer, hold.letter.recipient))

    def refused(self, receipt: Receipt) -> None:
        """Open the breaker, as the service refuses letter after letter, for instance this one."""
        said = addresses.masked(f"{receipt.code} {receipt.answer}", receipt.letter.recipient)
        message, weight = f"letter after letter is refused: {said}", settings.BREAKER_FAILURES
        if self._fail(OutageReason.REFUSED, message, weight, said=receipt.answer) is None:
            self._stay_away_alone(settings.PROBE_BACKOFF[-1])

    def is_news(self, text: str) -> bool:
        """Say whether operators were not told lately of a refusal with such a text; then it counts as told."""
        key = f"vestnik:told:{salted_hmac('vestnik.told', refusals.gist(text), algorithm='sha256').hexdigest()[:32]}"
        try:
            return bool(self._redis.set(key, 1, nx=True, px=TOLD_FOR))
        except redis.RedisError:
            return True

    def failed(self, error: ProviderError) -> float | None:
        """Record that no connection was to be had; return seconds to stay away if that opened the breaker, else
        None.
        """
        self._returned = None
        if isinstance(error, ConnectionLimitReached):
            return None
        if not isinstance(error, Misconfigured):
            return self._fail(OutageReason.UNAVAILABLE, str(error), 1)
        waits = settings.LOGIN_BACKOFF if isinstance(error, LoginRefused) else settings.PROBE_BACKOFF
        return self._fail(OutageReason.MISCONFIGURED, str(error), settings.BREAKER_FAILURES, waits)

    def renew(self) -> None:
        """Keep a probe that is out, publish what was recorded, see what others found; once a second. Never raises."""
        self.publish()
        returned, self._returned = self._returned, None
        if returned and self.probing:  # its lane had left, and nobody said why
            said = addresses.masked(returned.answer, returned.letter.recipient)
            self._fail(OutageReason.UNAVAILABLE, said, settings.BREAKER_FAILURES)
        accepted = self._accepted_at
        news = -1 if accepted <= self._told_at else self._by_redis(accepted)
        now = time.monotonic()
        known = self._call(RENEW, self._worker, _ms(PROBE_LEASE), news, _ms(FORGET_AFTER))
        open_for = -1
        if known is None:
            self._open = now < self._alone_until
        else:
            open_for, trouble, taken_ago, their_now = known
            self._clock = their_now / 1000 - time.monotonic()
            self._told_at = accepted if news >= 0 else self._told_at
            self._open, self.refuses = open_for >= 0, trouble == REFUSED
            others = now - (taken_ago + 1) / 1000 if taken_ago >= 0 else -math.inf
            self.taken_at = max(accepted, others)
        if not self._open:
            self.probing = False
        elif (now - self._proved_at) * 1000 < open_for:  # answered here after others found it away
            self._close(took=(now - self._accepted_at) * 1000 < open_for)

    def _by_redis(self, moment: float) -> int:
        """Return the moment by Redis's clock, in ms, or a little earlier; -1 while that cannot be known."""
        if self._clock is None:
            try:
                seconds, microseconds = self._redis.time()
            except redis.RedisError:
                return -1
            self._clock = seconds + microseconds / 1e6 - time.monotonic()
        return math.floor((moment + self._clock) * 1000)

    def _fail(
        self,
        trouble: OutageReason,
        message: str,
        weight: int,
        backoff: Sequence[float] | None = None,
        said: str | None = None,
    ) -> float | None:
        """Record a failure. If `said` is given, operators are told only if they were not told of such a text lately."""
        message = addresses.masked(message)  # it may quote an address, and pages and the log show it
        waits = [round(seconds * 1000) for seconds in backoff or settings.PROBE_BACKOFF]
        answer = self._call(
            FAIL,
            self._worker,
            weight,
            settings.BREAKER_FAILURES,
            trouble.value,
            message,
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
        self.refuses = self.refuses or trouble == OutageReason.REFUSED
        self._hint(wait)
        if news and (said is None or self.is_news(said)):
            ours = trouble in (OutageReason.MISCONFIGURED, OutageReason.REFUSED)
            log = logger.error if ours else logger.warning
            log("nothing is handed over, the next try is in %.1f s: %s", wait, message)
            if not ours:  # that was an error, which Sentry hears of by itself
                error_tracking.report(
                    f"Nothing is handed over, the mail service is away: {message}", "breaker", trouble
                )
        return wait

    def _leave_alone(self, seconds: float, message: str) -> None:
        """Leave the service alone for as long as it asked."""
        self._open, self.probing = True, False
        news = self._call(HOLD, round(seconds * 1000), message, _ms(FORGET_AFTER), self._service)
        if news is None:
            self._stay_away_alone(seconds)
        else:
            self._hint(seconds)
        if news:
            logger.warning("the service asked to be left alone for %.0f s: %s", seconds, message)

    def _stay_away_alone(self, seconds: float) -> None:
        self._alone_until = time.monotonic() + seconds
        self._open = True

    def _try_again(self, wait: float) -> None:
        """Let another probe begin after `wait` seconds: the answer was about its letter alone."""
        self.probing = False
        if self._call(AGAIN, self._worker, round(wait * 1000), _ms(FORGET_AFTER)):
            self._hint(wait)

    def _close(self, took: bool) -> None:
        closed = self._call(CLOSE, self._worker, int(took))
        if closed == -1:
            return
        self._open = self.probing = self.refuses = False
        self._failures = 0
        self._alone_until = 0.0
        if closed:
            logger.warning("the service takes letters again")
            jobs.TICK.enqueue()

    def _hint(self, seconds: float) -> None:
        """Enqueue one tick at the time of the next probe: it wakes all lanes, and one of them is the probe."""
        at = math.ceil((time.time() + seconds) * 10) / 10
        wait = at - time.time()
        with suppress(redis.RedisError):
            hinted = f"vestnik:probe:{at:.1f}"
            if self._redis.set(hinted, 1, nx=True, px=round(wait * 1000) + 5000) and not jobs.TICK.enqueue(
                delay=timedelta(seconds=wait)
            ):
                self._redis.delete(hinted)

    def _call(self, script: str, *arguments: str | int) -> Any:
        """Return the script's answer; None without Redis."""
        try:
            return self._redis.eval(script, 2, outages.KEY, self._taken_key, *arguments)
        except redis.RedisError as error:
            logger.debug("no breaker without Redis: %s", error)
            return None


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
