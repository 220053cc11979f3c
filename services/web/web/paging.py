"""Pages of tables of any length: how many rows there are, and any page of them."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import redis
from django.core.cache import cache
from django.core.exceptions import EmptyResultSet
from django.core.paginator import Page, Paginator
from django.utils.functional import cached_property

FAR = 1_000
"""Rows before a page that are walked whole; before one that lies further only keys are."""

FEW = 10_000
"""Rows that a search finds: so many are sorted after they were found."""

SLOW, KEPT = 0.1, 30
"""Seconds: what took longer to count is not counted again for so long."""


class CappedPaginator(Paginator):
    """Counts no further than its cap, however many rows there are; what lies beyond is found by searching."""

    cap = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.cap].count())

    @property
    def is_capped(self) -> bool:
        """Whether there may be more than was counted."""
        return self.count >= self.cap


class ExactPaginator(Paginator):
    """Says exactly how many rows there are, and reaches every page of them.

    The last of the fields that sort the queryset tells rows from each other (a key, or an address). Of what lies before
    a far page this alone is read, from the nearer end: by the index that sorts, without the rows themselves. What was
    searched for and is `FEW` is found first and sorted then: the index that sorts would be walked to its end for it.
    """

    def __init__(self, rows: Any, per_page: int, *, searched: bool = False, **options: Any) -> None:
        super().__init__(rows, per_page, **options)
        self.rows = rows
        self.key = str(rows.query.order_by[-1]).lstrip("-")
        self.searched = searched

    @cached_property
    def count(self) -> int:
        return self._count() if self._few is None else len(self._few)

    @cached_property
    def _few(self) -> list[Any] | None:
        """Return the keys of what was searched for; None if they are many, or nothing was searched for."""
        if not self.searched:
            return None
        found = list(self.rows.order_by().values_list(self.key, flat=True)[: FEW + 1])
        return found if len(found) <= FEW else None

    def _count(self) -> int:
        rows = self.rows.order_by()
        try:
            key = f"vestnik:count:{hashlib.sha256(str(rows.query).encode()).hexdigest()}"
            if (kept := cache.get(key)) is not None:
                return int(kept)
            began = time.monotonic()
            counted = int(rows.count())
            if time.monotonic() - began > SLOW:
                cache.set(key, counted, timeout=KEPT)
        except (redis.RedisError, OSError):
            return int(rows.count())
        except EmptyResultSet:
            return 0
        return counted

    def page(self, number: Any) -> Page:
        number = self.validate_number(number)
        before = (number - 1) * self.per_page
        after = max(0, self.count - before - self.per_page)
        if self._few is not None:
            found = self.rows.filter(**{f"{self.key}__in": self._few})[before : before + self.per_page]
        elif before < FAR:
            found = self.rows[before : before + self.per_page]
        else:
            walked, skipped = (self.rows, before) if before <= after else (self.rows.reverse(), after)
            size = min(self.per_page, self.count - before)
            keys = list(walked.values_list(self.key, flat=True)[skipped : skipped + size])
            found = self.rows.filter(**{f"{self.key}__in": keys})
        return Page(found, number, self)
