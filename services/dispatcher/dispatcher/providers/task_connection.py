"""Connections that hand each letter over in a task of its own: a kind of provider only has to bring a coroutine.

SMTP does without, for speed.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from dispatcher.providers.base import About, Letter, Outcome
from dispatcher.providers.errors import ProviderError
from dispatcher.providers.pool import HandOver, Pool

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a letter by the service's answer."""

    outcome: Outcome
    code: int | None
    answer: str
    retry_after: float | None = None
    about: About = About.UNCLEAR
    refusal: ProviderError | None = None
    """Beside RETURNED: why the service takes none of our letters."""
    usable: bool = True
    """Whether the next letter may go over this connection."""


class Broken(Exception):
    """No answer came; `str(error)` says what happened instead."""


class TaskConnection(ABC):
    """A `Connection` for the pool. Lives in the loop's thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._work: HandOver | None = None
        self._task: asyncio.Task[None] | None = None
        self.begun = False
        """Whether any content of the letter in hand was written. `hand_over` sets it, before it waits for anything."""
        self.gone = False
        self.fresh = True
        self.idle_since = time.monotonic()

    @abstractmethod
    async def hand_over(self, letter: Letter) -> Verdict:
        """Hand the letter over, within time limits of its own.

        Raises Broken: then the letter is UNKNOWN if it was begun, else it is tried once more over a new connection.
        """

    @abstractmethod
    async def close(self) -> None:
        """Free all resources; no letter comes after."""

    @property
    def busy(self) -> bool:
        return self._work is not None

    def begin(self, work: HandOver) -> None:
        """Hand the letter over as `Connection.begin` says."""
        if self.gone:
            self._pool.again(work, "the connection was closed before the letter")
            return
        work.began = work.began or time.monotonic()
        self._work, self.begun, self.fresh = work, False, False
        self._task = asyncio.get_running_loop().create_task(self._run(work))
        self._task.add_done_callback(self._done)

    def quit(self, timeout: float) -> None:
        """Disconnect as `Connection.quit` says."""
        self.end("parted")

    def end(self, why: str, *, otherwise: Outcome = Outcome.TEMPORARY) -> None:
        """Drop the connection as `Connection.end` says."""
        if self.gone:
            return
        self.gone = True
        work, self._work = self._work, None
        if self._task is not None:
            self._task.cancel()
        self._pool.chore(self.close())
        self._pool.lost(self)
        if work is not None:
            outcome = Outcome.UNKNOWN if self.begun else otherwise
            self._pool.answered(work.lane, work.receipt(outcome, None, why))

    async def _run(self, work: HandOver) -> None:
        try:
            verdict = await self.hand_over(work.letter)
        except Broken as error:
            self._broke(work, str(error))
        else:
            self._answered(work, verdict)

    def _broke(self, work: HandOver, why: str) -> None:
        self._task = None
        if self.begun:
            self.end(why)
        else:
            self._work = None
            self.end(why)
            self._pool.again(work, why)

    def _answered(self, work: HandOver, verdict: Verdict) -> None:
        self._task = self._work = None
        if verdict.refusal is not None:
            self._pool.refused(work.lane, verdict.refusal)
        receipt = work.receipt(verdict.outcome, verdict.code, verdict.answer, verdict.retry_after, verdict.about)
        self._pool.answered(work.lane, receipt)
        self.idle_since = time.monotonic()
        if verdict.usable:
            self._pool.ready(self)
        else:
            self.end("parted")

    def _done(self, task: "asyncio.Task[None]") -> None:
        """Log a failure that nobody foresaw, and drop the connection: no lane may wait for a task that has ended."""
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("handing over failed in a way nobody thought of", exc_info=error)
            self.end("handing over failed, see the log")
