"""Clients of Redis for whoever prefers no answer to a long wait; and whether Redis takes what is written.

A server that is full, or is read-only, answers reads as if all were well: so the check writes.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from vestnik.settings import impatient

KEY = "vestnik:written"

LIVES = timedelta(seconds=10)
"""How long the key that the check writes lives."""

SILENT = "does not answer"
LONGEST = 200
"""Characters of what Redis says of itself."""


@cache
def impatient_redis(url: str = "", once: bool = False) -> redis.Redis:
    """Return this process's client of the broker's server, or of the one at `url`.

    It answers within a third of a second, or raises redis.RedisError. With `once` no command is sent again, as the
    first may have been executed.
    """
    return new_client(url, once)


def new_client(url: str = "", once: bool = False) -> redis.Redis:
    """Return a client like `impatient_redis`, but a new one, which the caller closes."""
    options = {"retry": Retry(NoBackoff(), 0)} if once else {}
    return redis.Redis.from_url(impatient(url or settings.REDIS_URL), **options)


def write(client: redis.Redis) -> None:
    """Write a little to the server. Raises redis.RedisError or OSError."""
    client.set(KEY, 1, px=LIVES)


def fault(client: redis.Redis) -> str:
    """Return what is wrong with the server, in words for operators; empty if it takes writes."""
    try:
        write(client)
    except redis.ResponseError as error:  # memory is full, it is a replica, its disk is: Redis says so
        return f"takes no writes: {error}"[:LONGEST]
    except (redis.RedisError, OSError):
        return SILENT
    return ""
