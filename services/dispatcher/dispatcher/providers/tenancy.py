"""The slots of one pool's connections: asked for in threads, for that may wait for the network, and given back once."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from dispatcher.providers.base import Slots


class Tenancy:
    """What a pool holds of all processes' slots. Lives in the loop's thread."""

    def __init__(self, slots: Slots, chore: Callable[[Coroutine[Any, Any, Any]], None]) -> None:
        """`chore` does something beside everything else."""
        self._slots = slots
        self._chore = chore
        self._lock = threading.Lock()
        self._held = 0
        self._closed = False

    @property
    def limited(self) -> bool:
        """See `Slots.limited`."""
        return self._slots.limited

    async def take(self) -> bool:
        """Whether there was one to take."""
        return await asyncio.to_thread(self._take)

    def opened(self) -> None:
        """The connection is there for which one was taken."""
        self._chore(asyncio.to_thread(self._slots.opened))

    async def crowded(self) -> bool:
        """Whether the service that refused a connection has others of ours."""
        return await asyncio.to_thread(self._slots.crowded)

    async def excess(self) -> int:
        """How many to give up; to be asked once a second while there are any."""
        return await asyncio.to_thread(self._slots.renew)

    def release(self) -> None:
        """One is free."""
        with self._lock:
            if not self._held:
                return
            self._held -= 1
        self._chore(asyncio.to_thread(self._slots.release))

    def close(self) -> None:
        """Nothing is taken from now on."""
        with self._lock:
            self._closed = True

    def release_all(self) -> None:
        """Whatever became of the connections."""
        with self._lock:
            held, self._held = self._held, 0
        for _ in range(held):
            self._chore(asyncio.to_thread(self._slots.release))

    def _take(self) -> bool:
        """In a thread of its own. A slot that comes after the end goes back at once."""
        if not self._slots.take():
            return False
        with self._lock:
            if not self._closed:
                self._held += 1
                return True
        self._slots.release()
        return False
