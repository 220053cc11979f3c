"""Lanes: an owner's slots, each held by an expiring token in Redis, so that however many messages arrive, as many work.

All of this is a hint: were Redis to forget it, the tick would wake every lane that should be awake.
"""

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

import redis
from django.conf import settings
from django.db import Error

from dispatcher import engine, ledger, pacing, sending
from dispatcher.providers.errors import ProviderError, Unavailable
from vestnik import jobs
from vestnik.mailings import service

logger = logging.getLogger(__name__)

WAITING = timedelta(minutes=10)
"""How long a token lives while its lane's message waits in the queue: longer than turns take."""

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
    delay = None
    more = False
    try:
        until = time.monotonic() + settings.SLICE_SECONDS
        sender = engine.get(on_beat=_renew)
        taken = sender.settler.taken
        more = sending.send_slice(sender, owner_id, until)
        setbacks = 0
        if sender.settler.taken > taken:
            service.clear_setback()
    except (ProviderError, Error) as error:
        more = True
        setbacks += 1
        delay = timedelta(seconds=pacing.setback(setbacks))
        if isinstance(error, ProviderError):
            service.note_setback(str(error), delay)
        log = logger.warning if isinstance(error, Unavailable) else logger.error
        log("nothing can be handed over for %.0f s: %s", delay.total_seconds(), error)
    finally:
        del _running[key]
        with _queue_may_be_away():
            if not (more and _hold(key, token, WAITING) and jobs.send(owner_id, slot, token, setbacks, delay)):
                _redis().eval(RELEASE, 1, key, token)
            if not more:
                sleep_until_due(owner_id)


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
