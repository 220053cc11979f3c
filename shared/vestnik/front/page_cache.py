"""What pages are made of, kept in Redis for signed-in people and for filling nginx's copies.

All of a room, the blog or the figures, belongs to one version: what changes there begins the next, and what was cached
is met no more. Who made something out of what stood before the change caches it under the old version, where nobody
finds it.
"""

import uuid
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import cache

Cached = TypeVar("Cached")

BLOG, FIGURES = "blog", "figures"


def cached(name: str, seconds: int, make: Callable[[], Cached], room: str = BLOG) -> Cached:
    """What `make` returned at most so many seconds ago (anything that pickles, but None)."""
    version = _version(room)
    if version is None:
        return make()
    key = f"{key_of(room)}:{version}:{name}"
    found: Cached | None = cache.get(key)
    if found is None:
        found = make()
        cache.set(key, found, timeout=seconds)
    return found


def invalidate(room: str = BLOG) -> None:
    """Begin another version."""
    cache.set(key_of(room), uuid.uuid4().hex, timeout=None)


def versions() -> tuple[str | None, ...]:
    """Those of all rooms. While they are the same, no public page has changed; without Redis nobody knows."""
    return tuple(_version(room) for room in (BLOG, FIGURES))


def key_of(room: str) -> str:
    """Where the room's version stands."""
    return f"vestnik:front:{room}"


def _version(room: str) -> str | None:
    """What everybody agrees on; None while Redis is away."""
    found: str | None = cache.get(key_of(room))
    if found is None:
        cache.add(key_of(room), uuid.uuid4().hex, timeout=None)
        found = cache.get(key_of(room))
    return found
