"""A server that takes letters over HTTP as docs/http_api.md or a mail service has it, and checks every request."""

import asyncio
import base64
import binascii
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.scripted_servers.conversation import Conversation, nothing
from tests.scripted_servers.script import Reply
from tests.scripted_servers.server import Received, ScriptedServer

FIELDS = {"id", "sender", "recipient", "message"}


@dataclass(frozen=True, slots=True)
class Answer(Reply):
    """Answer so; 2xx takes the letter. `close` says that the connection closes after it, and closes it."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"status": "accepted"})
    """Bytes and text as they are, anything else as JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False

    @property
    def accepts(self) -> bool:
        return 200 <= self.status < 300

    def written(self) -> bytes:
        body = self.body
        if not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **self.headers}
        if self.close:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {self.status} so says the script", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class HttpLetter(Received):
    """One letter that was posted."""

    headers: dict[str, str]
    """Names in lower case."""
    fields: dict[str, Any]
    """What was posted."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What a post says, as the service reads it."""

    sender: str
    recipient: str
    message_id: str
    content: bytes
    """The whole letter; empty where the service composes it."""
    fields: dict[str, Any]


class Api(ABC):
    """How a service wants letters posted, and how it answers if all is well."""

    path: ClassVar[str]
    content_type: ClassVar[str] = "application/json"

    @abstractmethod
    def token(self, headers: Mapping[str, str]) -> str:
        """The token; raises KeyError or ValueError if there is none."""

    @abstractmethod
    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        """What is posted; raises ValueError, KeyError or TypeError for what the service does not describe."""

    @abstractmethod
    def taken(self, posted: Posted) -> Answer:
        """The answer to a letter that is taken."""

    def refused(self) -> Answer:
        """The answer to a wrong token."""
        return Answer(401, {"message": "who are you?"})


class OwnApi(Api):
    """docs/http_api.md."""

    path = "/letters"

    def token(self, headers: Mapping[str, str]) -> str:
        kind, _, token = headers["authorization"].partition(" ")
        if kind != "Bearer":
            raise ValueError("no Bearer")
        return token

    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        fields = json.loads(body)
        content = base64.b64decode(fields["message"], validate=True)
        if fields.keys() != FIELDS or fields["id"] != headers.get("idempotency-key"):
            raise ValueError(f"fields {sorted(fields)}, key {headers.get('idempotency-key')}")
        return Posted(fields["sender"], fields["recipient"], fields["id"], content, fields)

    def taken(self, posted: Posted) -> Answer:
        return Answer(body={"status": "accepted", "id": posted.message_id})


@dataclass(slots=True, kw_only=True)
class HttpServer(ScriptedServer[HttpLetter]):
    """An HTTP server."""

    steps: ClassVar[tuple[str, ...]] = ("connect", "head", "mid-body", "answer")
    """Connected; the head of a request read; some of its body; all of it."""
    answer_step: ClassVar[str] = "answer"

    api: Api = field(default_factory=OwnApi)
    path: str = ""
    """Empty: that of the API."""
    token: str | None = None
    """The only one that is let in; None lets in every one."""

    requests: int = field(init=False, default=0)
    """Heads read."""

    def __post_init__(self) -> None:
        self.path = self.path or self.api.path

    def conversation(self, loop: asyncio.AbstractEventLoop) -> Conversation:
        return HttpConversation(self, loop)


class HttpConversation(Conversation):
    server: HttpServer

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self.headers: dict[str, str] | None = None
        """Of the request that is not answered yet."""
        self.length = 0
        self.addressed = ""
        self.begun = False

    @property
    def recipient(self) -> str:
        return self.addressed

    def begin(self) -> None:
        self.step("connect", nothing)

    def read(self) -> bool:
        return self.head() if self.headers is None else self.body()

    def respond(self, data: bytes) -> None:
        self.headers = None
        super().respond(data)

    def head(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        self.buffer = self.buffer[end + 4 :]
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.addressed, self.begun = "", False
        self.server.requests += 1
        if lines[0] != f"POST {self.server.path} HTTP/1.1":
            self.violation(f"asked for {lines[0]}")
        for name, value in {"content-type": self.server.api.content_type, "accept": "application/json"}.items():
            if self.headers.get(name, "").partition(";")[0] != value:
                self.violation(f"{name}: {self.headers.get(name)}")
        if {"cookie", "transfer-encoding", "expect"} & self.headers.keys():
            self.violation(f"headers that nobody needs: {sorted(self.headers)}")
        if not self.headers.get("host") or not self.headers.get("content-length", "").isdigit():
            self.violation("no host or no length")
            self.finish()
            return False
        self.length = int(self.headers["content-length"])
        self.step("head", nothing)
        return True

    def body(self) -> bool:
        if not self.begun:
            self.begun = True
            self.step("mid-body", nothing)
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
        api, headers = self.server.api, self.headers
        try:
            posted = api.read(headers, body)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            self.violation(f"no letter: {error!r}")
            self.respond(Answer(400, {"message": "no letter"}).written())
            return
        self.addressed = posted.recipient
        letter = HttpLetter(
            posted.sender,
            self.recipient,
            posted.message_id,
            posted.content,
            arrived,
            self.number,
            headers,
            posted.fields,
        )

        def usual() -> None:
            token = self.server.token
            if token is not None and self.said_token(headers) != token:
                self.respond(api.refused().written())
                return
            self.server.record(letter)
            self.respond(api.taken(posted).written())

        self.answer(usual)

    def said_token(self, headers: Mapping[str, str]) -> str | None:
        try:
            return self.server.api.token(headers)
        except (ValueError, KeyError):
            return None
