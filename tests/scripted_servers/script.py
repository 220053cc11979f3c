"""What a server can be told to do at a step of a conversation."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


class Reply(ABC):
    """Answer in the words of a protocol."""

    __slots__ = ()

    close: bool
    """Close the connection after it."""

    @property
    @abstractmethod
    def accepts(self) -> bool:
        """Does the conversation go on as usual? Any other answer refuses."""

    @abstractmethod
    def written(self) -> bytes:
        """As it goes over the wire."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Answer with these bytes, whatever they are; `close` closes the connection after them."""

    data: bytes
    close: bool = False


@dataclass(frozen=True, slots=True)
class Endless:
    """Answer with these bytes, over and over, as long as they are read; after those that come first."""

    data: bytes
    first: bytes = b""


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
class Reset:
    """Break the connection without an answer, so that the other side gets an error."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer; `deaf` reads no more either."""

    deaf: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Take the letter, and then do this instead of answering; at the step that answers a letter only."""

    then: "Action"


Action = Reply | Raw | Endless | Drip | Late | Drop | Reset | Hang | Keep
