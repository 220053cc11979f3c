"""The slots of one pool's connections: asked for in threads, as that may wait for the network, and given back once."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from dispatcher.providers.base import Slots


class Tenancy:
    """The pool's share of all processes' slots. Lives in the loop's thread."""

    def __init__(self, slots: Slots, chore: Callable[[Coroutine[Any, Any, Any]], None]) -> None:
        """Use `slots` in `chore`, which does work beside everything else."""
        self._slots = slots
        self._chore = chore
        self._lock = threading.Lock()
        self._held = 0
        self._closed = False

    @property
    def limited(self) -> bool:
        """Whether there may only be so many, as `Slots.limited` says."""
        return self._slots.limited

    async def take(self) -> bool:
        """Take a slot; return whether there was one."""
        return await asyncio.to_thread(self._take)

    def opened(self) -> None:
        """Note that the connection is open for which a slot was taken."""
        self._chore(asyncio.to_thread(self._slots.opened))

    async def crowded(self) -> bool:
        """Say whether the service that refused a connection has others of ours."""
        return await asyncio.to_thread(self._slots.crowded)

    async def excess(self) -> int:
        """Return how many slots to give up; call it once a second while there are any."""
        return await asyncio.to_thread(self._slots.renew)

    def release(self) -> None:
        """Give one slot back."""
        with self._lock:
            if not self._held:
                return
            self._held -= 1
        self._chore(asyncio.to_thread(self._slots.release))

    def close(self) -> None:
        """Take no slot from now on."""
        with self._lock:
            self._closed = True

    def release_all(self) -> None:
        """Give all slots back, whatever became of the connections."""
        with self._lock:
            held, self._held = self._held, 0
        for _ in range(held):
            self._chore(asyncio.to_thread(self._slots.release))

    def _take(self) -> bool:
        """Take a slot, in a thread of its own. One that comes after the end goes back at once."""
        if not self._slots.take():
            return False
        with self._lock:
            if not self._closed:
                self._held += 1
                return True
        self._slots.release()
        return False
