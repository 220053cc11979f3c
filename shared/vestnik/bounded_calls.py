"""Calls that may hang, such as questions to a server: an answer within a time, or none."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class BoundedCall(Generic[Answer]):
    """A call made in a thread of its own, one at a time.

    Whoever asks meanwhile waits for the same answer, so that a server that hangs is asked once, and not by more and
    more threads.
    """

    def __init__(self, name: str, ask: Callable[[], Answer], cleanup: Callable[[], None] = lambda: None) -> None:
        """Ask by `ask`, which catches the errors to be expected; any other goes to the log, and is no answer.

        It is always called by the same thread, which may keep a connection; `cleanup` is called by that thread at its
        end.
        """
        self._name, self._ask, self._cleanup = name, ask, cleanup
        self._lock = threading.Lock()
        self._wanted: queue.SimpleQueue[_Asked[Answer] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: _Asked[Answer] | None = None

    def start(self) -> Callable[[float], Answer | None]:
        """Ask, and return a function that waits for the answer until a given time.monotonic(); None if there is
        none.
        """
        with self._lock:
            if self._last is None or self._last.over.is_set():
                self._last = _Asked()
                self._wanted.put(self._last)
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                    self._thread.start()
            return self._last.wait

    def close(self) -> None:
        """Ask no more."""
        if self._thread:
            self._wanted.put(None)
            self._thread.join()

    def _work(self) -> None:
        try:
            while asked := self._wanted.get():
                try:
                    asked.answer = self._ask()
                finally:
                    asked.over.set()
        finally:
            self._cleanup()


class _Asked(Generic[Answer]):
    def __init__(self) -> None:
        self.over = threading.Event()
        self.answer: Answer | None = None

    def wait(self, until: float) -> Answer | None:
        self.over.wait(max(0.0, until - time.monotonic()))
        return self.answer
