"""What a process needs to send: a provider, a lease, a gate, a window and a settler, started and stopped together."""

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any

import dramatiq
from django.conf import settings
from django.db import Error
from dramatiq.middleware import Middleware

from dispatcher.ledger import closing
from dispatcher.pace import connection_slots
from dispatcher.pace.pace import Pace
from dispatcher.providers import registry
from dispatcher.providers.base import Provider
from dispatcher.sending import gate, in_flight, leases, settling
from dispatcher.sending.doubts_of_senders import DoubtsBySender

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""How long a service may take to answer the last letters of a process that stops."""


class Engine:
    """The parts of one sending process, shared by its lanes."""

    def __init__(
        self,
        provider: Provider | None = None,
        on_beat: Callable[[], None] = lambda: None,
        after_late: Callable[[Collection[int]], None] | None = None,
    ) -> None:
        """Make the parts. `after_late` is called with runs whose last receipts came after their lanes had left."""
        self.slots = connection_slots.for_service()
        self.provider = provider or registry.provider_from(
            settings.MAIL_SERVICE_URL, slots=self.slots, ehlo_name=settings.EHLO_NAME
        )
        self.in_flight = in_flight.InFlight(2 * self.provider.connections)
        self.pace = Pace(self.provider.name, self.provider.connections)
        self.settler = settling.Settler(self.in_flight, self._after_late)
        self.doubts = DoubtsBySender(self.pace.breaker, self.provider.part, self._nothing_comes)
        self.lease = leases.Lease(self.provider.name, on_beat=self._beat, in_any_case=self._renew)
        self.halted = threading.Event()
        self._on_beat = on_beat
        self._on_late = after_late
        self.gate = gate.Gate(self.lease.is_fresh, lambda: self.pace.free)

    def start(self) -> "Engine":
        """Enlist as a worker, and be ready to send."""
        self.lease.start()
        self.settler.start()
        return self

    def halt(self) -> None:
        """Begin no hand-over from now on; lanes settle what is under way and give the rest back."""
        self.gate.shut = True
        self.halted.set()

    def stop(self) -> None:
        """Wait for letters that lanes left behind, write the last receipts, leave the service and the list of workers.

        What is not answered within STOP_SECONDS is cut off.
        """
        self.halt()
        self.in_flight.wait_until_empty(STOP_SECONDS)
        with ExitStack() as stack:  # whatever goes wrong with one of them, the last first
            stack.callback(self.doubts.tell)
            for part in (self.lease.stop, self.slots.close, self.pace.close, self.settler.stop, self.provider.close):
                stack.callback(part)

    def _beat(self) -> None:
        self.gate.refresh()
        self.in_flight.give_back_strays(self.lease.worker_id)
        self._on_beat()

    def _renew(self) -> None:
        self.pace.renew()
        self.doubts.decide()

    def _nothing_comes(self) -> bool:
        """Say whether no letter is in hand or due: asked where refusals are in doubt, and no further ones come."""
        try:
            return self.in_flight.empty and not gate.something_comes()
        except Error as error:
            logger.warning("refusals stay in doubt until the database answers: %s", error)
            return False

    def _after_late(self, run_ids: Collection[int]) -> None:
        for run_id in run_ids:
            closing.finish(run_id)
        if self._on_late:
            self._on_late(run_ids)


_engine: Engine | None = None
_lock = threading.Lock()


def get(on_beat: Callable[[], None], after_late: Callable[[Collection[int]], None]) -> Engine:
    """Return this process's engine, started when its first lane asks (and so after the fork)."""
    global _engine
    with _lock:
        if _engine is None:
            _engine = Engine(on_beat=on_beat, after_late=after_late).start()
        return _engine


class EngineMiddleware(Middleware):
    """Halts the engine when its worker process is told to stop, and stops it when the lanes have ended."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Take no letter any more."""
        if _engine:
            _engine.halt()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Stop the engine, now that no lane uses it."""
        if _engine:
            _engine.stop()
