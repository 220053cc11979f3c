"""Jobs that died: the broker's dead-letter queue, and what each of them died of.

A job is a hint, and the tick finds again what its work was: none of these is lost work. They tell of a fault in the
program, or of a job that kills its worker. Dramatiq keeps the messages (a sorted set by the time of death and a hash of
contents for each queue); beside them the dispatcher's middleware notes why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import redis
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from dramatiq.errors import BrokerError

from vestnik import jobs
from vestnik.redis_client import impatient_redis

QUEUES = (jobs.CONTROL, jobs.BULK)

KEPT = 1000
"""Dead jobs kept of each queue, the newest: what dies every minute must not fill the broker, which evicts none."""


class QueueAway(Exception):
    """The broker does not answer."""


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that nobody tries any more."""

    id: str
    queue: str
    job: str
    args: tuple[Any, ...]
    died_at: datetime  # by the clock of the worker's host
    error: str  # one line; empty if it was not noted
    traceback: str  # empty for a job that killed its worker
    tries: int

    def __str__(self) -> str:
        return f"{self.job}({', '.join(map(repr, self.args))})"


def count() -> int:
    """Count the dead jobs. Raises QueueAway, as everything here does."""
    with _answered():
        return sum(impatient_redis().zcard(_queue(queue)) for queue in QUEUES)


REQUEUEING = timedelta(seconds=5)
"""How long nobody else can requeue a job that is being requeued."""


def listed(limit: int = KEPT * len(QUEUES), offset: int = 0) -> list[DeadJob]:
    """Return dead jobs, the newest first: at most `limit`, without the newest `offset`. Raises QueueAway."""
    died: list[tuple[float, str, str]] = []
    with _answered():
        for queue in QUEUES:
            newest: Any = impatient_redis().zrevrange(_queue(queue), 0, offset + limit - 1, withscores=True)
            died += [(milliseconds, message_id.decode(), queue) for message_id, milliseconds in newest]
        return _read(sorted(died, reverse=True)[offset : offset + limit])


def one(message_id: str) -> DeadJob | None:
    """Return the dead job with this id, if there is one. Raises QueueAway."""
    with _answered():
        scores = [(impatient_redis().zscore(_queue(queue), message_id), queue) for queue in QUEUES]
        found = _read([(milliseconds, message_id, queue) for milliseconds, queue in scores if milliseconds is not None])
    return found[0] if found else None


def requeue(message: DeadJob) -> None:
    """Enqueue the job again, with all its tries, and take it out of the dead. A crash in between leaves it in both
    places, never in none.

    Raises ValidationError if somebody was faster, and QueueAway.
    """
    with _answered():
        if not impatient_redis().set(f"vestnik:requeueing:{message.id}", 1, nx=True, px=REQUEUEING):
            raise _gone()
        _refuse_gone(message)
        again: dramatiq.Message[Any] = dramatiq.Message(
            queue_name=message.queue, actor_name=message.job, args=message.args, kwargs={}, options={}
        )
        dramatiq.get_broker().enqueue(again)
        _forget(message.queue, message.id)


def discard(message: DeadJob) -> None:
    """Take the job out of the dead for good. Raises ValidationError if somebody was faster, and QueueAway."""
    with _answered():
        _refuse_gone(message)
        _forget(message.queue, message.id)


def record(message_id: str, error: str, traceback: str, tries: int) -> None:
    """Keep why the message dies, for as long as Dramatiq keeps the message. Raises redis.RedisError."""
    reason = {"error": error, "traceback": traceback, "tries": tries}
    impatient_redis().set(_reason(message_id), json.dumps(reason), ex=settings.DEAD_JOB_TTL + timedelta(days=1))


def prune(queue: str) -> None:
    """Drop all but the newest `KEPT` of a queue. Raises redis.RedisError."""
    oldest: Any = impatient_redis().zrange(_queue(queue), 0, -KEPT - 1)
    if oldest:
        _forget(queue, *(message_id.decode() for message_id in oldest))


def _refuse_gone(message: DeadJob) -> None:
    if not impatient_redis().hexists(f"{_queue(message.queue)}.msgs", message.id):
        raise _gone()


def _gone() -> ValidationError:
    return ValidationError(_("This job is not among the dead any more: somebody was faster."))


def _read(died: list[tuple[float, str, str]]) -> list[DeadJob]:
    """Return the messages, each by its time of death in milliseconds, id and queue; those that went meanwhile are left
    out.
    """
    pipeline = impatient_redis().pipeline(transaction=False)
    for _milliseconds, message_id, queue in died:
        pipeline.hget(f"{_queue(queue)}.msgs", message_id)
        pipeline.get(_reason(message_id))
    answers = iter(pipeline.execute())
    return [
        _dead_job(message_id, queue, milliseconds, content, reason)
        for (milliseconds, message_id, queue), content, reason in zip(died, answers, answers, strict=True)
        if content is not None
    ]


def _dead_job(message_id: str, queue: str, died: float, content: bytes, reason: bytes | None) -> DeadJob:
    message: dramatiq.Message[Any] = dramatiq.Message.decode(content)
    tries = message.options.get("retries", 0) + 1  # the content is as it was last enqueued
    noted = json.loads(reason) if reason else {"error": "", "traceback": "", "tries": tries}
    died_at = datetime.fromtimestamp(died / 1000, UTC)
    return DeadJob(message_id, queue, message.actor_name, message.args, died_at, **noted)


def _forget(queue: str, *ids: str) -> None:
    pipeline = impatient_redis().pipeline()
    pipeline.zrem(_queue(queue), *ids)
    pipeline.hdel(f"{_queue(queue)}.msgs", *ids)
    pipeline.delete(*map(_reason, ids))
    pipeline.execute()


def _queue(queue: str) -> str:
    return f"{settings.DRAMATIQ_BROKER['OPTIONS']['namespace']}:{queue}.XQ"


def _reason(message_id: str) -> str:
    return f"vestnik:died:{message_id}"


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, BrokerError, OSError) as error:
        raise QueueAway(str(error)) from error
