"""The connections of one provider: dialled as lanes want them, kept while used, parted from when idle.

Everything lives in the loop's thread, except `_hand_over` and `_wanted`, which lanes call in theirs.
"""

import asyncio
import logging
import ssl
import time
from collections import deque
from typing import cast

from dispatcher.providers.base import Letter, Outcome, Receipt
from dispatcher.providers.errors import ProviderError, Unavailable
from dispatcher.providers.lanes import Lane, Lanes
from dispatcher.providers.smtp.dial import dial
from dispatcher.providers.smtp.session import HandOver, Session
from dispatcher.providers.url import SmtpConfig

logger = logging.getLogger(__name__)

IDLE = 30.0
"""Seconds after which an unused connection is closed."""
REST = 0.5
"""Seconds after a failed dial before the next; doubled with every failure while other connections live …"""
LONGEST_REST = 30.0
"""… up to this."""
PARTING = 2.0
"""Seconds that the service has for its answer to QUIT."""


class Pool:
    """Owner of the sessions, and the provider's side of `lanes`."""

    def __init__(self, config: SmtpConfig, tls: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._tls = tls
        self._loop = loop
        self.lanes: Lanes[Session] = Lanes(self._hand_over, self._wanted)
        self._sessions: set[Session] = set()
        self._dials: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._failed_at = 0.0
        self._failed_beyond = 0
        """How many sessions there were when a dial failed last: perhaps the service's limit."""
        self._again: deque[HandOver] = deque()
        self._inbox: deque[tuple[Session, HandOver]] = deque()
        self._inbox_called = self._dial_called = self._flush_called = False
        self._dial_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closed: Unavailable | None = None

    async def close(self) -> None:
        """Part from every session, within PARTING seconds; letters still in hand then are cut off."""
        self._closed = Unavailable(f"{self._config.name}: the provider is closed")
        self.lanes.fail(self._closed)
        for timer in (self._dial_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        for task in self._dials:
            task.cancel()
        if self._dials:
            await asyncio.wait(self._dials, timeout=PARTING)
        self._give_up_again(self._closed)
        for session in self.lanes.withdraw(lambda _: True):
            session.quit(PARTING)
        deadline = time.monotonic() + PARTING
        while self._sessions and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for session in list(self._sessions):
            session.end("the provider was closed")
        self._flush()

    # Called by lanes, in their threads

    def _hand_over(self, session: Session, letter: Letter, lane: Lane) -> None:
        work = HandOver(letter, lane)
        if self._closed is not None:
            self.lanes.answer(lane, work.receipt(Outcome.TEMPORARY, None, str(self._closed)))
            return
        self._inbox.append((session, work))
        if not self._inbox_called:
            self._inbox_called = True
            self._loop.call_soon_threadsafe(self._begin_all)

    def _wanted(self) -> ProviderError | None:
        if not self._dial_called and len(self._sessions) + len(self._dials) < self._config.connections:
            self._dial_called = True
            self._loop.call_soon_threadsafe(self._dial_more)
        return self._closed

    # Letters

    def _begin_all(self) -> None:
        self._inbox_called = False
        while self._inbox:
            session, work = self._inbox.popleft()
            session.begin(work)

    def answered(self, lane: Lane, receipt: Receipt) -> None:
        self.lanes.answer(lane, receipt)
        self._flush_soon()

    def again(self, work: HandOver, why: str) -> None:
        """Once more on another connection: nothing was taken. The second time it is the letter's receipt."""
        if work.retried or self._closed is not None:
            self.answered(work.lane, work.receipt(Outcome.TEMPORARY, None, why))
            return
        work.retried = True
        self._again.append(work)
        self._dial_more()

    def refused(self, lane: Lane, error: ProviderError) -> None:
        lane.trouble = error

    # Sessions

    def ready(self, session: Session) -> None:
        if self._closed is not None:
            session.quit(PARTING)
        elif self._again and (session.fresh or not self._dials):
            session.begin(self._again.popleft())
        else:
            self.lanes.release(session)
            self._flush_soon()
            if self._idle_timer is None:
                self._idle_timer = self._loop.call_later(IDLE, self._part_from_idle)

    def lost(self, session: Session) -> None:
        self._sessions.discard(session)
        self.lanes.closed(session)
        self._dial_more()

    def _part_from_idle(self) -> None:
        self._idle_timer = None
        now = time.monotonic()
        for session in self.lanes.withdraw(lambda session: session.idle_since + IDLE <= now):
            session.quit(PARTING)
        oldest = min((session.idle_since for session in self._sessions if not session.busy), default=None)
        if oldest is not None:
            self._idle_timer = self._loop.call_later(max(oldest + IDLE - now, REST), self._part_from_idle)

    # Dialling

    def _dial_more(self) -> None:
        """As many again as there are connections, if a lane waits: 1, 2, 4 … so that few letters open few."""
        self._dial_called = False
        if self._dial_timer is not None:
            self._dial_timer.cancel()
            self._dial_timer = None
        wanted = self._again or (self.lanes.waiting and not self.lanes.free)
        if self._closed is not None or not wanted:
            return
        room = self._config.connections - len(self._sessions) - len(self._dials)
        rest = self._failed_at + self._rest() - time.monotonic()
        if room > 0 and rest > 0:
            self._dial_called = True
            self._dial_timer = self._loop.call_later(rest, self._dial_more)
            return
        for _ in range(min(room, max(1, len(self._sessions)) - len(self._dials))):
            self._dials.add(self._loop.create_task(self._dial()))

    def _rest(self) -> float:
        """Seconds from a failed dial to the next; none to replace a session lost since then."""
        if not self._failures or len(self._sessions) < self._failed_beyond:
            return 0
        return min(REST * 2 ** (self._failures - 1), LONGEST_REST) if self._sessions else REST

    async def _dial(self) -> None:
        failure: ProviderError | None = None
        try:
            transport, offers = await dial(self._config, self._tls)
        except ProviderError as error:
            failure = error
        except Exception:  # lanes must never wait for a dial that is no more
            logger.exception("dialling failed in a way nobody thought of")
            failure = Unavailable(f"{self._config.name}: dialling failed, see the log")
        self._dials.remove(cast(asyncio.Task[None], asyncio.current_task()))
        if failure is not None:
            self._dial_failed(failure)
            return
        self._failures = 0
        session = Session(transport, offers, self._config.timeout, self)
        self._sessions.add(session)
        self.lanes.opened(session)
        self.ready(session)
        if self._again:
            self._dial_more()

    def _dial_failed(self, error: ProviderError) -> None:
        """Every lane that waits hears of it, unless there are connections to wait for."""
        self._failures += 1
        self._failed_at = time.monotonic()
        self._failed_beyond = len(self._sessions)
        self._give_up_again(error)
        if self._sessions or self._dials:
            logger.warning("a further connection was not to be had: %s", error)
            self._dial_more()
        else:
            self.lanes.fail(error)

    def _give_up_again(self, error: ProviderError) -> None:
        while self._again:
            work = self._again.popleft()
            self.answered(work.lane, work.receipt(Outcome.TEMPORARY, None, str(error)))

    # Waking lanes, once a turn of the loop

    def _flush_soon(self) -> None:
        if not self._flush_called:
            self._flush_called = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_called = False
        self.lanes.flush()
