"""What can be asked of the DNS, and what an answer is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Types of records."""

    TXT = "TXT"
    MX = "MX"
    CNAME = "CNAME"
    A = "A"
    AAAA = "AAAA"
    PTR = "PTR"


class Trouble(StrEnum):
    """Why nothing is known."""

    UNREACHABLE = "unreachable"
    """No server, no answer in time, or one that says that it cannot or will not answer."""
    BROKEN = "broken"
    """An answer that cannot be understood, a circle or an endless row of CNAMEs, or more than anybody needs."""


class Question(NamedTuple):
    """What is asked: a name in ASCII, and the type of its records."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS says. Names are in lower case without the last dot; the values' order is always the same.

    TXT: its strings joined (RFC 7208, 3.3), what is no UTF-8 or cannot be printed escaped. MX: "10 mail.example.org".
    """

    values: tuple[str, ...] = ()
    trouble: Trouble | None = None


Ask = Callable[[str, Kind], Answer]
"""Asks for a name; never raises."""
