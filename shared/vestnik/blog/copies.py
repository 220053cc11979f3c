"""Which public pages show a post: those are made anew when it changes, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from vestnik.blog.models import Post
from vestnik.front import addresses

ON_A_PAGE = 12
"""Posts on one page of the blog."""

Change = tuple[Post | None, Post | None]
"""A post before and after; None where there was none, or is none any more."""


def touched(changes: Iterable[Change]) -> list[str]:
    """The paths of the pages that are others after these changes, asked once they are written.

    A post that waits for its date counts as seen: copies of lists expire when the next one appears, so they have to
    learn of it. Pages of lists are touched from the place where a post was or is; to the end if all behind it moved.
    """
    seen = [(_seen(before), _seen(after)) for before, after in changes]
    posts = [post for change in seen for post in change if post]
    if not posts:
        return []
    to_the_end = any(not (before and after) for before, after in seen)
    pages = range(*_pages([post.publish_at for post in posts], to_the_end))
    paths = [addresses.home(language) for language in addresses.languages()]
    for language in addresses.languages():
        paths += [addresses.post(language, slug) for slug in dict.fromkeys(post.slug for post in posts)]
    paths += [addresses.blog(language, page) for page in pages for language in addresses.languages()]
    return [*paths, *(addresses.feed(language) for language in addresses.languages()), addresses.SITEMAP]


def _seen(post: Post | None) -> Post | None:
    return post if post and not post.draft else None


def _pages(moments: list[datetime], to_the_end: bool) -> tuple[int, int]:
    """The first of the touched pages, and the one after the last."""
    published = Post.objects.published()
    before = published.filter(publish_at__gt=max(moments)).count()
    upto = published.count() + ON_A_PAGE if to_the_end else published.filter(publish_at__gte=min(moments)).count()
    return before // ON_A_PAGE + 1, max(upto - 1, before, 0) // ON_A_PAGE + 2
