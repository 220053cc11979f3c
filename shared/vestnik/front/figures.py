"""The home page's figures: counted beforehand, so that nobody waits for a count over millions.

`changed` hints that they may be others; the dispatcher counts anew, the next moment where that is quick, and never more
than a twentieth of the time. The tick has them counted too, whatever hints were lost.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.core.cache import cache
from django.db import connection, transaction

from vestnik import clock, jobs
from vestnik.clients.models import Client
from vestnik.front import addresses, stale
from vestnik.front.models import Figures
from vestnik.mailings.models import Mailing

LEAST = timedelta(seconds=1)
"""Between two counts, however quick they are."""

SHARE = 20
"""A count is made no sooner than so many times what the last one took."""

ASKED = "vestnik:figures:asked"
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('vestnik.figures', 0))"


def current() -> Figures:
    """The figures as of the last count; zeros where there was none."""
    return Figures.objects.first() or Figures()


def changed() -> None:
    """What is counted may be other once the transaction is committed."""
    transaction.on_commit(lambda: ask(timedelta(0)))


def ask(wait: timedelta) -> None:
    """Have them counted after `wait`; a request that waits already is enough."""
    if cache.add(ASKED, True, timeout=int(wait.total_seconds()) + 60):
        jobs.count_figures(delay=wait or None)


def count() -> None:
    """Count anew; or, soon after another count, ask for it again later."""
    cache.delete(ASKED)
    if wait := _recount():
        ask(wait)


@transaction.atomic
def _recount() -> timedelta | None:
    """Count; how long to wait before that, if it is too soon or another is at it."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
        if not cursor.fetchone()[0]:
            return LEAST
    last = current()
    pause = max(LEAST, SHARE * timedelta(seconds=last.seconds))
    if last.counted_at and (rest := last.counted_at + pause - clock.now()) > timedelta(0):
        return rest
    began = time.monotonic()
    now = Figures(
        mailings=Mailing.objects.count(),
        active_mailings=Mailing.objects.active().count(),
        clients=Client.objects.values("email").distinct().count(),
        counted_at=clock.now(),
        seconds=time.monotonic() - began,
    )
    now.save()
    if (now.mailings, now.active_mailings, now.clients) != (last.mailings, last.active_mailings, last.clients):
        stale.mark(addresses.home(language) for language in addresses.languages())
    return None
