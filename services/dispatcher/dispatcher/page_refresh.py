"""Has nginx fetch again the public pages that changed: a request with the front's secret bypasses its copy, and the
answer replaces the copy.

One job does it at a time in the whole installation, so that a front that hangs occupies one thread of the control
process, and the web can serve readers. Jobs that come meanwhile end: the one at work looks again when it is done.
"""

import asyncio
import logging
from collections.abc import Collection
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp
import dramatiq
import redis
from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from vestnik import jobs, locks
from vestnik.front import page_cache, public_urls
from vestnik.front.models import StalePage

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Requests under way at once; and how many failures in a row mean that the front is away."""

CHUNK = 100
"""Pages that are fetched before that is written down."""

TIMEOUT = aiohttp.ClientTimeout(total=5)
AGAIN_AFTER = timedelta(milliseconds=700)
TRY_AGAIN_AFTER = timedelta(seconds=2)
TRIED_FOR = timedelta(minutes=1)
"""How long copies live: what changed before that is shown nowhere any more, unless there is nothing newer."""

TRIED_AGAIN = "vestnik:refresh:tried-again"
"""Key in the broker's Redis while a job waits that tries again. It expires before that job comes."""

OVERDUE = timedelta(seconds=10)
NAMED = 3
"""Pages that the log names of those that could not be fetched."""


def refresh() -> None:
    """Fetch stale pages, and again a moment later those that were fetched the first time.

    What fails is tried again: for a minute by jobs of its own, then by the tick's.
    """
    if not settings.FRONT_URL:
        StalePage.objects.all().delete()  # of a time when there was a front
        return
    faults: dict[str, str] = {}
    away = again = False
    while not away and _due(faults).exists():
        with locks.held(locks.PAGE_REFRESH) as alone:
            if not alone:
                break
            new, failed, away = _refresh(_due(faults))
        again = again or new
        faults |= failed
    if again:
        jobs.refresh_pages(delay=AGAIN_AFTER * 1.1)
    if faults:
        named = ", ".join(f"{path} ({fault})" for path, fault in list(faults.items())[:NAMED])
        logger.warning("public pages were not fetched again, they are tried again: %s", named)
        _try_again()


def is_overdue() -> bool:
    """Say whether a page has waited so long that its hint must have been lost, or the front is away."""
    return StalePage.objects.filter(since__lt=Now() - OVERDUE).exists()


def _try_again() -> None:
    """Ask for the next try, if a page changed lately and no job waits for that already."""
    if not StalePage.objects.filter(since__gt=Now() - TRIED_FOR).exists():
        return
    try:
        client = dramatiq.get_broker().client  # type: ignore[attr-defined]
        alone = client.set(TRIED_AGAIN, 1, nx=True, px=TRY_AGAIN_AFTER // timedelta(milliseconds=2))
    except (redis.RedisError, OSError):
        return  # the job would not be taken either
    if alone:
        jobs.refresh_pages(delay=TRY_AGAIN_AFTER)


def _due(but: Collection[str]) -> QuerySet[StalePage]:
    """Return the pages to be fetched now, `but` for some: first those never fetched, last the later pages of lists."""
    first, second = Q(fetched_at=None), Q(fetched_at__lte=Now() - AGAIN_AFTER)
    pages = StalePage.objects.filter(first | second).exclude(path__in=but).alias(deep=Q(path__contains="?page="))
    return pages.order_by(F("fetched_at").asc(nulls_first=True), "deep", "pk")


def _refresh(due: QuerySet[StalePage]) -> tuple[bool, dict[str, str], bool]:
    """Fetch some pages; return whether any for the first time, which failed and why, and whether the front is away."""
    # A page that was marked again before it was fetched: once is enough, however long the front was away.
    marked_again = StalePage.objects.filter(path=OuterRef("path"), pk__gt=OuterRef("pk"), fetched_at=None)
    StalePage.objects.filter(Exists(marked_again)).delete()
    paths = list(dict.fromkeys(page.path for page in due[:CHUNK]))
    pages = list(due.filter(path__in=paths))
    if any(page.fetched_at is None for page in pages):
        # Once more, for whoever changed the page may not have reached the cache. Figures are on home pages alone.
        page_cache.invalidate(page_cache.FIGURES)
        if not set(paths) <= {public_urls.home(language) for language in public_urls.languages()}:
            page_cache.invalidate()
    fetched, faults, away = asyncio.run(_fetch(paths))
    done = [page for page in pages if page.path in fetched]
    StalePage.objects.filter(pk__in=[page.pk for page in done if page.fetched_at]).delete()
    first = StalePage.objects.filter(pk__in=[page.pk for page in done if not page.fetched_at])
    return bool(first.update(fetched_at=Now())), faults, away


async def _fetch(paths: list[str]) -> tuple[set[str], dict[str, str], bool]:
    """Return those of the paths that nginx has again, the others that were tried and why, and whether it gave up."""
    fetched: set[str] = set()
    faults: dict[str, str] = {}
    in_a_row = 0
    waiting = iter(paths)
    # The web knows itself by the name in its own address, whatever nginx is called here.
    headers = {"X-Front-Refresh": settings.FRONT_SECRET, "Host": urlsplit(settings.SITE_URL).netloc}

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal in_a_row
        for path in waiting:
            if in_a_row >= AT_ONCE:
                return
            if fault := await _get(session, path):
                in_a_row += 1
                faults[path] = fault
            else:
                in_a_row = 0
                fetched.add(path)

    cookies = aiohttp.DummyCookieJar()  # by a cookie that came with one page the next would be somebody's own
    async with aiohttp.ClientSession(headers=headers, timeout=TIMEOUT, cookie_jar=cookies) as session:
        await asyncio.gather(*(work(session) for _ in range(AT_ONCE)))
    return fetched, faults, in_a_row >= AT_ONCE


async def _get(session: aiohttp.ClientSession, path: str) -> str:
    """Fetch the page; return why its copy was not replaced, or nothing."""
    try:
        async with session.get(f"{settings.FRONT_URL}/{path.lstrip('/')}", allow_redirects=False) as answer:
            await answer.read()
    except TimeoutError:
        return f"no answer within {TIMEOUT.total:.0f} s"
    except (aiohttp.ClientError, OSError) as error:
        return str(error) or type(error).__name__
    if answer.status not in (200, 404):
        return f"answered {answer.status}"
    # What nginx says it did. Anything else was not made for us: the secrets are not the same.
    return "" if answer.headers.get("X-Cache", "BYPASS") == "BYPASS" else "the copy was not passed by: FRONT_SECRET"
