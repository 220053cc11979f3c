"""The hint that what the home page counts may have changed: `vestnik.front.homepage_stats` counts again."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

import redis
from django.db import transaction

from vestnik import jobs
from vestnik.redis_client import impatient_redis

logger = logging.getLogger(__name__)

ASKED = "vestnik:figures:asked"
"""In the broker's Redis, not in the cache: if only the cache is away, not every hint becomes a job."""


def changed() -> None:
    """Have the figures counted again once the transaction is committed."""
    transaction.on_commit(partial(request_count, timedelta(0)))


def request_count(wait: timedelta) -> None:
    """Have the figures counted after `wait`; one waiting request is enough. Without Redis it is left to the tick."""
    try:
        alone = impatient_redis().set(ASKED, 1, nx=True, ex=int(wait.total_seconds()) + 60)
    except (redis.RedisError, OSError) as error:
        logger.warning("figures are counted by the tick: %s", error)
        return
    if alone:
        jobs.count_figures(delay=wait or None)


def forget() -> None:
    """Forget the waiting request as a count begins: a later change asks for another. Raises redis.RedisError."""
    impatient_redis().delete(ASKED)
