"""The server's side of one connection: answers by the script, and checks every step of the client."""

import asyncio
import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tests.smtp_servers.script import Action, Drip, Drop, Endless, Hang, Keep, Late, Raw, Say

if TYPE_CHECKING:
    from tests.smtp_servers.server import RecordingServer

LONGEST_COMMAND = 512 + 64
LONGEST_LINE = 1000
CHALLENGE = b"<1896.697170952@mail.example.net>"


@dataclass(frozen=True, slots=True)
class Received:
    """One letter that was taken."""

    sender: str
    recipient: str
    message_id: str
    content: bytes
    arrived: float
    """time.monotonic() when its final dot was read."""
    connection: int
    """Number of the connection, from 1."""
    parameters: str
    """What followed the address in MAIL."""


class Conversation(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: "RecordingServer", loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop
        self.buffer = b""
        self.out: list[bytes] = []
        self.blocked = False
        self.in_content = self.seen_content = False
        self.greeted = self.authenticated = self.encrypted = False
        self.waiting_for: Callable[[bytes], None] | None = None
        self.sender: str | None = None
        self.parameters = ""
        self.recipients: list[str] = []
        self.letters = 0
        self.over = False

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.greeted:  # TLS has begun
            return
        server = self.server
        if server.refusing:  # accepted before the listener was gone
            self.abort()
            return
        server.connections_made += 1
        self.number = server.connections_made
        server.open.add(self)
        server.most_open = max(server.most_open, len(server.open))
        server.changed()
        self.encrypted = server.implicit_tls
        if server.most_connections is not None and len(server.open) > server.most_connections:
            self.do(Say(421, "4.7.0 too many connections", close=True), "greeting", lambda: None)
        else:
            self.step("greeting", lambda: self.say(220, "tests.example ESMTP"))
        self.process()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.over = True
        self.server.open.discard(self)
        self.server.changed()

    def data_received(self, data: bytes) -> None:
        if self.blocked and not self.server.pipelining:
            self.violation(f"spoke before the answer: {data[:60]!r}")
        self.buffer += data
        self.process()

    def abort(self) -> None:
        self.over = True
        self.transport.abort()

    def process(self) -> None:
        while self.buffer and not self.blocked and not self.over:
            if not (self.content() if self.in_content else self.line()):
                break
        if self.out and not self.over:
            self.transport.write(b"".join(self.out))
            self.out.clear()

    def violation(self, what: str) -> None:
        self.server.violations.append(f"connection {self.number}: {what}")

    # Answers

    def say(self, code: int, *lines: str) -> None:
        for line in lines[:-1]:
            self.out.append(f"{code}-{line}\r\n".encode())
        self.out.append(f"{code} {lines[-1]}\r\n".encode())

    def step(self, name: str, usual: Callable[[], None]) -> None:
        """Do what the script says at this step, or the usual."""
        action = self.server.action(name, self.recipients[-1] if self.recipients else "")
        if action is None:
            usual()
        else:
            self.do(action, name, usual)

    def do(self, action: Action, name: str, usual: Callable[[], None]) -> None:
        match action:
            case Say(code, words, close):
                if code < 400:
                    before = len(self.out)
                    usual()
                    del self.out[before:]
                elif name == "rcpt":
                    self.recipients.pop()
                elif name == "content":
                    self.forget()
                self.say(code, *words.split("\n"))
                if close:
                    self.flush()
                    self.over = True
                    self.transport.close()
            case Raw(data):
                self.out.append(data)
            case Endless(data):
                self.blocked = True
                self.flush()
                self.go_on_and_on(data * 100)
            case Keep(then):
                before = len(self.out)
                usual()
                del self.out[before:]
                self.do(then, name, lambda: None)
            case Drip(data, every):
                self.blocked = True
                self.flush()
                self.drip(data, every)
            case Late(seconds):
                self.later(seconds, usual)
            case Drop():
                self.flush()
                self.over = True
                self.transport.close()
            case Hang():
                self.blocked = True

    def flush(self) -> None:
        self.transport.write(b"".join(self.out))
        self.out.clear()

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

    # What the client says

    def line(self) -> bool:
        end = self.buffer.find(b"\r\n")
        if end < 0:
            if len(self.buffer) > LONGEST_COMMAND:
                self.violation("an endless command")
            return False
        line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
        if len(line) > LONGEST_COMMAND or b"\n" in line or b"\r" in line:
            self.violation(f"no command line: {line[:60]!r}")
        if self.waiting_for is not None:
            answer, self.waiting_for = self.waiting_for, None
            answer(line)
            return True
        verb, _, rest = line.decode("utf-8", "replace").partition(" ")
        self.server.commands[verb.upper()] += 1
        handler = getattr(self, f"on_{verb.lower()}", None)
        if handler is None:
            self.violation(f"unknown command: {line[:60]!r}")
            self.say(500, "5.5.1 unknown command")
            return True
        if self.buffer and (verb.upper() not in {"MAIL", "RCPT", "RSET"} or not self.server.pipelining):
            self.violation(f"wrote on after {verb} without waiting")
        handler(rest)
        return True

    def on_ehlo(self, name: str) -> None:
        if not name or " " in name:
            self.violation(f"EHLO {name}")
        server = self.server
        server.greeted_by.add(name)
        offers = ["PIPELINING"] * server.pipelining + ["8BITMIME"] * server.eight_bit
        offers += [f"SIZE {server.size}"] * (server.size is not None)
        offers += ["SMTPUTF8"] * server.utf8
        offers += ["STARTTLS"] * (server.certificate is not None and not self.encrypted)
        offers += [f"AUTH {server.auth_methods}"] * (server.login is not None)
        self.greeted = True
        self.step("ehlo", lambda: self.say(250, "tests.example", *offers, "ENHANCEDSTATUSCODES"))

    def on_helo(self, _name: str) -> None:
        self.greeted = True
        self.say(250, "tests.example")

    def on_starttls(self, _rest: str) -> None:
        def usual() -> None:
            self.say(220, "2.0.0 ready")
            self.flush()
            self.blocked = True
            self.loop.create_task(self.encrypt())

        self.step("starttls", usual)

    async def encrypt(self) -> None:
        assert self.server.certificate is not None
        context = self.server.certificate.of_server()
        try:
            encrypted = await self.loop.start_tls(self.transport, self, context, server_side=True)
        except OSError:
            self.over = True
            return
        assert encrypted is not None
        self.transport = encrypted
        self.blocked, self.encrypted, self.buffer = False, True, b""

    def on_auth(self, rest: str) -> None:
        method, _, initial = rest.partition(" ")
        self.server.commands[f"AUTH {method.upper()}"] += 1
        if method.upper() == "PLAIN":
            self.ask(initial.encode(), "", lambda said: self.judge(tuple(said.split("\0")[1:])))
        elif method.upper() == "CRAM-MD5":
            self.ask(b"", base64.b64encode(CHALLENGE).decode(), lambda said: self.judge(self.by_digest(said)))
        else:
            user = lambda name: self.ask(b"", "UGFzc3dvcmQ6", lambda word: self.judge((name, word)))  # noqa: E731
            self.ask(initial.encode(), "VXNlcm5hbWU6", user)

    def ask(self, said: bytes, prompt: str, then: Callable[[str], None]) -> None:
        def answered(line: bytes) -> None:
            then(base64.b64decode(line).decode())

        if said:
            answered(said)
        else:
            self.say(334, prompt)
            self.waiting_for = answered

    def by_digest(self, said: str) -> tuple[str, ...]:
        user, password = self.server.login or ("", "")
        digest = hmac.digest(password.encode(), CHALLENGE, "md5").hex()
        return (user, password) if self.server.cram_secrets and said == f"{user} {digest}" else ()

    def judge(self, login: tuple[str, ...]) -> None:
        def usual() -> None:
            self.authenticated = login == self.server.login
            self.say(*((235, "2.7.0 welcome") if self.authenticated else (535, "5.7.8 wrong user or password")))

        self.step("auth", usual)

    def on_mail(self, rest: str) -> None:
        server = self.server
        if not self.greeted or self.sender is not None:
            self.violation("MAIL out of order")
        address, self.parameters = self.address(rest, "FROM")
        if server.login is not None and not self.authenticated:
            self.say(530, "5.7.0 authentication required")
            return
        if server.letters_per_connection is not None and self.letters >= server.letters_per_connection:
            self.do(server.closes_with, "mail", lambda: None)
            return

        def usual() -> None:
            self.sender = address
            self.say(250, "2.1.0 Ok")

        self.step("mail", usual)

    def on_rcpt(self, rest: str) -> None:
        if self.sender is None:
            if not self.server.pipelining:
                self.violation("RCPT without MAIL")
            self.say(503, "5.5.1 MAIL first")
            return
        self.recipients.append(self.address(rest, "TO")[0])
        if (refusal := self.server.throttle()) is not None:
            self.do(refusal, "rcpt", lambda: None)
            return
        self.step("rcpt", lambda: self.say(250, "2.1.5 Ok"))

    def address(self, rest: str, word: str) -> tuple[str, str]:
        if not rest.startswith(f"{word}:<") or ">" not in rest:
            self.violation(f"no address: {rest[:60]}")
        address, _, parameters = rest[len(word) + 2 :].partition(">")
        if not (address.isascii() or "SMTPUTF8" in (parameters or self.parameters)):
            self.violation(f"an address that is not ASCII without SMTPUTF8: {address}")
        return address, parameters.strip()

    def on_data(self, _rest: str) -> None:
        if not self.recipients and not self.server.scripts("data"):
            if not self.server.pipelining:
                self.violation("DATA without a recipient")
            self.say(554, "5.5.1 no valid recipients")
            return

        def usual() -> None:
            self.in_content, self.seen_content = True, False
            self.say(354, "go on")

        self.step("data", usual)

    def content(self) -> bool:
        if not self.seen_content:
            self.seen_content = True
            before = self.over, self.blocked
            self.step("mid-content", lambda: None)
            if (self.over, self.blocked) != before:
                return False
        if self.buffer.startswith(b".\r\n"):
            raw, self.buffer = b"", self.buffer[3:]
        else:
            end = self.buffer.find(b"\r\n.\r\n")
            if end < 0:
                return False
            raw, self.buffer = self.buffer[: end + 2], self.buffer[end + 5 :]
        if self.buffer:
            self.violation("wrote on after the final dot")
        self.in_content = False
        self.taken(raw)
        return True

    def taken(self, raw: bytes) -> None:
        arrived = time.monotonic()
        if raw.count(b"\r\n") != raw.count(b"\n") or raw.count(b"\r") != raw.count(b"\n"):
            self.violation("a bare line end in the content")
        if len(raw) > LONGEST_LINE and max(map(len, raw.split(b"\r\n"))) > LONGEST_LINE:
            self.violation("a line of more than 1,000 bytes")
        content = (raw[1:] if raw.startswith(b".") else raw).replace(b"\r\n..", b"\r\n.")

        if self.server.keeps_at_dot:
            self.keep(content, arrived)

        def usual() -> None:
            if not self.recipients:
                self.say(554, "5.5.1 no valid recipients")
                return
            if not self.server.keeps_at_dot:
                self.keep(content, arrived)
            self.say(250, "2.0.0 Ok: queued")
            self.forget()

        rate = self.server.letters_per_second
        if self.server.holding:
            self.server.held.append(self.postponed(lambda: self.step("content", usual)))
            self.server.changed()
        elif rate is None:
            self.step("content", usual)
        else:
            self.server.next_slot = max(self.server.next_slot, arrived) + 1 / rate
            self.later(self.server.next_slot - arrived, lambda: self.step("content", usual))

    def keep(self, content: bytes, arrived: float) -> None:
        """It is taken: one letter for each recipient."""
        kept = content if self.server.keep_content else b""
        for recipient in self.recipients:
            self.server.record(
                Received(self.sender or "", recipient, message_id(content), kept, arrived, self.number, self.parameters)
            )
        self.letters += 1

    def forget(self) -> None:
        self.sender, self.recipients, self.parameters = None, [], ""

    def on_rset(self, _rest: str) -> None:
        self.forget()
        self.step("rset", lambda: self.say(250, "2.0.0 Ok"))

    def on_quit(self, _rest: str) -> None:
        def usual() -> None:
            self.say(221, "2.0.0 Bye")
            self.flush()
            self.over = True
            self.transport.close()

        self.step("quit", usual)


def message_id(content: bytes) -> str:
    """The Message-ID of a letter, without brackets; empty where it has none."""
    head = content.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        if line[:11].lower() == b"message-id:":
            return line[11:].strip().decode("ascii", "replace").strip("<>")
    return ""
