"""The dispatcher's processes, found by the heartbeats that Dramatiq keeps of them in the broker, under our names."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import redis

KEY = "vestnik:__heartbeats__"
"""A sorted set: every command to the broker sets its sender's score to the milliseconds of the sender's clock."""

QUEUED_AT = "queued_at"
"""An option of delayed messages: from when on (milliseconds since 1970) a worker could have taken it."""

FRESH = timedelta(seconds=15)
"""Processes with older heartbeats are dead: Dramatiq's heartbeat_timeout, after which others get their messages."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process with a fresh heartbeat."""

    host: str
    part: str
    """"control" or "bulk"."""
    pid: int


def new_name(part: str, pid: int) -> str:
    """Return a new name for a worker process at the broker.

    No other name begins with it, or Dramatiq would confuse them.
    """
    return f"{platform.node()}/{part}/{pid}/{uuid4()}"


def fresh(client: redis.Redis) -> set[Process]:
    """Return the processes of all hosts whose heartbeat is fresh. Raises redis.RedisError."""
    since = (time.time() - FRESH.total_seconds()) * 1000
    found = set()
    names: Any = client.zrangebyscore(KEY, since, "+inf")
    for name in names:
        fields = name.decode(errors="replace").split("/")
        if len(fields) == 4 and fields[2].isdecimal():  # others only enqueue
            found.add(Process(fields[0], fields[1], int(fields[2])))
    return found
