"""What pages are made of, cached in Redis for signed-in people and for filling nginx's copies.

Everything of a room, the blog or the figures, belongs to one version: a change there begins the next, and what was
cached is not found any more. What was made before a change is cached under the old version, where nobody finds it.
"""

import uuid
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import cache

Cached = TypeVar("Cached")

BLOG, FIGURES = "blog", "figures"


def cached(name: str, seconds: int, make: Callable[[], Cached], room: str = BLOG) -> Cached:
    """Return what `make` returned at most so many seconds ago (anything that can be pickled, but None), or calls it."""
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
    """Begin another version of the room: nothing cached of it is found any more."""
    cache.set(key_of(room), uuid.uuid4().hex, timeout=None)


def versions() -> tuple[str | None, ...]:
    """Return the versions of all rooms: while they stay the same, no public page has changed.

    None stands for an unknown one.
    """
    return tuple(_version(room) for room in (BLOG, FIGURES))


def key_of(room: str) -> str:
    """Return the key in the cache under which the room's version is."""
    return f"vestnik:front:{room}"


def _version(room: str) -> str | None:
    """Return the version that all processes share; None while Redis is away."""
    found: str | None = cache.get(key_of(room))
    if found is None:
        cache.add(key_of(room), uuid.uuid4().hex, timeout=None)
        found = cache.get(key_of(room))
    return found
