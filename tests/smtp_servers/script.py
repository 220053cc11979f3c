"""What a server can be told to do at a step of a conversation."""

from dataclasses import dataclass

STEPS = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "mid-content", "content", "rset", "quit")


@dataclass(frozen=True, slots=True)
class Say:
    """Answer so; a code below 400 goes on as usual, any other refuses. `close` closes the connection after it."""

    code: int
    words: str = "so says the script"
    close: bool = False


@dataclass(frozen=True, slots=True)
class Raw:
    """Answer with these bytes, whatever they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Drip:
    """Answer with these bytes, one every so many seconds."""

    data: bytes
    every: float


@dataclass(frozen=True, slots=True)
class Late:
    """Answer as usual, but so many seconds later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer."""


Action = Say | Raw | Drip | Late | Drop | Hang
