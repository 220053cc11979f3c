"""The public pages that show a post: those are fetched again when it changes, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from vestnik import clock
from vestnik.blog.models import Post
from vestnik.front import public_urls

ON_A_PAGE = 12
"""Posts on one page of the blog."""

REFRESHED = 10
"""Pages of the list, from the first, that are fetched again. Copies of later ones live to the end of their second: few
people read so far, and each change would keep the web busy for seconds."""

SOON = timedelta(seconds=5)
"""A post due within this time may have appeared unchanged before its change is committed."""

Change = tuple[Post | None, Post | None]
"""A post before and after; None where it did not exist yet, or does not any more."""


def touched(changes: Iterable[Change]) -> list[str]:
    """Return the paths of the pages that these changes affect, the most visited first; call it once they are written.

    Of the pages of a list, those on which a post changed or moved. All of them if their number changed, or if a post
    will appear sooner than was known: copies expire when the next one does. But none after the first REFRESHED.
    """
    changes, now = list(changes), clock.now()
    shown = [(_shown(before, now), _shown(after, now)) for before, after in changes]
    posts = [post for change in shown for post in change if post]
    waiting = [after for before, after in changes if after and _comes_sooner(before, after, now)]
    waiting += [post for change in changes for post in change if post and _comes_soon(post, now)]
    if not posts and not waiting:
        return []
    pages = _pages(shown)
    if waiting:
        pages = range(1, max(pages.stop, _last_page(Post.objects.published().count()) + 1))
    languages = public_urls.languages()
    slugs = dict.fromkeys(post.slug for post in [*posts, *waiting])
    lists = [public_urls.blog(language, page) for page in pages if page <= REFRESHED for language in languages]
    first = [path for path in lists if "?" not in path]
    return [
        *(public_urls.home(language) for language in languages),
        *first,
        *(public_urls.feed(language) for language in languages),
        public_urls.SITEMAP,
        *(public_urls.post(language, slug) for slug in slugs for language in languages),  # hundreds, where many change
        *lists[len(first) :],
    ]


def _shown(post: Post | None, now: datetime) -> Post | None:
    return post if post and post.is_published(now) else None


def _comes_sooner(before: Post | None, after: Post, now: datetime) -> bool:
    """Say whether the post waits for its date, and was not known to wait for the same or a sooner one."""
    if after.draft or after.publish_at is None or after.publish_at <= now:
        return False
    known = None if before is None or before.draft else before.publish_at
    return known is None or not now < known <= after.publish_at


def _comes_soon(post: Post, now: datetime) -> bool:
    return not post.draft and post.publish_at is not None and now < post.publish_at <= now + SOON


def _pages(shown: list[Change]) -> range:
    """Return the affected pages.

    Pages before the newest and after the oldest changed post stay the same; but those after it change if posts came or
    went.
    """
    places = [(post.publish_at, post.pk) for change in shown for post in change if post and post.publish_at]
    if not places:
        return range(0)
    published = Post.objects.published()
    count = published.count()
    was = count + sum((before is not None) - (after is not None) for before, after in shown)
    if _last_page(was) != _last_page(count):
        return range(1, max(_last_page(was), _last_page(count)) + 1)
    (newest, pk), (oldest, oldest_pk) = max(places), min(places)
    before = published.filter(Q(publish_at__gt=newest) | Q(publish_at=newest, pk__gt=pk)).count()
    upto = published.filter(Q(publish_at__gt=oldest) | Q(publish_at=oldest, pk__gte=oldest_pk)).count()
    return range(before // ON_A_PAGE + 1, _last_page(upto if was == count else max(was, count)) + 1)


def _last_page(count: int) -> int:
    return max(1, -(-count // ON_A_PAGE))
