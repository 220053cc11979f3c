"""Each job of `vestnik.jobs`, bound to the one function that does it."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import dramatiq
from dramatiq.middleware import Shutdown

from dispatcher import account_erasure, domain_checks, link_trial, page_refresh
from dispatcher.account_mail import job as account_mail
from dispatcher.ledger import closing, refused
from dispatcher.runs import launching, ticking
from dispatcher.sending import lanes
from vestnik import jobs, logs
from vestnik.blog import view_counter
from vestnik.clients import import_jobs
from vestnik.front import homepage_stats

MINUTE = timedelta(minutes=1).total_seconds() * 1000


def bind(job: jobs.Job, function: Callable[..., Any], about: str = "", **options: Any) -> "dramatiq.Actor[..., Any]":
    """Make `function` the actor of `job`, and return it. What `function` returns is for others who call it.

    `about` is the name under which the log shows its first argument, an id.
    """
    make: Callable[..., dramatiq.Actor[..., Any]] = dramatiq.actor(actor_name=job.name, queue_name=job.queue, **options)

    @wraps(function)
    def work(*args: Any) -> None:
        ids = {about: args[0]} if about else {}
        with logs.context(job=job.name, **ids):
            function(*args)

    return make(work)


# All of them are idempotent, and their work is found again by the tick: a few quick retries, then the next tick.
launch = bind(jobs.LAUNCH, launching.launch_and_wake, "mailing_id", max_retries=3, time_limit=60 * MINUTE)
close = bind(jobs.CLOSE, closing.close_in_time, "run_id", max_retries=3, time_limit=60 * MINUTE)
note_refused = bind(jobs.NOTE_REFUSED, refused.note, "run_id", max_retries=3, time_limit=10 * MINUTE)
try_link = bind(jobs.TRY_LINK, link_trial.try_link, max_retries=0, time_limit=MINUTE)
check_domains = bind(jobs.CHECK_DOMAINS, domain_checks.check_due, max_retries=0, time_limit=10 * MINUTE)
wake = bind(jobs.WAKE, lanes.wake, "owner_id", max_retries=1)
tick = bind(jobs.TICK, ticking.tick, max_retries=0, time_limit=60 * MINUTE)

# It also ends by itself: by the provider's time limits, and when nothing is due. The tick finds what is left.
deliver_account_mail = bind(jobs.ACCOUNT_MAIL, account_mail.deliver, max_retries=0, time_limit=24 * 60 * MINUTE)

# Stopped with the process, it is begun again by the tick. Retries of its own would only come sooner.
import_clients = bind(
    jobs.IMPORT_CLIENTS,
    import_jobs.run_import,
    max_retries=0,
    time_limit=60 * MINUTE,
    notify_shutdown=True,
    throws=Shutdown,
)

# The same: what was erased before it stopped stays erased.
erase = bind(
    jobs.ERASE,
    account_erasure.erase,
    "owner_id",
    max_retries=0,
    time_limit=60 * MINUTE,
    notify_shutdown=True,
    throws=Shutdown,
)

# The tick asks again for what one of these did not get done.
refresh_pages = bind(jobs.REFRESH_PAGES, page_refresh.refresh, max_retries=0, time_limit=10 * MINUTE)
count_figures = bind(jobs.COUNT_FIGURES, homepage_stats.count, max_retries=0, time_limit=60 * MINUTE)
flush_views = bind(jobs.FLUSH_VIEWS, view_counter.flush, max_retries=0, time_limit=10 * MINUTE)

# A lane ends by itself, by its slice; one that has begun is not retried, for that would be a second lane.
send = bind(
    jobs.SEND,
    lanes.run_slice,
    "owner_id",
    retry_when=lanes.may_come_again,
    min_backoff=1000,
    max_backoff=10_000,
    time_limit=24 * 60 * MINUTE,
)
