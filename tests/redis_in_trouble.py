"""A real Redis that answers, and takes nothing of what is written."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django.conf import settings


@contextmanager
def memory_full() -> Iterator[None]:
    """Whatever would need memory is refused: OOM command not allowed."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")


@contextmanager
def read_only() -> Iterator[None]:
    """A replica of nobody: READONLY You can't write against a read only replica."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.config_set("replica-serve-stale-data", "yes")
    client.execute_command("REPLICAOF", "127.0.0.1", "9")
    try:
        yield
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
