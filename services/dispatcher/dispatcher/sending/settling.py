"""Group commit: while one statement writes receipts down, more gather, and the next takes all of them."""

import logging
import threading
import time
from collections.abc import Callable, Collection

import redis
from django.db import Error, connections

from dispatcher.ledger import rows, statements
from dispatcher.providers.base import Outcome
from dispatcher.sending import alerts
from dispatcher.sending.in_flight import InFlight

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


class Settler:
    """Writes receipts into the ledger in a thread of its own. What it has not written yet counts as in hand."""

    def __init__(self, in_flight: InFlight, after_late: Callable[[Collection[int]], None]) -> None:
        """Release what is written from `in_flight`, and call `after_late` with runs of late receipts that are
        written.
        """
        self._in_flight = in_flight
        self._after_late = after_late
        self._reporter = alerts.Reporter()
        self._gathered: list[rows.Settlement] = []
        self._taken = 0
        self._written = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="settler", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what has gathered, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def put(self, settlement: rows.Settlement) -> None:
        """Take a receipt to be written down."""
        with self._changed:
            self._gathered.append(settlement)
            self._taken += 1
            if len(self._gathered) == 1:
                self._changed.notify_all()

    def drain(self) -> None:
        """Wait until everything taken so far is written."""
        with self._changed:
            mark = self._taken
            self._changed.wait_for(lambda: self._written >= mark)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._gathered or self._stopping)
                batch, self._gathered = self._gathered, []
            if not batch:
                break
            returned = [settlement for settlement in batch if settlement.outcome is Outcome.RETURNED]
            written = [settlement for settlement in batch if settlement.outcome is not Outcome.RETURNED]
            if written:
                self._write(written)
                self._in_flight.release([settlement.key for settlement in written])
                self._report(written)
            if returned:
                self._in_flight.give_back([each.key for each in returned], [each.put_off for each in returned])
            self._look_after({settlement.run_id for settlement in batch if settlement.late})
            with self._changed:
                self._written += len(batch)
                self._changed.notify_all()
        connections.close_all()

    def _report(self, batch: list[rows.Settlement]) -> None:
        for settlement in batch:
            if settlement.final:
                self._reporter.note(settlement.run_id, settlement.delivery_id, settlement.outcome, settlement.code)
        self._reporter.flush()

    def _look_after(self, run_ids: Collection[int]) -> None:
        if run_ids:
            try:
                self._after_late(run_ids)
            except (Error, redis.RedisError) as error:
                logger.warning("runs %s are left to the tick: %s", sorted(run_ids), error)

    def _write(self, batch: list[rows.Settlement]) -> None:
        """Write the batch, however long the database is away: writing a receipt twice is harmless, losing it is not."""
        while True:
            try:
                statements.settle(batch, time.monotonic())
                return
            except Error as error:
                logger.error("%d receipts wait for the database: %s", len(batch), error)
                connections.close_all()
                time.sleep(RETRY_SECONDS)
