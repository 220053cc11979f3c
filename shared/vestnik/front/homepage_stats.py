"""The home page's figures: counted beforehand, so that nobody waits for a count over millions.

`vestnik.homepage_hint` says that they may have changed; the dispatcher counts again, at once where that is quick, and
never for more than a twentieth of the time. The tick has them counted too, if hints were lost.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Count

from vestnik import clock, homepage_hint, locks
from vestnik.clients.models import Client
from vestnik.front import invalidation, page_cache, public_urls
from vestnik.front.models import Figures
from vestnik.mailings.models import Mailing

logger = logging.getLogger(__name__)

LEAST = timedelta(seconds=1)
"""Least time between two counts, however quick they are."""

SHARE = 20
"""The pause before the next count is so many times what the last one took."""

MOST = timedelta(minutes=10)
"""The longest pause, however long a count took: the database may have been busy with something else."""

# All rows are read: no index is faster, whatever the dispatcher's sessions prefer.
READ_ALL = "SET LOCAL enable_seqscan = on"


def current() -> Figures:
    """Return the figures of the last count; zeros where there was none."""
    return Figures.objects.first() or Figures()


def count() -> None:
    """Count again; or, soon after another count, ask for it again later. Raises redis.RedisError."""
    homepage_hint.forget()  # first: what changes from now on may be missed, and asks again
    if wait := _recount():
        homepage_hint.request_count(wait)


@transaction.atomic
def _recount() -> timedelta | None:
    """Count; return how long to wait before that, if it is too soon or another process is counting."""
    if not locks.take(locks.HOMEPAGE_STATS):
        return LEAST
    with connection.cursor() as cursor:
        cursor.execute(READ_ALL)
    last = current()
    pause = max(LEAST, min(MOST, SHARE * timedelta(seconds=last.seconds)))
    rest = last.counted_at + pause - clock.now() if last.counted_at else timedelta(0)
    if timedelta(0) < rest <= pause:
        return rest
    began = time.monotonic()
    counted = {
        "mailings": Mailing.objects.count(),
        "active_mailings": Mailing.objects.active().count(),
        "clients": Client.objects.aggregate(addresses=Count("email", distinct=True))["addresses"],
    }
    took = time.monotonic() - began
    Figures.objects.update_or_create(pk=1, defaults={**counted, "counted_at": clock.now(), "seconds": took})
    if any(getattr(last, name) != number for name, number in counted.items()):
        invalidation.mark([public_urls.home(language) for language in public_urls.languages()], page_cache.FIGURES)
    return None
