"""The SMTP provider: a pool of connections on an asyncio loop in a thread of its own, behind a plain iterator."""

import asyncio
import ssl
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dispatcher.providers.base import Letter, Receipt, Slots, Unlimited
from dispatcher.providers.errors import Unavailable
from dispatcher.providers.smtp.pool import PARTING, Pool
from dispatcher.providers.url import Security, SmtpConfig

try:
    import uvloop
except ImportError:  # not made for this platform
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop


class SmtpProvider:
    """Hands letters over to one SMTP service. Thread and loop start with the first `deliver`: never fork after it."""

    def __init__(self, config: SmtpConfig, tls: ssl.SSLContext | None = None, slots: Slots | None = None) -> None:
        """`tls` instead of the default context, which trusts what the system trusts and checks the host's name."""
        self._slots = slots or Unlimited()
        self.name = config.name
        self.connections = config.connections
        self._config = config
        self._tls = tls
        if tls is None and config.security != Security.NONE:
            self._tls = ssl.create_default_context()
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._closed = False

    def deliver(self, letters: Iterable[Letter | None]) -> Iterator[Receipt]:
        """See `Provider.deliver`."""
        return self._pool().lanes.deliver(letters)

    def close(self) -> None:
        """See `Provider.close`. Takes at most a few seconds; letters still in hand then are cut off."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            asyncio.run_coroutine_threadsafe(running.pool.close(), running.loop).result(2 * PARTING)
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
                self._running = _Running(loop, thread, Pool(self._config, self._tls, loop))
                thread.start()
            return self._running.pool


class _Running(NamedTuple):
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    pool: Pool
