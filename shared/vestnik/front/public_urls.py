"""Addresses of the public pages, of which nginx holds copies. The web has the same (tests/web/test_front.py)."""

from urllib.parse import quote

from django.conf import settings

RESERVED = frozenset({"feed"})
"""What no post may be called."""


def languages() -> list[str]:
    """Return the codes of languages with which addresses begin."""
    return [code for code, _name in settings.LANGUAGES]


def home(language: str) -> str:
    """Return the path of the home page."""
    return f"/{language}/"


def blog(language: str, page: int = 1) -> str:
    """Return the path of the `page`-th page of the blog, from 1."""
    return f"/{language}/blog/" + (f"?page={page}" if page > 1 else "")


def post(language: str, slug: str) -> str:
    """Return the path of a post's page."""
    return f"/{language}/blog/{quote(slug)}/"


def feed(language: str) -> str:
    """Return the path of the blog's feed."""
    return f"/{language}/blog/feed/"


SITEMAP = "/sitemap.xml"


def absolute(path: str) -> str:
    """Return the path with the installation's own address before it, for feeds, letters and other sites."""
    return settings.SITE_URL.rstrip("/") + path
