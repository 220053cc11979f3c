"""Why nothing is handed over now, though letters are due: written to Redis by whoever sends, for pages.

The dispatcher's circuit breaker writes what is the matter with the external service (pace/breaker.py), and its pace,
which limit is reached (pace/pace.py). A hint, like all that Redis carries: while Redis is away nothing is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.db import models
from django.utils.translation import gettext_lazy as _

from vestnik.redis_client import impatient_redis

KEY = "vestnik:breaker"
"""A hash; what its fields mean is said in pace/breaker.py."""

PAUSE_SECONDS = 2.0
"""How long a Redis that did not answer is not asked again: no page waits for it twice."""


class OutageReason(models.TextChoices):
    """Why nothing is handed over."""

    UNAVAILABLE = "unavailable", _("The mail service cannot be reached, or takes no letters now")
    MISCONFIGURED = "misconfigured", _("The mail service refuses this installation's settings")
    REFUSED = "refused", _("The mail service refuses letter after letter")
    THROTTLED = "throttled", _("The mail service asked for a pause")


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which nothing is handed over."""

    reason: OutageReason
    message: str
    """One sentence, mostly the service's own, with its host and port; never a password or an address. For superusers:
    to others `trouble` is named.
    """
    since: datetime
    next_probe: datetime
    """When a letter is tried next; in the past while one is being tried."""


def current() -> Outage | None:
    """Return why nothing can be handed over at the moment; None if letters can, as far as is known. Never raises."""
    found = _ask(lambda: impatient_redis().hmget(KEY, ["trouble", "words", "since", "next"]))
    if found is None or None in found:
        return None
    trouble, words, since, next_probe = (each or b"" for each in found)
    return Outage(OutageReason(trouble.decode()), words.decode(), _moment(since), _moment(next_probe))


def note_limit(owner_id: int | None, wait: timedelta) -> None:
    """Record that a limit holds up this owner's letters, or everybody's (None), for so long.

    Raises redis.RedisError.
    """
    at = round((time.time() + wait.total_seconds()) * 1000)
    impatient_redis().set(_limit_key(owner_id), at, px=max(1, round(wait.total_seconds() * 1000)))


def limited_until(owner_id: int) -> datetime | None:
    """Return when the limit that holds up this owner's letters lets one go again; None if none does. Never raises."""
    found = _ask(lambda: impatient_redis().mget(_limit_key(owner_id), _limit_key(None))) or []
    return max((_moment(each) for each in found if each), default=None)


def note_domain_limit(domain: str, wait: timedelta) -> None:
    """Record that the domain's limit holds up letters to it, for so long. Raises redis.RedisError."""
    impatient_redis().set(_domain_key(domain), 1, px=max(1, round(wait.total_seconds() * 1000)))


def is_limited(domain: str) -> bool:
    """Say whether the domain's limit holds up letters to it. Never raises."""
    return (_ask(lambda: impatient_redis().mget(_domain_key(domain))) or [None])[0] is not None


def _domain_key(domain: str) -> str:
    return f"vestnik:limited:domain:{domain}"


def _limit_key(owner_id: int | None) -> str:
    return f"vestnik:limited:{owner_id or 'everybody'}"


def _ask(question: Callable[[], Any]) -> list[bytes | None] | None:
    global _silent_since
    if time.monotonic() - _silent_since < PAUSE_SECONDS:
        return None
    try:
        return list(question())
    except (redis.RedisError, OSError):
        _silent_since = time.monotonic()
        return None


_silent_since = -PAUSE_SECONDS


def _moment(milliseconds: bytes) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
