"""What happens to jobs that die, which are stored with their reason, and to those that kill their workers.

Dramatiq gives what a dead worker had in hand to the next, for ever. So starts are counted in Redis, and a job that was
begun without ever ending is not begun again. While Redis is away all of this is left out.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dramatiq
import redis
from dramatiq import middleware
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, Shutdown, SkipMessage

from dispatcher.queue.broker import patiently
from vestnik import dead_jobs, error_tracking
from vestnik.redis_client import impatient_redis

logger = logging.getLogger(__name__)

DEATHS = 3
"""How many workers may die while doing a job, even if something else killed them."""

REMEMBERED = timedelta(days=2)
"""How long a start is remembered: longer than any job takes, and than a worker's death stays unnoticed."""

LONGEST_TRACEBACK = 8000  # characters; its end matters
LONGEST_ERROR = 300

WORKER_DIED = "Its worker died three times while doing this."


class DeadJobMiddleware(Middleware):
    """Comes before Retries in the list of middleware, and so is called after it when a job ends."""

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        """Raise SkipMessage for a job that killed its workers."""
        starts = 0
        with _queue_may_be_away():
            pipeline = impatient_redis().pipeline()
            pipeline.incr(_starts(message))
            pipeline.expire(_starts(message), REMEMBERED)
            starts = pipeline.execute()[0]
        if starts > DEATHS:
            logger.error("%s is not begun again. %s", message, WORKER_DIED)
            message.fail()
            raise SkipMessage(WORKER_DIED)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Forget how often the job was begun: it killed no worker."""
        with _queue_may_be_away():
            impatient_redis().delete(_starts(message))
        if isinstance(exception, Shutdown):
            message.failed = False  # stopped with its process, and begun again by the tick: nothing to look at
        elif exception is not None and not message.failed:
            error_tracking.is_tried_again()

    def after_skip_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        """Forget it likewise of a job that was skipped."""
        self.after_process_message(broker, message)

    def before_nack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        """Record what the job died of, without secrets, and how many tries it had."""
        died_of = message._exception
        tries = message.options.get("retries", 0)
        error, trace = "", ""
        if isinstance(died_of, SkipMessage):
            error, tries = WORKER_DIED, tries + DEATHS
        elif died_of is not None:
            error = f"{type(died_of).__name__}: {died_of}".strip().splitlines()[0]
            trace = "".join(traceback.format_exception(died_of))
        error, trace = error_tracking.scrub(error)[:LONGEST_ERROR], error_tracking.scrub(trace)[-LONGEST_TRACEBACK:]
        with _queue_may_be_away():
            dead_jobs.record(_id(message), error, trace, tries)

    def after_nack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        """Prune the queue's dead jobs, now that it has one more."""
        with _queue_may_be_away():
            dead_jobs.prune(message.queue_name)


class Retries(middleware.Retries):
    """Dramatiq's own, but a job that is to come again does, however long the queue is away at the moment."""

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Enqueue the job again if it failed and has tries left; wait for the queue while it is away."""
        again: Any = super().after_process_message
        retries = message.options.get("retries", 0)

        def enqueue_again() -> None:
            if exception is not None:
                message.options["retries"] = retries
            again(broker, message, result=result, exception=exception)

        patiently(enqueue_again)


def _id(message: MessageProxy) -> str:
    """Return the broker's own id: a retry of the message has another."""
    return str(message.options["redis_message_id"])


def _starts(message: MessageProxy) -> str:
    return f"vestnik:starts:{_id(message)}"


_is_away = False


@contextmanager
def _queue_may_be_away() -> Iterator[None]:
    """Leave out what is asked of a queue that does not answer; log that once, until it answers again."""
    global _is_away
    try:
        yield
        _is_away = False
    except (redis.RedisError, OSError, ValueError) as error:  # ValueError: a connection closed while it is read
        if not _is_away:
            logger.warning("what becomes of jobs is not noted while the queue does not answer: %s", error)
        _is_away = True
