"""The queue as workers see it: Dramatiq's Redis broker, which here waits for Redis and loses no job meanwhile.

Dramatiq expects lost connections, and nothing else. A Redis whose memory is full, that is read-only or that answers
late was a traceback for each look at the queue, and ended some of the threads that look for good. Whatever keeps Redis
from executing a command is a lost connection here; it is logged once, and once more when it is over.

What a worker fetched is in a set in Redis until it is acknowledged. Dramatiq gives it to others when the worker has
died, and never while it lives: a job whose answer was lost on the way would stay there for good. So what is in the set
and in nobody's hand is put back into the queue once Redis answers again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import q_name
from dramatiq.errors import ConnectionClosed
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5
"""How long each thread leaves a queue alone that did not answer, or refused."""

PATIENCE = 5.0
"""Seconds for an answer. Jobs lost by not waiting are put back; without a limit a host that vanished would block
threads for good.
"""


def patiently(do: Callable[[], None]) -> None:
    """Do it once Redis allows it, however long that takes. A process that is stopped ends all the same."""
    while True:
        try:
            do()
        except ConnectionClosed:
            time.sleep(AGAIN_SECONDS)
        else:
            return


class Broker(RedisBroker):
    """One broker per process. Raises ConnectionClosed, and nothing else, where Redis does not execute a command."""

    def __init__(self, *, url: str, **options: Any) -> None:
        super().__init__(client=_client(url), **options)  # type: ignore[no-untyped-call]
        self._lock = threading.Lock()
        self._away_since: float | None = None

    @property
    def consumer_class(self) -> "type[Consumer]":
        return Consumer

    def _dispatch(self, command: str) -> Callable[..., Any]:
        ask: Callable[..., Any] = super()._dispatch(command)  # type: ignore[no-untyped-call]

        def dispatch(queue_name: str, *args: Any) -> Any:
            try:
                answer = ask(queue_name, *args)
            except (redis.RedisError, OSError, ValueError) as error:  # ValueError: a connection closed while it is read
                self._lost(error)
                raise _closed(error) from None
            self._found()
            return answer

        return dispatch

    def _lost(self, error: Exception) -> None:
        with self._lock:
            news, self._away_since = self._away_since is None, self._away_since or time.monotonic()
        if news:
            logger.warning("the queue does not answer, or takes nothing; jobs wait until it does: %s", error)

    def _found(self) -> None:
        if self._away_since is None:
            return
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            logger.warning("the queue answers again, after %.1f s", time.monotonic() - since)


def _client(url: str) -> redis.Redis:
    """Return a client that repeats no command: a fetch whose answer was lost would fetch others beside."""
    never = Retry(NoBackoff(), 0)
    pool = redis.ConnectionPool.from_url(url, retry=never, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    return redis.Redis(connection_pool=pool)


class Consumer(_RedisConsumer):
    """What one thread fetches of one queue. Waits for Redis, and puts back what was lost on the way."""

    broker: Broker

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)  # type: ignore[no-untyped-call]
        self._in_hand: dict[str, None] = _in_hand(self.broker, self.queue_name)
        self._in_doubt = True

    def __next__(self) -> MessageProxy | None:
        try:
            if self._in_doubt:
                self._put_back_strays()
                self._in_doubt = False
            message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        except ConnectionClosed:
            self._in_doubt = True
            time.sleep(AGAIN_SECONDS)
            return None
        if message is not None:
            self._in_hand[_id(message)] = None
        return message

    def ack(self, message: MessageProxy) -> None:
        """Tell Redis that the job is done; wait for it while it is away."""
        self._end(message, super().ack)

    def nack(self, message: MessageProxy) -> None:
        """Tell Redis that the job has died; wait for it while it is away."""
        self._end(message, super().nack)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put jobs back into their queue that no worker has begun."""
        messages = list(messages)
        super().requeue(messages)  # type: ignore[no-untyped-call]
        for message in messages:
            self._in_hand.pop(_id(message), None)

    def _end(self, message: MessageProxy, end: Callable[[MessageProxy], None]) -> None:
        patiently(lambda: end(message))
        self._in_hand.pop(_id(message), None)

    def _put_back_strays(self) -> None:
        """Put back jobs whose answers were lost. Nothing is cached now: the others were handed to the worker."""
        kept = f"{self.broker.namespace}:__acks__.{self.broker.broker_id}.{self.queue_name}"
        try:
            members: Any = self.broker.client.smembers(kept)
            fetched = {name.decode() for name in members}
        except (redis.RedisError, OSError, ValueError) as error:
            self.broker._lost(error)
            raise _closed(error) from None
        strays = [name for name in fetched if name not in self._in_hand]
        if strays:
            self.broker.do_requeue(self.queue_name, *strays)
            logger.warning("%d jobs were lost on the way from queue %s, and are put back", len(strays), self.queue_name)


_hands: dict[tuple[str, str], dict[str, None]] = {}


def _in_hand(broker: Broker, queue_name: str) -> dict[str, None]:
    """Return the ids that this process's threads have of a queue.

    It outlives consumers: threads work on while one is made again. Delayed messages do not, for Dramatiq lets go of
    them then.
    """
    hand = _hands.setdefault((broker.broker_id, queue_name), {})
    if queue_name != q_name(queue_name):
        hand.clear()
    return hand


def _closed(error: Exception) -> ConnectionClosed:
    return ConnectionClosed(error)  # type: ignore[no-untyped-call]


def _id(message: MessageProxy) -> str:
    return str(message.options["redis_message_id"])
