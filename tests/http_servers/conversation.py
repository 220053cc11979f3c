"""The server's side of one connection: answers by the script, and checks every request."""

import asyncio
import base64
import binascii
import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tests.http_servers.script import Action, Answer, Drip, Drop, Endless, Hang, Keep, Late, Raw, Reset

if TYPE_CHECKING:
    from tests.http_servers.server import RecordingServer

FIELDS = {"id", "sender", "recipient", "message"}


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
    headers: dict[str, str]
    """Names in lower case."""


class Conversation(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: "RecordingServer", loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop
        self.buffer = b""
        self.headers: dict[str, str] | None = None
        self.length = 0
        self.recipient = ""
        self.blocked = self.over = self.begun = False
        self.requests = 0

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        server = self.server
        if server.refusing:  # accepted before the listener was gone
            self.abort()
            return
        server.connections_made += 1
        self.number = server.connections_made
        server.open.add(self)
        server.most_open = max(server.most_open, len(server.open))
        server.changed()
        self.step("connect", lambda: None)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.over = True
        self.server.open.discard(self)
        self.server.changed()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.process()

    def abort(self) -> None:
        self.over = True
        self.transport.abort()

    def violation(self, what: str) -> None:
        self.server.violations.append(f"connection {self.number}: {what}")

    # The script

    def step(self, name: str, usual: Callable[[], None]) -> None:
        action = self.server.action(name, self.recipient)
        if action is None:
            usual()
        else:
            self.do(action, usual)

    def do(self, action: Action, usual: Callable[[], None]) -> None:
        match action:
            case Answer(status=status, close=close):
                if 200 <= status < 300 and self.headers is not None:
                    self.keep()
                self.respond(action.written())
                if close:
                    self.finish()
            case Raw(data, close):
                self.respond(data)
                if close:
                    self.finish()
            case Drip(data, every):
                self.blocked = True
                self.drip(data, every)
            case Endless(first, data):
                self.blocked = True
                self.transport.write(first)
                self.go_on_and_on(data * (1 + 10_000 // len(data)))
            case Late(seconds):
                self.loop.call_later(seconds, self.postponed(usual))
            case Drop():
                self.finish()
            case Reset():
                self.over = True
                raw = cast(socket.socket, self.transport.get_extra_info("socket"))
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            case Hang():
                self.blocked = True
                self.transport.pause_reading()
            case Keep(then):
                self.keep()
                self.do(then, lambda: None)

    def finish(self) -> None:
        self.over = True
        self.transport.close()

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

    def postponed(self, usual: Callable[[], None]) -> Callable[[], None]:
        """Read on no further until the function returned is called: it does the usual."""
        self.blocked = True

        def go_on() -> None:
            self.blocked = False
            if not self.over:
                usual()
                self.process()

        return go_on

    # Requests

    def process(self) -> None:
        while self.buffer and not self.blocked and not self.over:
            if not (self.head() if self.headers is None else self.body()):
                break

    def head(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        self.buffer = self.buffer[end + 4 :]
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.recipient, self.begun = "", False
        self.requests += 1
        self.server.requests += 1
        if lines[0] != f"POST {self.server.path} HTTP/1.1":
            self.violation(f"asked for {lines[0]}")
        for name, value in {"content-type": "application/json", "accept": "application/json"}.items():
            if self.headers.get(name) != value:
                self.violation(f"{name}: {self.headers.get(name)}")
        if {"cookie", "transfer-encoding", "expect"} & self.headers.keys():
            self.violation(f"headers that nobody needs: {sorted(self.headers)}")
        if not self.headers.get("host") or not self.headers.get("content-length", "").isdigit():
            self.violation("no host or no length")
            self.finish()
            return False
        self.length = int(self.headers["content-length"])
        self.step("head", lambda: None)
        return True

    def body(self) -> bool:
        if not self.begun:
            self.begun = True
            self.step("mid-body", lambda: None)
            if self.over or self.blocked or self.headers is None:
                return False
        if len(self.buffer) < self.length:
            return False
        body, self.buffer = self.buffer[: self.length], self.buffer[self.length :]
        if self.buffer:
            self.violation("wrote on before the answer")
        self.taken(body)
        return True

    def taken(self, body: bytes) -> None:
        assert self.headers is not None
        arrived = time.monotonic()
        try:
            fields = json.loads(body)
            content = base64.b64decode(fields["message"], validate=True)
        except (ValueError, KeyError, binascii.Error) as error:
            self.violation(f"no letter: {error}")
            self.respond(Answer(400, {"message": "no letter"}).written())
            return
        if fields.keys() != FIELDS or fields["id"] != self.headers.get("idempotency-key"):
            self.violation(f"fields {sorted(fields)}, key {self.headers.get('idempotency-key')}")
        self.recipient = fields["recipient"]
        self.letter = Received(
            fields["sender"], self.recipient, fields["id"], content, arrived, self.number, self.headers
        )

        def usual() -> None:
            if (
                self.server.token is not None
                and self.letter.headers.get("authorization") != f"Bearer {self.server.token}"
            ):
                self.respond(Answer(401, {"message": "who are you?"}).written())
                return
            self.keep()
            self.respond(Answer(body={"status": "accepted", "id": fields["id"]}).written())
            if self.requests == self.server.letters_per_connection:
                self.finish()

        if self.server.holding:
            self.server.held.append(self.postponed(lambda: self.step("answer", usual)))
            self.server.changed()
        else:
            self.step("answer", usual)

    def keep(self) -> None:
        self.server.record(self.letter)

    def respond(self, data: bytes) -> None:
        self.headers = None
        self.transport.write(data)
