"""What the blog's pages are made of, as Redis keeps it (`vestnik.front.page_cache`).

What is kept bears the moment in its name at which the next post appears: from then on it is met no more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Left

from vestnik.blog import html
from vestnik.blog.affected_pages import ON_A_PAGE
from vestnik.blog.models import Picture, Post
from vestnik.blog.upcoming import next_appearance
from vestnik.front import public_urls
from vestnik.front.page_cache import cached
from web.blog.texts import summary

Kept = TypeVar("Kept")
_random = secrets.SystemRandom()

SECONDS = 60
LONGEST_BEGINNING = 4000  # characters of a post's HTML that are looked at where it has no excerpt
IN_FEED = 20
POOL = 24
"""Posts chosen at random once a minute for each language; each page shows three of them."""

SHOWN = 3
FEW = 500
"""So many posts are all listed to choose from. Among more, places in their numbers are hit at random."""

# The next published post from each of so many random numbers on: as quick among a million as among a thousand.
HIT = """
    SELECT found.id
    FROM (SELECT min(id) AS least, max(id) AS most FROM blog_post) AS ends
    CROSS JOIN (SELECT random() AS dice FROM generate_series(1, %s)) AS thrown
    CROSS JOIN LATERAL (
        SELECT id FROM blog_post
        WHERE id >= least + floor(dice * (most - least + 1))::bigint AND language = %s
            AND NOT draft AND publish_at <= statement_timestamp()
        ORDER BY id LIMIT 1
    ) AS found
"""


@dataclass(frozen=True)
class Card:
    """A post as lists show it."""

    title: str
    slug: str
    language: str
    publish_at: datetime
    updated_at: datetime
    summary: str
    picture: Picture | None


def count() -> int:
    """Count the posts that are published."""
    return _kept("count", lambda: Post.objects.published().count())


def page(number: int) -> list[Card]:
    """Return the posts of a page of the blog; pages are counted from 1."""
    first = (number - 1) * ON_A_PAGE
    return _kept(f"page:{number}", lambda: _cards(Post.objects.published()[first : first + ON_A_PAGE]))


def latest() -> list[Card]:
    """Return the newest posts, as many as the feed has."""
    return _kept("latest", lambda: _cards(Post.objects.published()[:IN_FEED]))


def some(language: str) -> list[Card]:
    """Return three published posts in the language at random, the newest first; where there are fewer, others
    besides.
    """
    own = _pool(language)
    chosen = _random.sample(own, min(SHOWN, len(own)))
    if missing := SHOWN - len(chosen):
        others = [card for code in public_urls.languages() if code != language for card in _pool(code)]
        chosen += _random.sample(others, min(missing, len(others)))
    return sorted(chosen, key=lambda card: (card.language == language, card.publish_at), reverse=True)


def post(slug: str) -> Post:
    """Return the published post with its text as pages show it. Raises Post.DoesNotExist."""
    name = hashlib.sha256(slug.encode()).hexdigest()  # anybody may ask for what has any length
    return _kept(f"post:{name}", lambda: _made(Post.objects.published().select_related("picture").get(slug=slug)))


def text_of(post: Post) -> str:
    """Return the post's HTML with its pictures in all their widths; made already, if the post was kept."""
    return vars(post).get("text") or html.responsive(post.content)


def _made(post: Post) -> Post:
    vars(post).update(text=text_of(post))
    return post


def _kept(name: str, make: Callable[[], Kept]) -> Kept:
    moment = next_appearance()
    return cached(f"{name}:{moment.timestamp() if moment else 0}", SECONDS, make)


def _cards(posts: QuerySet[Post]) -> list[Card]:
    found = Post.objects.filter(pk__in=posts.values("pk"))  # chosen by an index: of those before them nothing is read
    found = found.select_related("picture").defer("content").annotate(beginning=Left("content", LONGEST_BEGINNING))
    return [
        Card(post.title, post.slug, post.language, post.publish_at, post.updated_at, summary(post), post.picture)
        for post in found.order_by("-publish_at", "-pk")
        if post.publish_at
    ]


def _pool(language: str) -> list[Card]:
    return _kept(f"pool:{language}", lambda: _cards(Post.objects.published().filter(pk__in=_any(POOL, language))))


def _any(number: int, language: str) -> list[int]:
    """Return the ids of published posts in the language at random, `number` of them at most."""
    newest = list(Post.objects.published().filter(language=language).values_list("pk", flat=True)[:FEW])
    chosen = _random.sample(newest, min(number, len(newest)))
    if len(newest) < FEW:
        return chosen
    with connection.cursor() as cursor:
        cursor.execute(HIT, [number, language])
        hit = [pk for (pk,) in cursor.fetchall()]
    return list(dict.fromkeys(hit + chosen))[:number]  # few are hit where most of the numbers are nobody's
