"""Does Redis take what is written? One that is full, or may only be read, answers everything else as if it did."""

from __future__ import annotations

from datetime import timedelta

import redis

KEY = "vestnik:written"

LIVES = timedelta(seconds=10)
"""How long what is written to find out stays."""

SILENT = "does not answer"
LONGEST = 200


def try_it(client: redis.Redis) -> None:
    """Write a little. Raises redis.RedisError or OSError."""
    client.set(KEY, 1, px=LIVES)


def fault(client: redis.Redis) -> str:
    """What is wrong, in words for operators; empty if it takes what is written."""
    try:
        try_it(client)
    except redis.ResponseError as error:  # memory is full, it is a replica, its disk is: Redis says so
        return f"takes no writes: {error}"[:LONGEST]
    except (redis.RedisError, OSError):
        return SILENT
    return ""
