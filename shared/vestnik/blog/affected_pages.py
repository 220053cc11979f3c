"""Which public pages show a post: those are made anew when it changes, and no others."""

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
"""Pages of the list, from the first, that are fetched anew. Copies of those behind live to the end of their second: few
read so far, and the web would be at each change for seconds."""

SOON = timedelta(seconds=5)
"""A post that appears within this time may have appeared, as it was, before a change of it is committed."""

Change = tuple[Post | None, Post | None]
"""A post before and after; None where there was none, or is none any more."""


def touched(changes: Iterable[Change]) -> list[str]:
    """The paths of the pages that differ after these changes, asked once they are written; most looked at first.

    Of the pages of a list those on which a post is another or stands elsewhere. All of them if their number changed,
    and if a post waits that will appear sooner than anybody knew: copies expire when the next one does. But none behind
    the first REFRESHED.
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
    """Whether the post waits for its date, and did not wait for the same or a sooner one."""
    if after.draft or after.publish_at is None or after.publish_at <= now:
        return False
    known = None if before is None or before.draft else before.publish_at
    return known is None or not now < known <= after.publish_at


def _comes_soon(post: Post, now: datetime) -> bool:
    return not post.draft and post.publish_at is not None and now < post.publish_at <= now + SOON


def _pages(shown: list[Change]) -> range:
    """The touched pages. Before the highest place of a post that is another, and behind the lowest, nothing changed;
    but what is behind moves if posts came or went.
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
