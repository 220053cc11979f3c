"""Lanes: an owner's slots, each held by an expiring token in Redis, so that however many messages arrive, as many work.

All of this is a hint: were Redis to forget it, the tick would wake every lane that should be awake.
"""

import logging
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

import redis
from django.conf import settings
from django.db import Error

from dispatcher import engine, ledger, pacing, sending
from dispatcher.breaker import Open
from dispatcher.providers.errors import NoRoom, ProviderError, Unavailable
from vestnik import jobs
from vestnik.mailings.records import Run

logger = logging.getLogger(__name__)

WAITING = timedelta(minutes=10)
"""How long a token lives while its lane's message waits in the queue: longer than turns take."""

LONGEST_WAIT = 60.0
"""Seconds after which a lane that waits for a limit looks again, whatever it was told: somebody may have raised it."""

NO_ROOM_SECONDS = 1.0
"""How long a lane stays away when other processes have all the connections."""

RUNNING = timedelta(seconds=10)
"""How long it lives while a lane works, beyond its process's last heartbeat: dead workers leave their slots."""

# Mine if it is free, or mine already; then it lives on.
HOLD = """
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def wake(owner_id: int) -> None:
    """Enqueue a lane for each of the owner's slots that nobody holds."""
    for slot in range(settings.LANES_PER_OWNER):
        token = secrets.token_hex(8)
        key = _slot(owner_id, slot)
        if _redis().set(key, token, nx=True, px=WAITING) and not jobs.send(owner_id, slot, token):
            _redis().eval(RELEASE, 1, key, token)


def run_slice(owner_id: int, slot: int, token: str, setbacks: int = 0) -> None:
    """Work one slice for the owner, then queue up behind the other lanes, or end if nothing is due."""
    key = _slot(owner_id, slot)
    if not _hold(key, token, RUNNING):
        return
    _running[key] = token
    more, wait = True, 0.0
    try:
        until = time.monotonic() + settings.SLICE_SECONDS
        due = sending.send_slice(_engine(), owner_id, until)
        more, wait, setbacks = due is not None, min(due or 0.0, LONGEST_WAIT), 0
    except Open as error:
        more = False
        wait = error.wait
    except NoRoom:
        wait = NO_ROOM_SECONDS
    except (ProviderError, Error) as error:
        setbacks += 1
        wait = pacing.setback(setbacks)
        opened = (
            engine.get(_renew, _look_after).pace.breaker.failed(error) if isinstance(error, ProviderError) else None
        )
        if opened is not None:
            more, wait = False, opened
        else:
            log = logger.warning if isinstance(error, Unavailable) else logger.error
            log("nothing can be handed over for %.0f s: %s", wait, error)
    finally:
        del _running[key]
        with _queue_may_be_away():
            delay = timedelta(seconds=wait) if wait else None
            if not (more and _hold(key, token, WAITING) and jobs.send(owner_id, slot, token, setbacks, delay)):
                _redis().eval(RELEASE, 1, key, token)
            if not more and wait:
                _probe_in(wait)
            elif not more:
                sleep_until_due(owner_id)


def _engine() -> engine.Engine:
    return engine.get(_renew, _look_after)


def _probe_in(seconds: float) -> None:
    """The breaker is open: a tick at the time of the next probe wakes all lanes, and one of them is it."""
    if _redis().set(f"vestnik:probe:{int(time.time() + seconds)}", 1, nx=True, ex=int(seconds) + 5):
        jobs.TICK.enqueue(delay=timedelta(seconds=seconds))


def sleep_until_due(owner_id: int) -> None:
    """Wake the owner's lanes when the next letter is due; at once, if one became due while a lane was ending."""
    seconds = ledger.next_due(owner_id)
    if seconds is None:
        return
    if seconds <= 0:
        wake(owner_id)
    elif _redis().set(f"vestnik:wake:{owner_id}:{int(time.time() + seconds)}", 1, nx=True, ex=int(seconds) + 5):
        jobs.wake(owner_id, timedelta(seconds=seconds))


_running: dict[str, str] = {}  # the slots that this process's lanes work in, with their tokens


def _hold(key: str, token: str, lives: timedelta) -> bool:
    return bool(_redis().eval(HOLD, 1, key, token, int(lives.total_seconds() * 1000)))


def _look_after(run_ids: Collection[int]) -> None:
    """After receipts that came when the lanes had left: letters to be tried again are due some time."""
    for owner_id in Run.objects.filter(pk__in=run_ids).values_list("owner_id", flat=True).distinct():
        sleep_until_due(owner_id)


def _renew() -> None:
    """At every heartbeat: keep the slots of the lanes that work."""
    with _queue_may_be_away():
        for key, token in list(_running.items()):
            _hold(key, token, RUNNING)


@contextmanager
def _queue_may_be_away() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        logger.warning("slots are left to expire, the tick will wake their lanes: %s", error)


def _slot(owner_id: int, slot: int) -> str:
    return f"vestnik:lane:{owner_id}:{slot}"


@cache
def _redis() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL)
