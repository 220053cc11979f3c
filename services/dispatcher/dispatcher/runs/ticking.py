"""The tick: finds in the ledger everything that is due. It alone could rebuild all that Redis carries."""

import logging
import random
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models.functions import Now
from dramatiq.middleware import CurrentMessage

from dispatcher import domain_checks, page_refresh
from dispatcher.account_mail import settling as account_mail
from dispatcher.ledger import closing, due, refused, statements
from dispatcher.runs import launching
from dispatcher.sending import alerts, lanes
from vestnik import account_deletion, clock, error_tracking, jobs, locks
from vestnik.accounts import idempotency, sessions
from vestnik.clients import import_jobs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run, RunState
from vestnik.mailings.models import Mailing

logger = logging.getLogger(__name__)

HINTED_WITHIN = timedelta(seconds=10)
"""Age from which on an import that is not over may have lost its hint or its worker; one hint more does no harm."""


def tick() -> None:
    """Do what is due. Sentry's monitor hears of the scheduler's ticks alone: others come when something hints at it."""
    message = CurrentMessage.get_current_message()
    if message and "scheduled_at" in message.options:
        with error_tracking.checked_in("tick", settings.TICK_CRON):
            do_what_is_due()
    else:
        do_what_is_due()


def do_what_is_due() -> None:
    """Rescue, close, launch, hint at what is due soon, wake lanes. One at a time, in any process."""
    with transaction.atomic():
        if not locks.take(locks.TICK):
            return
        for mailing_id in due_mailings():
            jobs.LAUNCH.enqueue(mailing_id)
        for mailing_id, wait in launching.due_soon(jobs.horizon()):
            jobs.LAUNCH.enqueue(mailing_id, delay=wait)
    rescue()
    close()
    owners = due.owners_with_letters_due()
    random.shuffle(owners)  # whoever comes first may be the probe of a breaker: not always the same
    try:
        for owner_id in owners:
            lanes.wake(owner_id)
    except lanes.SlotUnknown as error:
        logger.warning("lanes are woken when the queue answers again: %s", error)
    for run_id in refused.to_do():
        jobs.NOTE_REFUSED.enqueue(run_id)
    imports()
    domain_checks.enqueue_due()
    account_mail.expire()
    for user_id in account_deletion.deleted_accounts():
        jobs.ERASE.enqueue(user_id)
    idempotency.prune()
    sessions.prune()
    jobs.COUNT_FIGURES.enqueue()
    if page_refresh.is_overdue():
        jobs.REFRESH_PAGES.enqueue()
    cache.set("vestnik:tick", clock.now().timestamp(), timeout=None)


def due_mailings() -> list[int]:
    """Return mailings with an occurrence that is due, or a run that was asked for and has no letters yet."""
    asked = Run.objects.filter(state=RunState.OPEN, filled_at=None, mailing__isnull=False)
    return [*Mailing.objects.due().values_list("pk", flat=True), *asked.values_list("mailing_id", flat=True)]


def rescue() -> None:
    """Take over what dead workers had in hand."""
    for worker_id, name in statements.reap():
        logger.error("worker %d (%s) died; what it had in hand is recovered", worker_id, name)
    run_ids = statements.rescue()
    for run_id in run_ids:
        closing.close(run_id)
    alerts.report_set_aside(run_ids)


def close() -> None:
    """End runs whose time is up, that were cancelled, whose mailing is gone, or whose last letter is settled."""
    Run.objects.filter(state=RunState.OPEN, mailing=None, cancelled_at=None).update(cancelled_at=Now())
    for run_id in statements.to_close():
        closing.close(run_id)
    now = clock.now()
    soon = Run.objects.filter(state=RunState.OPEN, window_end__gt=now, window_end__lt=now + jobs.horizon())
    for run in soon.only("window_end"):
        runs.hint_end(run)


def imports() -> None:
    """Hint at imports that are overdue, and delete the files of old ones."""
    for import_id in import_jobs.to_do(older_than=HINTED_WITHIN):
        jobs.IMPORT_CLIENTS.enqueue(import_id)
    import_jobs.prune_files()
