"""What a dialect of HTTP is: how a service wants a letter, and what its answers mean by its own codes.

All else is the same for every service: connections, time limits, what broke (session.py); statuses, how an answer is
read, how long to wait (answers.py). No network here.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from dispatcher.providers.base import Letter


class Unreadable(ValueError):
    """The body cannot be read; `str(error)` says why, as the end of "… was answered, but"."""


class Unfit(Exception):
    """The letter cannot be handed over in this dialect, whatever is answered; `str(error)` says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted for one letter, beside the token."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered to one letter."""

    status: int
    headers: Mapping[str, str]
    text: str
    """The body, as far as it can be read."""
    value: Any = None
    """The body, where it is JSON."""
    trouble: str = ""
    """Why it is not, as the end of "… was answered, but"; empty where it is."""

    @property
    def succeeded(self) -> bool:
        """Whether its status is 2xx."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> dict[str, Any]:
        """The body, where it is a JSON object; else an empty one."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def unreadable(self) -> Unreadable:
        """What is to be raised where the body does not say what became of the letter."""
        return Unreadable(self.trouble or f"not as its page has it: {on_one_line(self.text)}")


class Meaning(Enum):
    """What an answer means for a letter, where the service has a code for it."""

    TAKEN = auto()
    """The service has the letter, by this post or an earlier one."""
    RECIPIENT = auto()
    """Refused for good, for this recipient or this letter: a dead letter."""
    LATER = auto()
    """Refused for now, for this recipient alone."""
    SENDER = auto()
    """Refused for our sender, or for whom we may write to: other letters may be taken."""
    TOKEN = auto()
    """None of our letters is taken: the token is wrong."""
    ACCOUNT = auto()
    """None of our letters is taken: the account is not activated, suspended, or has used up what was paid for."""
    UNCLEAR = auto()
    """Refused; whom it is about, its words may say."""


class Dialect(ABC):
    """How one kind of service is spoken to."""

    token_header = "Authorization"  # noqa: S105
    """The header that holds the token."""
    idempotent = False
    """Whether the service is given the letter's key, so that a second post of it is no second letter."""

    def credentials(self, token: str) -> str:
        """Return what stands in that header."""
        return token

    @abstractmethod
    def request(self, letter: Letter) -> Request:
        """Return what is posted for the letter. Raises Unfit."""

    @abstractmethod
    def meaning(self, answer: Answer) -> Meaning | None:
        """Return what the answer means by the service's own codes; None where its status says all there is.

        Raises Unreadable if the letter may have been taken and the answer does not say it.
        """

    def explains(self, answer: Answer) -> bool:
        """Say whether a failure is told in the service's own form, and not a gateway's: the letter was not taken.

        Asked only where a second post would be a second letter.
        """
        return False

    def words(self, answer: Answer) -> str:
        """Return the words of a refusal: `{"error": {"message": …}}`, `{"error": …}`, `{"message": …}`, or all."""
        error = answer.fields.get("error", answer.fields)
        said = error.get("message") if isinstance(error, dict) else error
        return said if isinstance(said, str) else on_one_line(answer.text)

    def name(self, answer: Answer) -> str:
        """Return the service's own name for a letter it has taken; empty if it says none."""
        return str(answer.fields.get("id") or "")

    def wait(self, answer: Answer) -> str:
        """Return when to come again as Retry-After has it: seconds or a date (RFC 9110, 10.2.3); empty if unsaid."""
        return answer.headers.get("Retry-After", "")


def is_name(value: object) -> bool:
    """Say whether the value can be what a service calls a letter or a recipient: a text that is not empty."""
    return isinstance(value, str) and value != ""


def are_names(value: object) -> bool:
    """Say whether the value is a list of such texts, and not empty."""
    return isinstance(value, list) and value != [] and all(map(is_name, value))


def on_one_line(text: str) -> str:
    """Return the text with every run of white space as one space."""
    return re.sub(r"\s+", " ", text).strip()
