"""The scheduler: enqueues periodic jobs, waits for a queue that is away, and has everybody go on when it is back."""

import logging
import queue
from typing import Any

import periodiq
import redis
from dramatiq.errors import BrokerError

from dispatcher.sending import lanes
from vestnik import jobs, redis_client
from vestnik.redis_client import impatient_redis

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the queue is asked whether it takes writes, and is still the same run of Redis."""


class Scheduler(periodiq.Scheduler):  # type: ignore[misc]
    """Periodiq's; but what the queue does not take is not sent, and the process lives on."""

    def __init__(self, actors: list[Any]) -> None:
        super().__init__(actors)
        self.alarm_q: queue.SimpleQueue[bool] = queue.SimpleQueue()  # a signal may come while it is looked into
        self._server = ""
        """The run id of Redis; "" before it is known to take writes."""
        self._is_lost = False

    def loop(self) -> None:
        """Enqueue what is due, and look after the queue between; for ever."""
        while True:
            try:
                self.alarm_q.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self.look()
            else:
                self.schedule()

    def send_actors(self, actors: list[Any], now: Any) -> None:
        """Enqueue the jobs that are due, unless the queue is away."""
        if not self.look():
            return  # the tick comes with the queue's return
        try:
            super().send_actors(actors, now)
        except BrokerError as error:
            self._lost(error)

    def look(self) -> bool:
        """Say whether the queue takes what is written.

        If it does so again, or for the first time, its jobs may be gone: everything that is due is searched for again.
        """
        try:
            redis_client.write(impatient_redis())
            server: str = impatient_redis().info("server")["run_id"]
            if server != self._server:
                lanes.free_waiting_slots()
                if jobs.TICK.enqueue():
                    self._server, was_lost, self._is_lost = server, self._is_lost, False
                    if was_lost:
                        logger.warning("the queue takes jobs again")
        except (redis.RedisError, OSError) as error:
            self._lost(error)
        return self._server != ""

    def _lost(self, error: Exception) -> None:
        if not self._is_lost:
            logger.warning("the queue takes no jobs; nothing is scheduled until it does: %s", error)
        self._server, self._is_lost = "", True
