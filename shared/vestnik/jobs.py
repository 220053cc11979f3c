"""The queue contract: every job's name, its queue, and a typed function that enqueues it.

The services meet here and nowhere else: the web enqueues a job by its name, the dispatcher binds the name to a
function. A job is a hint. Enqueueing gives up after a third of a second, logs, and never raises: what a lost hint
meant stands in PostgreSQL, where the tick finds it.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import dramatiq
import pendulum
import periodiq
import redis
from django.conf import settings
from django.db import transaction
from dramatiq.errors import BrokerError

logger = logging.getLogger(__name__)

CONTROL = "control"
BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Job:
    """A job's name and the queue it waits in."""

    name: str
    queue: str

    def enqueue(self, *args: int | str, delay: timedelta | None = None) -> bool:
        """Enqueue this job; return False, and log a warning, if the broker did not take it."""
        message: dramatiq.Message[Any] = dramatiq.Message(
            queue_name=self.queue, actor_name=self.name, args=args, kwargs={}, options={}
        )
        milliseconds = None if delay is None else max(0, round(delay.total_seconds() * 1000))
        try:
            dramatiq.get_broker().enqueue(message, delay=milliseconds)
        except (redis.RedisError, BrokerError, OSError) as error:
            logger.warning("job %s%r was not enqueued, the tick will find its work: %s", self.name, args, error)
            return False
        return True


LAUNCH = Job("launch", CONTROL)
CLOSE = Job("close", CONTROL)
TICK = Job("tick", CONTROL)
WAKE = Job("wake", CONTROL)
IMPORT_CLIENTS = Job("import_clients", CONTROL)
ACCOUNT_MAIL = Job("account_mail", CONTROL)
ERASE = Job("erase", CONTROL)
REFRESH_PAGES = Job("refresh_pages", CONTROL)
COUNT_FIGURES = Job("count_figures", CONTROL)
FLUSH_VIEWS = Job("flush_views", CONTROL)
NOTE_REFUSED = Job("note_refused", CONTROL)
TRY_LINK = Job("try_link", CONTROL)
CHECK_DOMAINS = Job("check_domains", CONTROL)
SEND = Job("send", BULK)


def horizon(at: float | None = None) -> timedelta:
    """Return how far ahead a launch is worth a hint with a delay: until the tick after the next. Ticks find the rest.

    `at`: seconds since 1970; now, if it is not given.
    """
    since = pendulum.now() if at is None else pendulum.from_timestamp(at, tz="local")
    tick = periodiq.cron(settings.TICK_CRON)
    return timedelta(seconds=(tick.next_valid_date(tick.next_valid_date(since)) - since).total_seconds())


def launch(mailing_id: int, delay: timedelta | None = None) -> None:
    """Launch what is due of the mailing (after `delay`).

    Inside a transaction this and all jobs here but `send` are enqueued on commit.
    """
    transaction.on_commit(partial(LAUNCH.enqueue, mailing_id, delay=delay))


def close(run_id: int, delay: timedelta | None = None) -> None:
    """End (after `delay`) the queued letters of a run that was cancelled or whose window has closed by then, and the
    run if that was all.
    """
    transaction.on_commit(partial(CLOSE.enqueue, run_id, delay=delay))


def tick() -> None:
    """Find and do everything that is due."""
    transaction.on_commit(TICK.enqueue)


def wake(owner_id: int, delay: timedelta | None = None) -> None:
    """Wake the lanes of an owner whose letters are due (after `delay`)."""
    transaction.on_commit(partial(WAKE.enqueue, owner_id, delay=delay))


def note_refused(run_id: int) -> None:
    """Look for addresses that were refused for good in a run that is over, and suppress them."""
    transaction.on_commit(partial(NOTE_REFUSED.enqueue, run_id))


def try_link() -> None:
    """Try the link by which people unsubscribe with one click."""
    transaction.on_commit(TRY_LINK.enqueue)


def check_domains() -> None:
    """Ask the DNS what it says of domains that letters come from: where somebody waits for that, or it is time."""
    transaction.on_commit(CHECK_DOMAINS.enqueue)


def import_clients(import_id: int) -> None:
    """Import the clients of an uploaded file, or begin an import again whose worker died."""
    transaction.on_commit(partial(IMPORT_CLIENTS.enqueue, import_id))


def account_mail(delay: timedelta | None = None) -> None:
    """Hand over what is due of account mail (after `delay`)."""
    transaction.on_commit(partial(ACCOUNT_MAIL.enqueue, delay=delay))


def erase(user_id: int, delay: timedelta | None = None) -> None:
    """Erase what a deleted account owned (after `delay`)."""
    transaction.on_commit(partial(ERASE.enqueue, user_id, delay=delay))


def refresh_pages(delay: timedelta | None = None) -> None:
    """Have nginx fetch the changed public pages again (after `delay`)."""
    transaction.on_commit(partial(REFRESH_PAGES.enqueue, delay=delay))


def count_figures(delay: timedelta | None = None) -> None:
    """Count the home page's figures again (after `delay`)."""
    transaction.on_commit(partial(COUNT_FIGURES.enqueue, delay=delay))


def send(owner_id: int, slot: int, token: str, failures: int = 0, delay: timedelta | None = None) -> bool:
    """Send one slice of the lane that holds `slot` by `token`; return whether the job was enqueued, at once.

    `failures` counts the service's refusals in a row.
    """
    return SEND.enqueue(owner_id, slot, token, failures, delay=delay)
