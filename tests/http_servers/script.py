"""What a server can be told to do at a step of a request."""

import json
from dataclasses import dataclass, field
from typing import Any

STEPS = ("connect", "head", "mid-body", "answer")
"""Connected; the head of a request read; some of its body; all of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer so; 2xx takes the letter. `close` says that the connection closes after it, and closes it."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"status": "accepted"})
    """Bytes and text as they are, anything else as JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False

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
class Raw:
    """Answer with these bytes, whatever they are; `close` closes the connection after them."""

    data: bytes
    close: bool = False


@dataclass(frozen=True, slots=True)
class Drip:
    """Answer with these bytes, one every so many seconds."""

    data: bytes
    every: float


@dataclass(frozen=True, slots=True)
class Endless:
    """Answer with the first bytes, and then with the others over and over, as long as they are read."""

    first: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Late:
    """Answer as usual, but so many seconds later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection without an answer, so that the other side gets an error."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer, and read no more."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Take the letter, and then do this instead of answering; at `answer` only."""

    then: "Action"


Action = Answer | Raw | Drip | Endless | Late | Drop | Reset | Hang | Keep
