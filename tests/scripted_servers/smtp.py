"""A server that speaks SMTP, and checks every step of its client."""

import asyncio
import base64
import hmac
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from tests.scripted_servers.conversation import Conversation, nothing
from tests.scripted_servers.script import Action, Reply
from tests.scripted_servers.server import Received, ScriptedServer

LONGEST_COMMAND = 512 + 64
LONGEST_LINE = 1000
CHALLENGE = b"<1896.697170952@mail.example.net>"


@dataclass(frozen=True, slots=True)
class Say(Reply):
    """Answer so, in several lines where the words are; a code below 400 goes on as usual, any other refuses."""

    code: int
    words: str = "so says the script"
    close: bool = False

    @property
    def accepts(self) -> bool:
        return self.code < 400

    def written(self) -> bytes:
        *before, last = self.words.split("\n")
        return "".join([*(f"{self.code}-{line}\r\n" for line in before), f"{self.code} {last}\r\n"]).encode()


@dataclass(frozen=True, slots=True)
class SmtpLetter(Received):
    """One letter for one recipient."""

    parameters: str
    """What followed the address in MAIL."""


@dataclass(slots=True, kw_only=True)
class SmtpServer(ScriptedServer[SmtpLetter]):
    """An SMTP server."""

    steps: ClassVar[tuple[str, ...]] = (
        *("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "mid-content", "content", "rset", "quit"),
    )
    answer_step: ClassVar[str] = "content"

    implicit_tls: bool = False
    """Otherwise STARTTLS is offered where there is a certificate."""
    pipelining: bool = True
    utf8: bool = False
    size: int | None = None
    login: tuple[str, str] | None = None
    """User and password demanded before MAIL."""
    auth_methods: str = "PLAIN LOGIN"
    cram_secrets: bool = False
    """Whether it keeps passwords as CRAM-MD5 (RFC 2195) wants them; without it that refuses everybody."""
    letters_per_connection: int | None = None
    closes_with: Action = field(default_factory=lambda: Say(421, "4.7.0 too many letters", close=True))
    """What the letter beyond `letters_per_connection` gets for its MAIL."""
    most_connections: int | None = None
    """Further ones are greeted with 421."""
    most_letters_per_second: float | None = None
    """Beyond that, letters are refused at RCPT, with what `throttles_with` says in turn."""
    throttles_with: list[Action] = field(default_factory=lambda: [Say(451, "4.7.1 too many letters")])
    keeps_at_dot: bool = False
    """A letter is taken when its final dot is read, though its client may die before the answer."""
    keep_content: bool = True

    greeted_by: set[str] = field(init=False, default_factory=set)
    """The names that clients gave themselves."""
    commands: Counter[str] = field(init=False, default_factory=Counter)
    throttled: int = field(init=False, default=0)
    """How many letters were refused for their number."""
    _bucket: float = field(init=False, default=0)
    _filled: float = field(init=False, default=0)

    def conversation(self, loop: asyncio.AbstractEventLoop) -> Conversation:
        return SmtpConversation(self, loop)

    def throttle(self) -> Action | None:
        """What a letter gets that is one too many. A tenth of a second's letters may come at once."""
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


class SmtpConversation(Conversation):
    server: SmtpServer

    def __init__(self, server: SmtpServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self.in_content = self.seen_content = False
        self.greeted = self.authenticated = False
        self.encrypted = server.implicit_tls
        self.waiting_for: Callable[[bytes], None] | None = None
        self.sender: str | None = None
        self.parameters = ""
        self.recipients: list[str] = []
        self.letters = 0

    @property
    def recipient(self) -> str:
        return self.recipients[-1] if self.recipients else ""

    def begin(self) -> None:
        server = self.server
        if server.most_connections is not None and len(server.open) > server.most_connections:
            self.do(Say(421, "4.7.0 too many connections", close=True), "greeting")
        else:
            self.step("greeting", lambda: self.say(220, "tests.example ESMTP"))

    def data_received(self, data: bytes) -> None:
        if self.blocked and not self.server.pipelining:
            self.violation(f"spoke before the answer: {data[:60]!r}")
        super().data_received(data)

    def read(self) -> bool:
        return self.content() if self.in_content else self.line()

    def refused(self, step: str) -> None:
        if step == "rcpt":
            self.recipients.pop()
        elif step == "content":
            self.forget()

    def say(self, code: int, *lines: str) -> None:
        self.respond(Say(code, "\n".join(lines)).written())

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
        offers = ["PIPELINING"] * server.pipelining + ["8BITMIME"]
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
            self.do(server.closes_with, "mail")
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
            self.do(refusal, "rcpt")
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
            self.step("mid-content", nothing)
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

        self.answer(usual)

    def keep(self, content: bytes, arrived: float) -> None:
        """It is taken: one letter for each recipient."""
        kept = content if self.server.keep_content else b""
        for recipient in self.recipients:
            self.server.record(
                SmtpLetter(
                    self.sender or "", recipient, message_id(content), kept, arrived, self.number, self.parameters
                )
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
            self.finish()

        self.step("quit", usual)


def message_id(content: bytes) -> str:
    """The Message-ID of a letter, without brackets; empty where it has none."""
    head = content.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        if line[:11].lower() == b"message-id:":
            return line[11:].strip().decode("ascii", "replace").strip("<>")
    return ""
