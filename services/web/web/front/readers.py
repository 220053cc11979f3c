"""Who reads: a view counts where a person asked for the page, and not in advance."""

from __future__ import annotations

from functools import cache

from crawlerdetect import CrawlerDetect
from django.http import HttpRequest

LONGEST_AGENT = 400
"""Characters of a program's name that are looked at: looking takes the square of their number."""

PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
IN_ADVANCE = ("prefetch", "prerender", "preview")


def reads(request: HttpRequest) -> bool:
    """Say whether the request is a person's who wants to see the page now."""
    if request.method != "GET":
        return False
    purposes = " ".join(request.headers.get(name, "") for name in PURPOSES).lower()
    if any(word in purposes for word in IN_ADVANCE):
        return False
    return not _detector().is_crawler(request.headers.get("User-Agent", "")[:LONGEST_AGENT])


@cache
def _detector() -> CrawlerDetect:
    return CrawlerDetect()
