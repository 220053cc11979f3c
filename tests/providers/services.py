"""The services that the contract is tested with: each a provider, and a hand on what it talks to."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from aiosmtpd.controller import Controller

from dispatcher.providers import memory
from dispatcher.providers.base import Outcome, Provider
from dispatcher.providers.errors import Unavailable
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.loop_provider import LoopProvider
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import HttpConfig, SmtpConfig
from tests.scripted_servers import APIS, Answer, HttpServer, Say, ScriptedServer, SmtpServer

CONNECTIONS = 4
SMTP_CODES = {Outcome.ACCEPTED: 250, Outcome.TEMPORARY: 450, Outcome.PERMANENT: 550}
HTTP_CODES = {Outcome.ACCEPTED: 200, Outcome.TEMPORARY: 429, Outcome.PERMANENT: 422}
SENDGRID_CODES = {**HTTP_CODES, Outcome.ACCEPTED: 202}


class Service(Protocol):
    provider: Provider
    codes: dict[Outcome, int]
    """What it says for an outcome."""

    def received(self) -> list[str]:
        """The recipients of the letters that were taken, in order."""

    def refuse(self, recipient: str, outcome: Outcome) -> None:
        """With the code of that outcome, and the word "refused"."""

    def hold(self) -> None:
        """Answer no letter until `release`."""

    def wait_held(self, count: int) -> None:
        """After `hold`: until so many letters have come, answered since or not."""

    def waiting(self) -> int:
        """How many lanes wait for a connection."""

    def release(self, count: int | None = None) -> None:
        """Answer so many of those held, or all and hold no more."""

    def leave(self) -> None:
        """Be away: refuse connections and break those that are open."""

    def come_back(self) -> None: ...


class InMemory:
    codes = SMTP_CODES

    def __init__(self) -> None:
        self.memory = memory.MemoryProvider(CONNECTIONS)
        self.provider: Provider = self.memory
        self.refused: set[str] = set()

    def received(self) -> list[str]:
        return [letter.recipient for letter in self.memory.letters if letter.recipient not in self.refused]

    def refuse(self, recipient: str, outcome: Outcome) -> None:
        self.refused.add(recipient)
        self.memory.answers(recipient, memory.Answer(outcome, self.codes[outcome], "refused"))

    def hold(self) -> None:
        self.memory.hold()

    def wait_held(self, count: int) -> None:
        self.memory.wait_for(count)

    def waiting(self) -> int:
        return self.memory._lanes.waiting

    def release(self, count: int | None = None) -> None:
        self.memory.release(count)

    def leave(self) -> None:
        self.memory.fail(Unavailable("away"))

    def come_back(self) -> None:
        self.memory.recover()


class Scripted:
    """A server of ours; its protocol adds the provider, and how it refuses."""

    provider: LoopProvider

    def __init__(self, server: ScriptedServer[Any]) -> None:
        self.server = server

    def received(self) -> list[str]:
        return [letter.recipient for letter in self.server.letters]

    def hold(self) -> None:
        self.server.hold()

    def wait_held(self, count: int) -> None:
        self.server.wait_until(lambda: len(self.server.held) + len(self.server.letters) >= count)

    def waiting(self) -> int:
        return self.provider._pool().lanes.waiting

    def release(self, count: int | None = None) -> None:
        self.server.release(count)

    def leave(self) -> None:
        self.server.refuse()
        self.server.drop_connections()

    def come_back(self) -> None:
        self.server.listen()


class Pipelined(Scripted):
    codes = SMTP_CODES

    def __init__(self, server: SmtpServer) -> None:
        super().__init__(server)
        self.provider = SmtpProvider(SmtpConfig("127.0.0.1", server.port, connections=CONNECTIONS, timeout=5))

    def refuse(self, recipient: str, outcome: Outcome) -> None:
        self.server.always("rcpt", Say(self.codes[outcome], "refused"), recipient)


class OverHttp(Scripted):
    """Our own API, or a mail service's: one that takes whole letters, and one that composes them."""

    def __init__(self, server: HttpServer, dialect: str = "") -> None:
        super().__init__(server)
        self.codes = SENDGRID_CODES if dialect == "sendgrid" else HTTP_CODES
        self.refusal: dict[str, Any] = {"message": "refused"}
        if dialect == "sendgrid":
            self.refusal = {"errors": [{"message": "refused", "field": None, "help": None}]}
        where = ("http", "127.0.0.1", server.port, server.path, server.token or "", dialect)
        self.provider = HttpProvider(HttpConfig(*where, connections=CONNECTIONS, timeout=5))

    def refuse(self, recipient: str, outcome: Outcome) -> None:
        self.server.always("answer", Answer(self.codes[outcome], self.refusal), recipient)


class _Handler:
    """aiosmtpd's hooks."""

    def __init__(self) -> None:
        self.recipients: list[str] = []
        self.codes: dict[str, int] = {}
        self.holding = False
        self.allowed = 0
        self.held = 0
        self.changed = threading.Condition()

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address in self.codes:
            return f"{self.codes[address]} refused"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        with self.changed:
            self.held += 1
            self.changed.notify_all()
        while self.holding and not self.allowed:
            await asyncio.sleep(0.005)
        self.allowed = max(0, self.allowed - 1)
        self.recipients += envelope.rcpt_tos
        return "250 ok"


class WithoutPipelining:
    """Python's own aiosmtpd, which offers no PIPELINING."""

    codes = SMTP_CODES

    def __init__(self) -> None:
        self.handler = _Handler()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.away = True
        self.come_back()
        self.provider = SmtpProvider(SmtpConfig("127.0.0.1", self.port, connections=CONNECTIONS, timeout=5))

    def received(self) -> list[str]:
        return list(self.handler.recipients)

    def refuse(self, recipient: str, outcome: Outcome) -> None:
        self.handler.codes[recipient] = self.codes[outcome]

    def hold(self) -> None:
        self.handler.holding = True

    def wait_held(self, count: int) -> None:
        with self.handler.changed:
            if not self.handler.changed.wait_for(lambda: self.handler.held >= count, 10):
                raise TimeoutError("the letters did not come")

    def waiting(self) -> int:
        return self.provider._pool().lanes.waiting

    def release(self, count: int | None = None) -> None:
        self.handler.allowed = count or 0
        self.handler.holding = count is not None

    def leave(self) -> None:
        if not self.away:
            self.controller.stop()
        self.away = True

    def come_back(self) -> None:
        self.controller = Controller(self.handler, hostname="127.0.0.1", port=self.port, ready_timeout=5)
        self.controller.start()
        self.away = False


@contextmanager
def service(kind: str) -> Iterator[Service]:
    with ExitStack() as stack:
        made: Service
        match kind:
            case "memory":
                made = InMemory()
            case "smtp, pipelined":
                made = Pipelined(stack.enter_context(SmtpServer()))
            case "http":
                made = OverHttp(stack.enter_context(HttpServer(token="a token of ours")))
            case "mailgun" | "sendgrid":
                made = OverHttp(stack.enter_context(HttpServer(token="a token of ours", api=APIS[kind])), kind)
            case _:
                made = without = WithoutPipelining()
                stack.callback(without.leave)
        stack.callback(made.provider.close)
        yield made


KINDS = ("memory", "smtp, pipelined", "smtp, not pipelined", "http", "mailgun", "sendgrid")
