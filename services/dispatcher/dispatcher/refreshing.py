"""Has nginx fetch anew the public pages that changed: a request with the front's secret passes its copy by, and the
answer takes the copy's place.
"""

import asyncio
import logging
from datetime import timedelta

import aiohttp
from django.conf import settings
from django.db.models.functions import Now

from vestnik import jobs
from vestnik.front import kept
from vestnik.front.models import StalePage

logger = logging.getLogger(__name__)

AT_ONCE = 4  # of the web's threads, which have people to serve
TIMEOUT = aiohttp.ClientTimeout(total=10)
AGAIN_AFTER = timedelta(milliseconds=700)


def refresh() -> None:
    """Fetch what is stale; ask for a second time, soon, of what was fetched the first time."""
    pages = list(StalePage.objects.order_by("pk"))
    if not pages:
        return
    kept.throw_away()  # once more, for whoever changed the page may not have reached the cache
    fetched = asyncio.run(_fetch(list(dict.fromkeys(page.path for page in pages))))
    done = [page for page in pages if page.path in fetched]
    StalePage.objects.filter(pk__in=[page.pk for page in done if page.fetched_at]).delete()
    first = StalePage.objects.filter(pk__in=[page.pk for page in done if not page.fetched_at])
    if first.update(fetched_at=Now()):
        jobs.refresh_pages(delay=AGAIN_AFTER)


async def _fetch(paths: list[str]) -> set[str]:
    """Those of the paths that nginx has anew. Stops at the first that it has not: the others would fare no better."""
    fetched: set[str] = set()
    places = asyncio.Semaphore(AT_ONCE)
    headers = {"X-Front-Refresh": settings.FRONT_SECRET}

    async with aiohttp.ClientSession(settings.FRONT_URL, headers=headers, timeout=TIMEOUT) as session:

        async def fetch(path: str) -> None:
            async with places, session.get(path, allow_redirects=False) as answer:
                await answer.read()
                if answer.status < 500:
                    fetched.add(path)

        try:
            async with asyncio.TaskGroup() as group:
                for path in paths:
                    group.create_task(fetch(path))
        except* (aiohttp.ClientError, OSError, TimeoutError) as errors:
            logger.warning("public pages were not fetched anew, the tick asks again: %s", errors.exceptions[0])
    return fetched
