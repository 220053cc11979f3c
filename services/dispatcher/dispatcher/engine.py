"""What a process needs to send: a provider, a lease, a gate, a hand and a settler, started and stopped together."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import dramatiq
from django.conf import settings
from dramatiq.middleware import Middleware

from dispatcher import leases, pacing, settling
from dispatcher.providers import url
from dispatcher.providers.base import Provider

logger = logging.getLogger(__name__)


class Engine:
    """One per sending process, shared by its lanes."""

    def __init__(self, provider: Provider | None = None, on_beat: Callable[[], None] = lambda: None) -> None:
        self.provider = provider or url.provider_from(settings.MAIL_SERVICE_URL)
        self.hand = pacing.Hand(2 * self.provider.connections)
        self.settler = settling.Settler(self.hand)
        self.lease = leases.Lease(self.provider.name, on_beat=self._beat)
        self.halted = threading.Event()
        self._on_beat = on_beat
        self.gate = pacing.Gate(worker_is_fresh=self.lease.is_fresh)

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
        """Write the last receipts, leave the service and the list of workers."""
        self.halt()
        self.settler.stop()
        self.provider.close()
        self.lease.stop()

    def _beat(self) -> None:
        self.gate.refresh()
        self.hand.clear_doubts(self.lease.worker_id)
        self._on_beat()


_engine: Engine | None = None
_lock = threading.Lock()


def get(on_beat: Callable[[], None]) -> Engine:
    """This process's engine, started when its first lane asks (and so after the fork)."""
    global _engine
    with _lock:
        if _engine is None:
            _engine = Engine(on_beat=on_beat).start()
        return _engine


class EngineMiddleware(Middleware):
    """Halts the engine when its worker process is told to stop, and stops it when the lanes have ended."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        if _engine:
            _engine.halt()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        if _engine:
            _engine.stop()
