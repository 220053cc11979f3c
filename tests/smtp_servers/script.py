"""What a server can be told to do at a step of a conversation."""

from dataclasses import dataclass

STEPS = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "mid-content", "content", "rset", "quit")


@dataclass(frozen=True, slots=True)
class Say:
    """Answer so, in several lines where the words are; a code below 400 goes on as usual, any other refuses. `close`
    closes the connection after it."""

    code: int
    words: str = "so says the script"
    close: bool = False


@dataclass(frozen=True, slots=True)
class Raw:
    """Answer with these bytes, whatever they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Endless:
    """Answer with these bytes, over and over, as long as they are read."""

    data: bytes = b"250-and furthermore\r\n"


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


@dataclass(frozen=True, slots=True)
class Keep:
    """Take the letter, and then do this instead of answering; at `content` only."""

    then: "Action"


Action = Say | Raw | Endless | Drip | Late | Drop | Hang | Keep
