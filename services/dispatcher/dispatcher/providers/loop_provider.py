"""A provider whose connections live on an asyncio loop in a thread of its own, behind a plain iterator."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple

from dispatcher.providers.base import Letter, Receipt, Slots, Unlimited
from dispatcher.providers.errors import Unavailable
from dispatcher.providers.pool import PARTING, Connection, Pool
from dispatcher.providers.url import ConnectionOptions

try:
    import uvloop
except ImportError:  # not made for this platform
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop


class LoopProvider:
    """A `Provider` over a pool. Thread and loop start with the first `deliver`: never fork after it."""

    def __init__(
        self,
        name: str,
        options: ConnectionOptions,
        dial: Callable[[Pool], Awaitable[Connection]],
        slots: Slots | None = None,
    ) -> None:
        """Use `dial`, which makes a connection that reports to the pool it is given, and raises ProviderError."""
        self.name = name
        self.connections = options.connections
        self._options = options
        self._dial = dial
        self._slots = slots or Unlimited()
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._closed = False

    def deliver(
        self,
        letters: Iterable[Letter | None],
        until: float | None = None,
        late: Callable[[Receipt], None] | None = None,
    ) -> Iterator[Receipt]:
        """Hand the letters over as `Provider.deliver` does."""
        return self._pool().lanes.deliver(letters, until, late)

    def part(self) -> None:
        """Close every connection as `Provider.part` does. Waits for nothing."""
        with self._lock:
            if self._running is not None:
                self._running.loop.call_soon_threadsafe(self._running.pool.part)

    def close(self) -> None:
        """Disconnect as `Provider.close` does, within a few seconds; letters still in hand then are cut off."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            asyncio.run_coroutine_threadsafe(running.pool.close(), running.loop).result(4 * PARTING)
            running.loop.call_soon_threadsafe(running.loop.stop)
            running.thread.join(PARTING)
            if not running.thread.is_alive():
                running.loop.close()

    def _pool(self) -> Pool:
        with self._lock:
            if self._closed:
                raise Unavailable(f"{self.name}: the provider is closed")
            if self._running is None:
                loop = new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name=self.name, daemon=True)
                self._running = _Running(loop, thread, Pool(self.name, self._options, self._dial, self._slots, loop))
                thread.start()
            return self._running.pool


class _Running(NamedTuple):
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    pool: Pool
