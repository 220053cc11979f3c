"""When the next post appears by itself: until then, copies of public pages are good."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from vestnik.blog.models import Post
from vestnik.front.page_cache import cached

SECONDS = 60
"""How long the answer is cached, unless the blog changes."""


def next_appearance() -> datetime | None:
    """Return when the next post appears by itself; None if none waits."""
    (moment,) = cached("upcoming", SECONDS, _next)
    if moment and moment <= timezone.now():
        (moment,) = _next()
    return moment


def _next() -> tuple[datetime | None]:
    return (Post.objects.waiting().values_list("publish_at", flat=True).first(),)
