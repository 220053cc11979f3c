"""The connections of one provider: dialled as lanes want them, kept while used, closed when idle.

A kind of provider brings the dialling and the `Connection`; the rest is the same for all of them, and is here.
Everything lives in the loop's thread, except `_hand_over` and `_wanted`, which lanes call in theirs.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from dispatcher.providers.base import About, Letter, Outcome, Receipt, Slots, visible
from dispatcher.providers.errors import ConnectionLimitReached, Crowded, LoginRefused, ProviderError, Unavailable
from dispatcher.providers.handoff import Lane, Lanes
from dispatcher.providers.tenancy import Tenancy
from dispatcher.providers.url import ConnectionOptions
from vestnik import addresses

logger = logging.getLogger(__name__)

IDLE = 30.0
"""Seconds after which an unused connection is closed."""
SHARED_IDLE = 5.0
"""Seconds likewise where processes share a number of connections: another may be waiting for its turn."""
RENEWAL = 1.0
"""Seconds after which the slots are renewed, and others may get some."""
LOGIN_REST = 600.0
"""Seconds after a refused login before a further connection is tried, while others live."""
REST = 0.5
"""Seconds after a failed dial before the next; doubled with every failure while other connections live …"""
LONGEST_REST = 30.0
"""… up to this."""
PARTING = 2.0
"""Seconds for closing all connections politely."""
SECOND_TRY = 0.05
"""Seconds after its pull in which a letter is tried once more. The limits' windows are that much longer."""
STEPS = 5
"""How many times the time limit of one step a whole letter, or a whole dial, may take."""


@dataclass(slots=True)
class HandOver:
    """A letter on its way, and the lane that waits for its receipt."""

    letter: Letter
    lane: Lane
    pulled: float = field(default_factory=time.monotonic)
    began: float = 0
    given_up: str = ""
    """Why the first connection for it was given up."""

    @property
    def late(self) -> bool:
        """Whether it is too late for a second try."""
        return time.monotonic() >= self.pulled + SECOND_TRY

    def receipt(
        self,
        outcome: Outcome,
        code: int | None,
        answer: str,
        retry_after: float | None = None,
        about: About = About.UNCLEAR,
    ) -> Receipt:
        now = time.monotonic()
        self.began = self.began or now
        return Receipt(self.letter, outcome, code, visible(answer), self.began, now - self.began, retry_after, about)


class Connection(Protocol):
    """A connection that hands letters over, one after another, and reports to its pool. For the loop's thread."""

    fresh: bool
    """Whether it has never handed a letter over."""
    idle_since: float

    @property
    def busy(self) -> bool: ...

    def begin(self, work: HandOver) -> None:
        """Hand the letter over and report `answered` or `again`; then `ready`, unless it is `lost`."""

    def quit(self, timeout: float) -> None:
        """Disconnect politely within that many seconds; report `lost`."""

    def end(self, why: str, *, otherwise: Outcome = Outcome.TEMPORARY) -> None:
        """Drop the connection now, and report `lost`; a letter in hand is UNKNOWN if it was begun, else `otherwise`."""


class Pool:
    """Owner of the connections, and the provider's side of `lanes`."""

    def __init__(
        self,
        name: str,
        options: ConnectionOptions,
        dial: "Callable[[Pool], Awaitable[Connection]]",
        slots: Slots,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Use `dial`, which makes a connection that reports to the pool it is given, and raises ProviderError."""
        self._name = name
        self._most = options.connections
        self._shared = options.total is not None
        self._dial_one = dial
        self._loop = loop
        self.lanes: Lanes[Connection] = Lanes(self._hand_over, self._wanted)
        self._connections: set[Connection] = set()
        self._dials: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[Any]] = set()
        self._failures = 0
        self._login_refused = False
        self._failed_at = 0.0
        self._failed_beyond = 0
        """How many connections there were when a dial failed last: perhaps the service's limit."""
        self._again: deque[HandOver] = deque()
        self._inbox: deque[tuple[Connection, HandOver]] = deque()
        self._inbox_called = self._dial_called = self._flush_called = False
        self._dial_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closed: Unavailable | None = None
        self._closing = threading.Lock()
        """Held while it is closed, and by lanes that hand over."""
        self._tenancy = Tenancy(slots, self.chore)
        self._unwanted, self._outdated = 0, set[Connection]()
        """How many connections, and which, are to be given up when their letters are answered."""
        self._slots_timer: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Disconnect within PARTING seconds; letters still in hand then are cut off."""
        with self._closing:
            self._closed = Unavailable(f"{self._name}: the provider is closed")
        self._tenancy.close()
        self.lanes.fail(self._closed)
        for timer in (self._dial_timer, self._idle_timer, self._slots_timer):
            if timer is not None:
                timer.cancel()
        for task in self._dials:
            task.cancel()
        if self._dials:
            await asyncio.wait(self._dials, timeout=PARTING)
        self._give_up_again(self._closed, raised=True)
        for connection in self.lanes.withdraw(lambda _: True):
            connection.quit(PARTING)
        deadline = time.monotonic() + PARTING
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.end("the provider was closed", otherwise=Outcome.RETURNED)
        self._begin_all()
        self._flush()
        self._tenancy.release_all()
        if self._chores:
            await asyncio.wait(self._chores, timeout=PARTING)

    def part(self) -> None:
        """Close every connection as `Provider.part` says."""
        for connection in self.lanes.withdraw(lambda _: True):
            connection.quit(PARTING)
        self._outdated = set(self._connections)

    def chore(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do this beside everything else; closing waits for it."""
        task = self._loop.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    # Called by lanes, in their threads

    def _hand_over(self, connection: Connection, letter: Letter, lane: Lane) -> None:
        work = HandOver(letter, lane)
        with self._closing:
            if self._closed is None:
                self._inbox.append((connection, work))
                if not self._inbox_called:
                    self._inbox_called = True
                    self._loop.call_soon_threadsafe(self._begin_all)
                return
        self.lanes.answer(lane, work.receipt(Outcome.RETURNED, None, str(self._closed)))

    def _wanted(self) -> ProviderError | None:
        room = len(self._connections) + len(self._dials) < self._most
        if room and self._closed is None and not self._dial_called:
            self._dial_called = True
            self._loop.call_soon_threadsafe(self._dial_more)
        return self._closed

    # Reports of connections

    def answered(self, lane: Lane, receipt: Receipt) -> None:
        self.lanes.answer(lane, receipt)
        self._flush_soon()

    def again(self, work: HandOver, why: str) -> None:
        """Try a letter on another connection, if at once: this one was given up before it reached the service."""
        if self._closed is not None:
            self.answered(work.lane, work.receipt(Outcome.RETURNED, None, str(self._closed)))
        elif work.given_up:
            self.answered(work.lane, work.receipt(Outcome.TEMPORARY, None, why))
        else:
            work.given_up = why
            self._again.append(work)
            self._loop.call_later(SECOND_TRY, self._return, work)
            self._dial_more()

    def refused(self, lane: Lane, error: ProviderError) -> None:
        """End this lane, and all that wait, with an error: the service takes no letter with these settings."""
        lane.trouble = error
        self.lanes.fail(error)

    def ready(self, connection: Connection) -> None:
        """Offer a connection for the next letter, or close it if it is unwanted."""
        if self._closed is not None or self._is_unwanted(connection):
            connection.quit(PARTING)
        elif (connection.fresh or not self._dials) and (work := self._second_try()) is not None:
            connection.begin(work)
        else:
            self.lanes.release(connection)
            self._flush_soon()
            if self._idle_timer is None:
                self._idle_timer = self._loop.call_later(self._idle, self._part_from_idle)

    def lost(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._outdated.discard(connection)
            self._tenancy.release()
        self.lanes.closed(connection)
        self._dial_more()

    # Second tries

    def _second_try(self) -> HandOver | None:
        self._return_late()
        return self._again.popleft() if self._again else None

    def _return_late(self) -> None:
        for work in [work for work in self._again if work.late]:
            self._return(work)

    def _return(self, work: HandOver) -> None:
        """Give the letter back if it still waits: uvloop counts in milliseconds, and its timers may be early by one."""
        if work in self._again:
            self._again.remove(work)
            self.answered(work.lane, work.receipt(Outcome.RETURNED, None, work.given_up))

    def _try_again_on_free(self) -> None:
        wanted = iter(range(len(self._again)))
        for connection in self.lanes.withdraw(lambda _: next(wanted, None) is not None):
            self.lanes.opened(connection)
            self.ready(connection)

    # Letters and idle connections

    def _begin_all(self) -> None:
        self._inbox_called = False
        while self._inbox:
            connection, work = self._inbox.popleft()
            connection.begin(work)

    @property
    def _idle(self) -> float:
        return SHARED_IDLE if self._shared or self._tenancy.limited else IDLE

    def _part_from_idle(self) -> None:
        self._idle_timer = None
        now = time.monotonic()
        for connection in self.lanes.withdraw(lambda free: free.idle_since + self._idle <= now):
            connection.quit(PARTING)
        oldest = min((each.idle_since for each in self._connections if not each.busy), default=None)
        if oldest is not None:
            self._idle_timer = self._loop.call_later(max(oldest + self._idle - now, REST), self._part_from_idle)

    # Dialling

    def _dial_more(self) -> None:
        """Dial as many as there are connections, if a lane waits: 1, 2, 4 … so that few letters open few."""
        self._dial_called = False
        if self._dial_timer is not None:
            self._dial_timer.cancel()
            self._dial_timer = None
        wanted = self._again or (self.lanes.waiting and not self.lanes.free)
        if self._closed is not None or not wanted:
            return
        room = self._most - len(self._connections) - len(self._dials)
        rest = self._failed_at + self._rest() - time.monotonic()
        if self._again and not self._dials and (room <= 0 or rest > 0):
            self._try_again_on_free()
        if room > 0 and rest > 0:
            self._dial_called = True
            self._dial_timer = self._loop.call_later(rest, self._dial_more)
            return
        for _ in range(min(room, max(1, len(self._connections)) - len(self._dials))):
            self._dials.add(self._loop.create_task(self._dial()))

    def _rest(self) -> float:
        """Return seconds from a failed dial to the next; none to replace a connection lost since then."""
        if not self._failures or len(self._connections) < self._failed_beyond:
            return 0
        if not self._connections:
            return REST
        return LOGIN_REST if self._login_refused else min(REST * 2 ** (self._failures - 1), LONGEST_REST)

    async def _dial(self) -> None:
        connection: Connection | None = None
        failure: ProviderError | None = None
        try:
            connection = await self._dial_in_slot()
        except ProviderError as error:
            failure = error
        except Exception:  # lanes must never wait for a dial that is no more
            logger.exception("dialling failed in a way nobody thought of")
            failure = Unavailable(f"{self._name}: dialling failed, see the log")
        self._dials.remove(cast(asyncio.Task[None], asyncio.current_task()))
        if connection is None:
            assert failure is not None
            self._dial_failed(failure)
            return
        self._failures = 0
        self._connections.add(connection)
        self._tenancy.opened()
        if self._slots_timer is None:
            self._slots_timer = self._loop.call_later(RENEWAL, self._renew_slots)
        self.lanes.opened(connection)
        self.ready(connection)
        if self._again:
            self._dial_more()

    async def _dial_in_slot(self) -> Connection:
        if not await self._tenancy.take():
            raise ConnectionLimitReached(
                f"{self._name}: every connection that all processes together may have is in use"
            )
        try:
            return await self._dial_one(self)
        except BaseException as error:
            no_room = isinstance(error, Crowded) and await self._tenancy.crowded()
            self._tenancy.release()
            if no_room:
                logger.warning("the service takes no more connections than it has: %s", error)
                raise ConnectionLimitReached(str(error)) from error
            raise

    def _dial_failed(self, error: ProviderError) -> None:
        """End every lane that waits with this error, unless there are connections to wait for."""
        full, self._login_refused = isinstance(error, ConnectionLimitReached), isinstance(error, LoginRefused)
        self._failures = 1 if full else self._failures + 1  # a slot may be free any moment, and asking is cheap
        self._failed_at = time.monotonic()
        self._failed_beyond = len(self._connections)
        alone = not (self._connections or self._dials)
        self._give_up_again(error, raised=alone)
        if alone:
            self.lanes.fail(error)
            return
        if not full:
            logger.warning("a further connection was not to be had: %s", addresses.masked(str(error)))
        self._dial_more()

    def _give_up_again(self, error: ProviderError, raised: bool) -> None:
        while self._again:
            work = self._again.popleft()
            if raised:
                work.lane.trouble = error
            self.answered(work.lane, work.receipt(Outcome.RETURNED, None, str(error)))

    # Slots

    def _renew_slots(self) -> None:
        """Give up, while there are connections, what others want: idle ones now, busy ones after their letters."""
        self._slots_timer = None
        if self._connections and self._closed is None:
            self.chore(self._share())

    async def _share(self) -> None:
        excess = await self._tenancy.excess()
        self._slots_timer = self._loop.call_later(RENEWAL, self._renew_slots)
        wanted = iter(range(excess))
        idle = self.lanes.withdraw(lambda _: next(wanted, None) is not None) if excess else []
        for connection in idle:
            connection.quit(PARTING)
        self._unwanted = excess - len(idle)

    def _is_unwanted(self, connection: Connection) -> bool:
        self._unwanted -= (unwanted := self._unwanted > 0)
        return unwanted or connection in self._outdated

    # Waking lanes, once a turn of the loop

    def _flush_soon(self) -> None:
        if not self._flush_called:
            self._flush_called = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_called = False
        self.lanes.flush()
