"""What the external service says when it takes nothing at all: a note in the cache, left by whoever sends, for pages.

A hint, like all that Redis carries: where the cache is away there is no note, and nobody minds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from django.core.cache import cache
from django.db import DatabaseError

from vestnik import clock

logger = logging.getLogger(__name__)

KEY = "vestnik:setback"

A_PROBE_TAKES = timedelta(seconds=30)
"""How much longer a note stays than the service is left alone: the next try takes its time to fail as well."""

CACHE_AWAY = (redis.RedisError, OSError)
"""What Django's cache raises when it cannot be asked."""


@dataclass(frozen=True, slots=True)
class Setback:
    """The service takes nothing now."""

    words: str
    """One sentence, mostly the service's own; never a password."""
    until: datetime
    """When it is tried next."""


def note_setback(words: str, delay: timedelta) -> None:
    """Leave word that the service took nothing, and is left alone for `delay`. Never raises."""
    try:
        cache.set(KEY, (words, clock.now() + delay), timeout=(delay + A_PROBE_TAKES).total_seconds())
    except (DatabaseError, *CACHE_AWAY) as error:
        logger.debug("no note of a setback: %s", error)


def clear_setback() -> None:
    """The service takes letters. Never raises."""
    try:
        cache.delete(KEY)
    except CACHE_AWAY as error:
        logger.debug("a note of a setback may still be there: %s", error)


def setback() -> Setback | None:
    """Why nothing can be handed over at the moment; None if something can, as far as is known. Never raises."""
    try:
        note = cache.get(KEY)
    except CACHE_AWAY:
        return None
    return None if note is None else Setback(*note)
