"""What pages are made of, kept in Redis for signed-in people and for filling nginx's copies.

All of it belongs to one generation: whatever changes a public page begins another, and what was kept is met no more.
Who made something out of what stood before the change keeps it under the old generation, where nobody finds it.
"""

import uuid
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import cache

Kept = TypeVar("Kept")

GENERATION = "vestnik:front"


def kept(name: str, seconds: int, make: Callable[[], Kept]) -> Kept:
    """What `make` returned at most so many seconds ago (anything that pickles, but None)."""
    key = f"{GENERATION}:{_generation()}:{name}"
    found: Kept | None = cache.get(key)
    if found is None:
        found = make()
        cache.set(key, found, timeout=seconds)
    return found


def throw_away() -> None:
    """Begin another generation."""
    cache.set(GENERATION, uuid.uuid4().hex, timeout=None)


def _generation() -> str:
    found = cache.get(GENERATION)
    if found is None:
        cache.add(GENERATION, uuid.uuid4().hex, timeout=None)
        found = cache.get(GENERATION)
    return str(found)
