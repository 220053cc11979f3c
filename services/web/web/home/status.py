"""What runs: asked of the database, the queue and the ledger, each answer independent of the others."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dramatiq
import redis
from django.core.cache import cache
from django.db import DatabaseError
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vestnik import jobs, redis_client
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Run, RunState, Worker

TICK_MAY_BE_LATE = timedelta(minutes=1)
WORKER_IS_LATE_AFTER = timedelta(seconds=10)


@dataclass(frozen=True)
class Part:
    """One line of the page."""

    name: str
    well: bool
    text: str


def parts() -> list[Part]:
    """Return every part of the installation and how it does; the mail service only when it takes nothing."""
    return [_database(), _queue(), _scheduler(), _dispatcher(), *_mail_service()]


def _database() -> Part:
    try:
        counts = dict(Run.objects.filter(state=RunState.OPEN).values_list("state").annotate(count=Count("pk")))
    except DatabaseError:
        return Part(_("Database"), False, _("does not answer"))
    count = counts.get(RunState.OPEN, 0)
    return Part(
        _("Database"), True, ngettext("%(count)d run is open", "%(count)d runs are open", count) % {"count": count}
    )


def _queue() -> Part:
    fault = redis_client.fault(dramatiq.get_broker().client)  # type: ignore[attr-defined]
    if fault:
        return Part(_("Queue"), False, _("does not answer") if fault == redis_client.SILENT else _("takes no jobs"))
    return Part(_("Queue"), True, _("answers"))


def _scheduler() -> Part:
    try:
        last_tick = cache.get("vestnik:tick")
    except (redis.RedisError, OSError):
        last_tick = None
    if last_tick is None:
        return Part(_("Scheduler"), False, _("has not ticked yet"))
    at = datetime.fromtimestamp(last_tick, UTC)
    return Part(
        _("Scheduler"),
        timezone.now() - at < jobs.horizon(last_tick) + TICK_MAY_BE_LATE,
        _("last tick at %s UTC") % f"{at:%H:%M:%S}",
    )


def _dispatcher() -> Part:
    try:
        beating = timezone.now() - WORKER_IS_LATE_AFTER
        workers = Worker.objects.filter(ended_at=None, beat_at__gt=beating).count()
    except DatabaseError:
        return Part(_("Dispatcher"), False, _("unknown without the database"))
    if not workers:
        return Part(_("Dispatcher"), True, _("no worker has letters to send"))
    count = ngettext("%(count)d worker sends", "%(count)d workers send", workers) % {"count": workers}
    return Part(_("Dispatcher"), True, count)


def _mail_service() -> list[Part]:
    if outages.current() is None:
        return []
    return [Part(_("Mail service"), False, _("takes nothing at the moment"))]  # in whose words is not for visitors
