"""A recording SMTP server in a thread."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.smtp_servers.certificate import Certificate
from tests.smtp_servers.conversation import Conversation, Received
from tests.smtp_servers.script import STEPS, Action, Say

try:
    import uvloop
except ImportError:
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop


@dataclass(slots=True)
class _Rule:
    step: str
    action: Action
    recipient: str | None
    times: int | None


@dataclass(slots=True, kw_only=True)
class RecordingServer:
    """An SMTP server on a port of its own in a thread of its own. All methods are safe from any thread."""

    pipelining: bool = True
    eight_bit: bool = True
    utf8: bool = False
    size: int | None = None
    login: tuple[str, str] | None = None
    """User and password demanded before MAIL."""
    auth_methods: str = "PLAIN LOGIN"
    cram_secrets: bool = False
    """Whether it keeps passwords as CRAM-MD5 (RFC 2195) wants them; without it that refuses everybody."""
    certificate: Certificate | None = None
    implicit_tls: bool = False
    """TLS from the first byte; otherwise STARTTLS is offered where there is a certificate."""
    letters_per_connection: int | None = None
    closes_with: Action = field(default_factory=lambda: Say(421, "4.7.0 too many letters", close=True))
    """What the letter beyond `letters_per_connection` gets for its MAIL."""
    most_connections: int | None = None
    """Further ones are greeted with 421."""
    letters_per_second: float | None = None
    most_letters_per_second: float | None = None
    """Beyond that, letters are refused at RCPT, with what `throttles_with` says in turn."""
    throttles_with: list[Action] = field(default_factory=lambda: [Say(451, "4.7.1 too many letters")])
    keeps_at_dot: bool = False
    """A letter is taken when its final dot is read, though its client may die before the answer."""
    keep_content: bool = True

    port: int = field(init=False, default=0)
    violations: list[str] = field(init=False, default_factory=list)
    """What a client did against the protocol."""
    greeted_by: set[str] = field(init=False, default_factory=set)
    """The names that clients gave themselves."""
    commands: Counter[str] = field(init=False, default_factory=Counter)
    connections_made: int = field(init=False, default=0)
    most_open: int = field(init=False, default=0)
    open: set[Conversation] = field(init=False, default_factory=set)
    next_slot: float = field(init=False, default=0)
    throttled: int = field(init=False, default=0)
    """How many letters were refused for their number."""
    _bucket: float = field(init=False, default=0)
    _filled: float = field(init=False, default=0)
    refusing: bool = field(init=False, default=False)
    holding: bool = field(init=False, default=False)
    held: list[Callable[[], None]] = field(init=False, default_factory=list)
    """Letters read to the final dot and not yet answered."""
    _letters: list[Received] = field(init=False, default_factory=list)
    _rules: list[_Rule] = field(init=False, default_factory=list)
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _thread: threading.Thread = field(init=False)
    _listener: asyncio.Server | None = field(init=False, default=None)

    # The script

    def always(self, step: str, action: Action, recipient: str | None = None) -> None:
        """Do this at every such step, or at every one of a letter to that recipient (from RCPT on)."""
        self._add(step, action, recipient, None)

    def once(self, step: str, action: Action, recipient: str | None = None, times: int = 1) -> None:
        """Do this at the next such step, or the next few; what was said first comes first."""
        self._add(step, action, recipient, times)

    def _add(self, step: str, action: Action, recipient: str | None, times: int | None) -> None:
        if step not in STEPS:
            raise ValueError(f"no such step: {step}")
        with self._changed:
            self._rules.append(_Rule(step, action, recipient, times))

    def hold(self) -> None:
        """Read letters to the final dot, and answer none until `release`."""
        self.holding = True

    def release(self, count: int | None = None) -> None:
        """Answer that many of the letters held, or all of them and hold no more."""
        self.holding = count is not None

        def answer() -> None:
            for go_on in self.held[:count]:
                go_on()
            del self.held[:count]

        self._call(answer)

    def behave(self) -> None:
        """Forget the script."""
        with self._changed:
            self._rules.clear()

    def action(self, step: str, recipient: str) -> Action | None:
        """What the script says; for the conversations."""
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

    def throttle(self) -> Action | None:
        """What a letter gets that is one too many; for the conversations. A tenth of a second's letters may come at
        once."""
        rate = self.most_letters_per_second
        if rate is None:
            return None
        now = time.monotonic()
        self._bucket = min(self._bucket + (now - self._filled) * rate, rate / 10)
        self._filled = now
        if self._bucket >= 1:
            self._bucket -= 1
            return None
        self.throttled += 1
        return self.throttles_with[self.throttled % len(self.throttles_with)]

    def scripts(self, step: str) -> bool:
        """Does the script say anything about this step?"""
        return any(rule.step == step for rule in self._rules)

    # What was received

    @property
    def letters(self) -> list[Received]:
        with self._changed:
            return list(self._letters)

    def wait_for(self, count: int, timeout: float = 10) -> list[Received]:
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

    def record(self, letter: Received) -> None:
        with self._changed:
            self._letters.append(letter)
            self._changed.notify_all()

    def changed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # Coming and going

    def __enter__(self) -> Self:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp server", daemon=True)
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
        tls = self.certificate.of_server() if self.certificate is not None and self.implicit_tls else None

        async def start() -> asyncio.Server:
            return await self._loop.create_server(
                lambda: Conversation(self, self._loop), "127.0.0.1", self.port, backlog=1000, ssl=tls
            )

        self.refusing = False
        listener = asyncio.run_coroutine_threadsafe(start(), self._loop).result(5)
        self._listener = listener
        self.port = listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse new connections until `listen`; the open ones stay."""
        self.refusing = True
        if self._listener is not None:
            self._call(self._listener.close)
            self._listener = None

    def drop_connections(self) -> None:
        """Break all open connections, without a word."""

        def drop() -> None:
            for conversation in list(self.open):
                conversation.abort()

        self._call(drop)

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(5)
