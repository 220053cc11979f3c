"""The server's side of one connection, whatever it speaks: at every step it does what the script says, or the usual."""

import asyncio
import socket
import struct
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from tests.scripted_servers.script import Action, Drip, Drop, Endless, Hang, Keep, Late, Raw, Reply, Reset

if TYPE_CHECKING:
    from tests.scripted_servers.server import ScriptedServer


def nothing() -> None:
    """Usual where nothing is."""


class Conversation(asyncio.Protocol):
    """One connection. A protocol says how it begins and what is to be read, and goes by `step` from there."""

    def __init__(self, server: "ScriptedServer[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop
        self.buffer = b""
        self.out: list[bytes] = []
        self.blocked = self.over = False

    # The protocol's part

    @abstractmethod
    def begin(self) -> None:
        """Do what is done before the client has said anything."""

    @abstractmethod
    def read(self) -> bool:
        """Take the next whole piece out of the buffer and answer it; False where it has not all come."""

    @property
    @abstractmethod
    def recipient(self) -> str:
        """Whose letter it is at this moment; empty where that is not known."""

    def refused(self, step: str) -> None:
        """Forget what the script has refused at this step."""

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.server.refusing:  # accepted before the listener was gone
            self.abort()
            return
        self.number = self.server.opened(self)
        self.begin()
        self.process()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.over = True
        self.server.closed(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.process()

    def process(self) -> None:
        while self.buffer and not self.blocked and not self.over:
            if not self.read():
                break
        if not self.over:
            self.flush()

    def respond(self, data: bytes) -> None:
        """Write this, together with what else is answered to what came at once."""
        self.out.append(data)

    def flush(self) -> None:
        if self.out:
            self.transport.write(b"".join(self.out))
            self.out.clear()

    def finish(self) -> None:
        self.flush()
        self.over = True
        self.transport.close()

    def abort(self) -> None:
        self.over = True
        self.transport.abort()

    def violation(self, what: str) -> None:
        self.server.violations.append(f"connection {self.number}: {what}")

    # The script

    def step(self, name: str, usual: Callable[[], None]) -> None:
        """Do what the script says at this step, or the usual."""
        action = self.server.action(name, self.recipient)
        if action is None:
            usual()
        else:
            self.do(action, name, usual)

    def answer(self, usual: Callable[[], None]) -> None:
        """Answer a letter that was read to its end, or hold it, or let it wait for its turn."""

        def answer() -> None:
            self.step(self.server.answer_step, usual)

        if self.server.holding:
            self.server.held.append(self.postponed(answer))
            self.server.changed()
        elif (seconds := self.server.turn()) is not None:
            self.later(seconds, answer)
        else:
            answer()

    def do(self, action: Action, name: str, usual: Callable[[], None] = nothing) -> None:
        match action:
            case Reply():
                if action.accepts:
                    self.silently(usual)
                else:
                    self.refused(name)
                self.respond(action.written())
                if action.close:
                    self.finish()
            case Raw(data, close):
                self.respond(data)
                if close:
                    self.finish()
            case Keep(then):
                self.silently(usual)
                self.do(then, name)
            case Endless(data, first):
                self.blocked = True
                self.respond(first)
                self.flush()
                self.go_on_and_on(data * (1 + 10_000 // len(data)))
            case Drip(data, every):
                self.blocked = True
                self.flush()
                self.drip(data, every)
            case Late(seconds):
                self.later(seconds, usual)
            case Drop():
                self.finish()
            case Reset():
                raw = cast(socket.socket, self.transport.get_extra_info("socket"))
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.abort()
            case Hang(deaf):
                self.blocked = True
                if deaf:
                    self.transport.pause_reading()

    def silently(self, usual: Callable[[], None]) -> None:
        before = len(self.out)
        usual()
        del self.out[before:]

    def drip(self, data: bytes, every: float) -> None:
        if data and not self.over:
            self.transport.write(data[:1])
            self.loop.call_later(every, self.drip, data[1:], every)

    def go_on_and_on(self, data: bytes) -> None:
        """No faster than the client reads, so that nothing of it piles up here."""
        if self.over:
            return
        if not self.transport.get_write_buffer_size():
            self.transport.write(data)
        self.loop.call_later(0.001, self.go_on_and_on, data)

    def later(self, seconds: float, usual: Callable[[], None]) -> None:
        self.loop.call_later(seconds, self.postponed(usual))

    def postponed(self, usual: Callable[[], None]) -> Callable[[], None]:
        """Read on no further until the function returned is called: it does the usual."""
        self.blocked = True
        self.flush()

        def go_on() -> None:
            self.blocked = False
            if not self.over:
                usual()
                self.process()

        return go_on
