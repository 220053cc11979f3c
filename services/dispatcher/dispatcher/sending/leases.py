"""The life of a sending process: a row with its heartbeat, written every second, by which others know that it lives."""

import logging
import os
import platform
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection, connections

from vestnik.mailings.ledger.models import Worker

logger = logging.getLogger(__name__)

# A worker that was declared dead stays so: it enlists again.
BEAT = "UPDATE mailings_worker SET beat_at = clock_timestamp() WHERE id = %s AND ended_at IS NULL"
END = "UPDATE mailings_worker SET ended_at = clock_timestamp() WHERE id = %s AND ended_at IS NULL"


LONGEST_NAME = 200


class Lease:
    """This process's row in mailings_worker, kept alive by a thread that also calls `on_beat` every second."""

    def __init__(self, provider_name: str, on_beat: Callable[[], None], in_any_case: Callable[[], None]) -> None:
        """Prepare the row; `in_any_case` is called every second even while the database is away."""
        self._in_any_case = in_any_case
        self._provider_name = provider_name
        self._on_beat = on_beat
        self._beaten = -1e9
        self._beat_once_more = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.worker_id = 0

    def start(self) -> None:
        """Enlist, and beat from now on."""
        self._enlist()
        self._thread.start()

    def stop(self) -> None:
        """Stop beating. Everything in hand must be settled by then; the rest is rescued like a dead worker's."""
        self._stop.set()
        self._thread.join()
        with connection.cursor() as cursor:
            cursor.execute(END, [self.worker_id])

    def is_fresh(self) -> bool:
        """Say whether this process's last heartbeat is recent enough to hand letters over."""
        return time.monotonic() - self._beaten < settings.STALE_AFTER.total_seconds()

    def wait_until_fresh(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for a recent heartbeat; return whether there is one."""
        with self._beat_once_more:
            return self._beat_once_more.wait_for(self.is_fresh, timeout)

    def _enlist(self) -> None:
        started = time.monotonic()
        name = f"{platform.node()}:{os.getpid()}"[-LONGEST_NAME:]
        worker = Worker.objects.create(name=name, provider=self._provider_name[:LONGEST_NAME])
        self.worker_id, self._beaten = worker.pk, started

    def _keep(self) -> None:
        beat = settings.BEAT.total_seconds()
        while not self._stop.wait(beat):
            try:
                self._beat()
                with self._beat_once_more:
                    self._beat_once_more.notify_all()
                self._on_beat()
            except Error as error:
                logger.warning("no heartbeat, nothing is handed over until there is one: %s", error)
                connections.close_all()
            self._in_any_case()
        connections.close_all()

    def _beat(self) -> None:
        started = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(BEAT, [self.worker_id])
            alive = cursor.rowcount
        if alive:
            self._beaten = started
        else:
            logger.error("worker %d was declared dead; it goes on under a new number", self.worker_id)
            self._enlist()
