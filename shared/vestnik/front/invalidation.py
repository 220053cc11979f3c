"""Public pages that changed.

Whatever changes a page writes its path down in the same transaction. On commit the dispatcher is asked to have nginx
fetch it again; while the queue or nginx is away the rows wait, and the tick asks again. Each page is fetched twice, the
second time a moment later: a copy that was being made while the page changed may be stored after the first.
"""

from collections.abc import Iterable
from functools import partial

from django.conf import settings
from django.db import transaction

from vestnik import jobs
from vestnik.front import page_cache
from vestnik.front.models import StalePage


def mark(paths: Iterable[str], room: str = page_cache.BLOG) -> None:
    """Mark these pages as changed once the transaction is committed, and what is cached of the room as outdated."""
    stale = [StalePage(path=path) for path in dict.fromkeys(paths)]
    if not stale:
        return
    transaction.on_commit(partial(page_cache.invalidate, room))
    if settings.FRONT_URL:  # without a front there are no copies
        StalePage.objects.bulk_create(stale)
        jobs.refresh_pages()
