"""Lanes: an owner's slots, each held by an expiring token in Redis: only so many work, however many messages come.

All of this is a hint: were Redis to lose it, the tick would wake every lane that should be awake.
"""

import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta

import redis
from django.conf import settings
from django.db import Error
from dramatiq.errors import Retry

from dispatcher.ledger import due
from dispatcher.pace.breaker import CircuitOpen
from dispatcher.providers.errors import ConnectionLimitReached, ProviderError, Unavailable
from dispatcher.sending import backoff, engine, slices
from dispatcher.sending.slices import SliceResult
from vestnik import addresses, jobs
from vestnik.mailings.ledger.models import Run
from vestnik.redis_client import impatient_redis

logger = logging.getLogger(__name__)

WAITING = timedelta(minutes=10)
"""How long a token lives while its lane's message waits in the queue: longer than turns take."""

RUNNING = timedelta(seconds=10)
"""How long a token lives after its process's last heartbeat while its lane works: dead workers lose their slots. Also
until its message is certainly in the queue: one that never gets there loses its slot, too.
"""

SLOT_RETRIES = 5
"""How often a message comes again while Redis does not say who holds its slot."""

LONGEST_WAIT = 60.0
"""Seconds after which a lane that waits for a limit asks again in any case: somebody may have raised it."""

NO_ROOM_SECONDS = 1.0
"""How long a lane stays away when other processes have all the connections."""

# Take or keep a slot that is free, or held by this token already.
HOLD = """
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
"""
FAULTS = (redis.RedisError, OSError, Retry, Error)
"""Errors of Redis and of the database, where a hint is given."""

RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
EXTEND = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
FREE = "if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then return redis.call('DEL', KEYS[1]) end return 0"


class SlotUnknown(Retry):
    """Redis does not say who holds a slot: the job has to come again."""


def wake(owner_id: int) -> None:
    """Enqueue a lane for each of the owner's slots that nobody holds. Raises SlotUnknown."""
    try:
        for slot in range(settings.LANES_PER_OWNER):
            token = secrets.token_hex(8)
            if impatient_redis().set(_slot(owner_id, slot), token, nx=True, px=RUNNING):
                _queue_up(owner_id, slot, token)
    except redis.RedisError as error:
        raise SlotUnknown(str(error)) from None


def free_waiting_slots() -> None:
    """Free the slots of waiting lanes, whose messages may be lost. Raises redis.RedisError.

    Redis refused something, or came back with less than it had. Messages that exist nevertheless find their slots taken
    by others, and end. Lanes that work keep theirs.
    """
    for key in impatient_redis().scan_iter(match="vestnik:lane:*", count=1000):
        impatient_redis().eval(FREE, 1, key, _ms(RUNNING))


def may_come_again(retries: int, error: BaseException) -> bool:
    """Say whether a slice that failed so may be tried again: one that had begun would be a second lane."""
    return isinstance(error, SlotUnknown) and retries < SLOT_RETRIES


def run_slice(owner_id: int, slot: int, token: str, failures: int = 0) -> None:
    """Work one slice for the owner, then queue up behind the other lanes, or end if nothing is due.

    Raises SlotUnknown before it has done anything.
    """
    key = _slot(owner_id, slot)
    try:
        if not _hold(key, token, RUNNING):
            return
    except redis.RedisError as error:
        raise SlotUnknown(str(error)) from None
    _running[key] = token
    left = slices.AGAIN
    try:
        until = time.monotonic() + settings.SLICE_SECONDS
        left, failures = slices.send_slice(_engine(), owner_id, until), 0
    except CircuitOpen:
        left = slices.NOTHING_DUE  # a tick wakes it (breaker.py)
    except ConnectionLimitReached:
        left = SliceResult(something_is_due=True, wait=NO_ROOM_SECONDS)
    except (ProviderError, Error) as error:
        failures += 1
        left = SliceResult(something_is_due=True, wait=backoff.probe_backoff(failures))
        log = logger.warning if isinstance(error, Unavailable) else logger.error
        log("nothing can be handed over for %.0f s: %s", left.wait, addresses.masked(str(error)))
    finally:
        _end(owner_id, slot, token, failures, left)


def sleep_until_due(owner_id: int, wake_now: bool = True) -> None:
    """Wake the owner's lanes when the next letter is due; at once, if one became due while a lane was ending.

    Not `wake_now` while the breaker is open: a tick does, when it is time for a probe.
    """
    seconds = due.next_due(owner_id)
    if seconds is None:
        return
    if seconds <= 0:
        if wake_now:
            wake(owner_id)
        return
    at = math.ceil((time.time() + seconds) * 10) / 10
    wait = at - time.time()
    hinted = f"vestnik:wake:{owner_id}:{at:.1f}"
    if impatient_redis().set(hinted, 1, nx=True, px=round(wait * 1000) + 5000) and not jobs.WAKE.enqueue(
        owner_id, delay=timedelta(seconds=wait)
    ):
        impatient_redis().delete(hinted)


def _end(owner_id: int, slot: int, token: str, failures: int, left: SliceResult) -> None:
    """End the slice: come again when letters may go, or give the slot back.

    If Redis does not allow that now, a later heartbeat does it.
    """
    key = _slot(owner_id, slot)
    with _renewing:
        del _running[key]
    try:
        if not left.something_is_due:
            _leave(owner_id, key, token)
        elif _hold(key, token, RUNNING):
            wait = timedelta(seconds=min(left.wait, LONGEST_WAIT)) if left.wait else None
            _queue_up(owner_id, slot, token, failures, wait)
    except FAULTS as error:
        logger.warning("a lane gives its slot back later: %s", error)
        _leaving.append((owner_id, key, token))


def _leave(owner_id: int, key: str, token: str) -> None:
    """Give the slot back, and have lanes woken when there are letters for them."""
    impatient_redis().eval(RELEASE, 1, key, token)
    sleep_until_due(owner_id, wake_now=_engine().pace.breaker.passes)


def _engine() -> engine.Engine:
    return engine.get(_renew, _look_after)


_leaving: deque[tuple[int, str, str]] = deque()  # lanes that could not give their slots back
_running: dict[str, str] = {}  # the slots that this process's lanes work in, with their tokens
_renewing = threading.Lock()  # a slot that was given back is not to be held again


def _hold(key: str, token: str, lives: timedelta) -> bool:
    return bool(impatient_redis().eval(HOLD, 1, key, token, _ms(lives)))


def _queue_up(owner_id: int, slot: int, token: str, failures: int = 0, delay: timedelta | None = None) -> None:
    """Enqueue the lane that holds this slot by this token.

    The token gets its long life only when its message is in the queue.
    """
    key = _slot(owner_id, slot)
    if jobs.send(owner_id, slot, token, failures, delay):
        with suppress(redis.RedisError):  # it is in the queue, and works whether its slot is free or its own
            impatient_redis().eval(EXTEND, 1, key, token, _ms(WAITING))
    else:
        impatient_redis().eval(RELEASE, 1, key, token)


def _look_after(run_ids: Collection[int]) -> None:
    """Wake lanes for letters to be tried again, after receipts that came when the lanes had left."""
    for owner_id in Run.objects.filter(pk__in=run_ids).values_list("owner_id", flat=True).distinct():
        sleep_until_due(owner_id)


def _renew() -> None:
    """Keep the slots of the lanes that work, and let those leave that could not; at every heartbeat."""
    try:
        for key, token in list(_running.items()):
            with _renewing:
                if _running.get(key) == token:
                    _hold(key, token, RUNNING)
        while _leaving:
            _leave(*_leaving[0])
            _leaving.popleft()
    except FAULTS as error:
        logger.debug("slots are kept later: %s", error)


def _slot(owner_id: int, slot: int) -> str:
    return f"vestnik:lane:{owner_id}:{slot}"


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
