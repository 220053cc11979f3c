"""A recording server in a thread, whatever it speaks."""

import asyncio
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

from tests.scripted_servers.certificate import Certificate
from tests.scripted_servers.conversation import Conversation
from tests.scripted_servers.script import Action

try:
    import uvloop
except ImportError:
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop


@dataclass(frozen=True, slots=True)
class Received:
    """One letter that was taken."""

    sender: str
    recipient: str
    message_id: str
    content: bytes
    arrived: float
    """time.monotonic() when all of it was read."""
    connection: int
    """Number of the connection, from 1."""


Letter = TypeVar("Letter", bound=Received)


@dataclass(slots=True)
class _Rule:
    step: str
    action: Action
    recipient: str | None
    times: int | None


@dataclass(slots=True, kw_only=True)
class ScriptedServer(ABC, Generic[Letter]):
    """A server on a port of its own in a thread of its own. All methods are safe from any thread."""

    steps: ClassVar[tuple[str, ...]]
    """At which a script may say something."""
    answer_step: ClassVar[str]
    """The one of them at which a letter that was read to its end is answered."""

    host: str = "127.0.0.1"
    certificate: Certificate | None = None
    implicit_tls: bool = True
    """TLS from the first byte, where there is a certificate."""
    letters_per_second: float | None = None
    """Answered no faster than that."""

    port: int = field(init=False, default=0)
    violations: list[str] = field(init=False, default_factory=list)
    """What a client did against the protocol."""
    connections_made: int = field(init=False, default=0)
    most_open: int = field(init=False, default=0)
    open: set[Conversation] = field(init=False, default_factory=set)
    refusing: bool = field(init=False, default=False)
    holding: bool = field(init=False, default=False)
    held: list[Callable[[], None]] = field(init=False, default_factory=list)
    """Letters read to the end and not yet answered."""
    _next_turn: float = field(init=False, default=0)
    _letters: list[Letter] = field(init=False, default_factory=list)
    _rules: list[_Rule] = field(init=False, default_factory=list)
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _thread: threading.Thread = field(init=False)
    _listener: asyncio.Server | None = field(init=False, default=None)

    @abstractmethod
    def conversation(self, loop: asyncio.AbstractEventLoop) -> Conversation:
        """What speaks on a new connection."""

    # The script

    def always(self, step: str, action: Action, recipient: str | None = None) -> None:
        """Do this at every such step, or at every one of a letter to that recipient, once that is known."""
        self._add(step, action, recipient, None)

    def once(self, step: str, action: Action, recipient: str | None = None, times: int = 1) -> None:
        """Do this at the next such step, or the next few; what was said first comes first."""
        self._add(step, action, recipient, times)

    def _add(self, step: str, action: Action, recipient: str | None, times: int | None) -> None:
        if step not in self.steps:
            raise ValueError(f"no such step: {step}")
        with self._changed:
            self._rules.append(_Rule(step, action, recipient, times))

    def hold(self) -> None:
        """Read letters to the end, and answer none until `release`."""
        self.holding = True

    def release(self, count: int | None = None) -> None:
        """Answer that many of the letters held, or all of them and hold no more."""
        self.holding = count is not None

        def answer() -> None:
            for go_on in self.held[:count]:
                go_on()
            del self.held[:count]

        self.call(answer)

    def behave(self) -> None:
        """Forget the script."""
        with self._changed:
            self._rules.clear()

    # For the conversations

    def action(self, step: str, recipient: str) -> Action | None:
        """What the script says."""
        if not self._rules:
            return None
        with self._changed:
            for rule in self._rules:
                if rule.step == step and rule.recipient in (None, recipient):
                    if rule.times is not None:
                        rule.times -= 1
                        if rule.times <= 0:
                            self._rules.remove(rule)
                    return rule.action
        return None

    def scripts(self, step: str) -> bool:
        """Does the script say anything about this step?"""
        return any(rule.step == step for rule in self._rules)

    def turn(self) -> float | None:
        """Seconds until a letter that has come now may be answered; None where it need not wait."""
        if self.letters_per_second is None:
            return None
        now = time.monotonic()
        self._next_turn = max(self._next_turn, now) + 1 / self.letters_per_second
        return self._next_turn - now

    def opened(self, conversation: Conversation) -> int:
        """Count a connection in, and give it its number."""
        self.connections_made += 1
        self.open.add(conversation)
        self.most_open = max(self.most_open, len(self.open))
        self.changed()
        return self.connections_made

    def closed(self, conversation: Conversation) -> None:
        self.open.discard(conversation)
        self.changed()

    def record(self, letter: Letter) -> None:
        with self._changed:
            self._letters.append(letter)
            self._changed.notify_all()

    def changed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # What was received

    @property
    def letters(self) -> list[Letter]:
        with self._changed:
            return list(self._letters)

    def wait_for(self, count: int, timeout: float = 10) -> list[Letter]:
        """The letters, as soon as there are so many; raises TimeoutError after that many seconds."""
        self.wait_until(
            lambda: len(self._letters) >= count, timeout, lambda: f"{len(self._letters)} of {count} letters"
        )
        return self.letters

    def wait_until(
        self, holds: Callable[[], bool], timeout: float = 10, what: Callable[[], str] = lambda: "it is not so"
    ) -> None:
        """Until something about this server holds; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(holds, timeout):
                raise TimeoutError(what())

    # Coming and going

    def __enter__(self) -> Self:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.drop_connections()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        tls: ssl.SSLContext | None = None
        if self.certificate is not None and self.implicit_tls:
            tls = self.certificate.of_server()

        async def start() -> asyncio.Server:
            return await self._loop.create_server(
                lambda: self.conversation(self._loop), self.host, self.port, backlog=1000, ssl=tls
            )

        self.refusing = False
        listener = asyncio.run_coroutine_threadsafe(start(), self._loop).result(5)
        self._listener = listener
        self.port = listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse new connections until `listen`; the open ones stay."""
        self.refusing = True
        if self._listener is not None:
            self.call(self._listener.close)
            self._listener = None

    def drop_connections(self) -> None:
        """Break all open connections, without a word."""

        def drop() -> None:
            for conversation in list(self.open):
                conversation.abort()

        self.call(drop)

    def call(self, function: Callable[[], object]) -> None:
        """Do this in the server's thread."""

        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(5)
