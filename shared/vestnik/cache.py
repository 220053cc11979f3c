"""The cache of both services: Redis, and without it nothing but the time it would have saved."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 2.0
"""How long a cache that did not answer is left alone: a page or a lane asks it many times, and would wait each time."""

_NOTHING = object()
_away_since: dict[str, float] = {}  # by the server's URL; of all threads, each of which has a client of its own


def _or(answer: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the client's method, and `answer` where the server gives none."""

    @functools.wraps(method)
    def ask(client: Any, *args: Any, **kwargs: Any) -> Any:
        server = client._servers[0]
        since = _away_since.get(server)
        if since is not None and time.monotonic() - since < PAUSE_SECONDS:
            return answer
        try:
            found = method(client, *args, **kwargs)
        except (redis.RedisError, OSError) as error:
            _away_since[server] = time.monotonic()
            if since is None:
                logger.warning("the cache does not answer; limits are not kept until it does: %s", error)
            return answer
        if since is not None and _away_since.pop(server, 0):
            logger.warning("the cache answers again")
        return found

    return ask


class ForgivingClient(RedisCacheClient):
    """Django's client of the Redis cache; while the server is away it answers as if nothing were stored."""

    add = _or(True, RedisCacheClient.add)
    set = _or(None, RedisCacheClient.set)
    touch = _or(False, RedisCacheClient.touch)
    delete = _or(False, RedisCacheClient.delete)
    get_many = _or({}, RedisCacheClient.get_many)
    has_key = _or(False, RedisCacheClient.has_key)
    set_many = _or(None, RedisCacheClient.set_many)
    delete_many = _or(None, RedisCacheClient.delete_many)
    clear = _or(False, RedisCacheClient.clear)
    _get = _or(_NOTHING, RedisCacheClient.get)

    def get(self, key: Any, default: Any) -> Any:
        """Return what is stored under the key; `default` if nothing is, or the server is away."""
        found = self._get(key, default)
        return default if found is _NOTHING else found


class ForgivingRedisCache(RedisCache):
    """A cache that finds nothing, keeps nothing and refuses nobody while Redis is away: limits on signing in and up are
    not kept then.

    Only `incr` raises redis.RedisError, for there is no number to answer with.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = ForgivingClient
