"""Clients of Redis for whoever rather does without an answer than waits, and whether it takes what is written.

A server that is full, or may only be read, answers everything else as if all were well: so it is written to.
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
"""How long what is written to find out stays."""

SILENT = "does not answer"
LONGEST = 200
"""Characters of what Redis says of itself."""


@cache
def impatient_redis(url: str = "", once: bool = False) -> redis.Redis:
    """This process's client of the broker's server, or of the one at `url`: an answer takes a third of a second, or
    redis.RedisError is raised. `once`: nothing is asked again, for what was asked may have been done.
    """
    return new_client(url, once)


def new_client(url: str = "", once: bool = False) -> redis.Redis:
    """Make such a client for somebody alone, who closes it."""
    options = {"retry": Retry(NoBackoff(), 0)} if once else {}
    return redis.Redis.from_url(impatient(url or settings.REDIS_URL), **options)


def write(client: redis.Redis) -> None:
    """Write a little. Raises redis.RedisError or OSError."""
    client.set(KEY, 1, px=LIVES)


def fault(client: redis.Redis) -> str:
    """What is wrong with the server, in words for operators; empty if it takes what is written."""
    try:
        write(client)
    except redis.ResponseError as error:  # memory is full, it is a replica, its disk is: Redis says so
        return f"takes no writes: {error}"[:LONGEST]
    except (redis.RedisError, OSError):
        return SILENT
    return ""
