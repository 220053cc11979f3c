"""The interface between the engine and what hands letters to the external service."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import idna

ANSWER_LIMIT = 1024

THROTTLING = frozenset({421, 450, 451, 452, 454, 429})
"""Answers by which a service says "slower": SMTP's (RFC 5321, 4.2.3; RFC 4954, 6) and HTTP's (RFC 6585, 4)."""

_ADDRESS = re.compile(r"[!-;=?-~]+")
_BRACKETS = frozenset("<>")


class OfSender(NamedTuple):
    """Whose sender a letter comes from, and the domain of its address."""

    owner_id: int
    domain: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter as it is handed over. Raises ValueError for an address or key that could smuggle in a command."""

    delivery_id: int
    claim: int
    """Number of the claim under which it is handed over."""
    key: str
    """Message-ID without brackets; the idempotency key of HTTP providers."""
    sender: str
    """Envelope sender; empty is the null reverse-path (RFC 5321, 4.5.5)."""
    recipient: str
    """Envelope recipient: a normalised address. One not in ASCII before the @ needs SMTPUTF8 (RFC 6531)."""
    content: bytes
    """The message (RFC 5322): lines end in CRLF, nothing is dot-stuffed."""
    of_sender: OfSender | None = None
    """Whose sender it comes from; None if it comes from the installation's own address."""

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.key):
            raise ValueError("a letter's key is visible ASCII without spaces and angle brackets")
        if not _is_visible(self.recipient):
            raise ValueError("a letter's recipient is visible letters without spaces and angle brackets")
        if self.sender and not _is_visible(self.sender):
            raise ValueError("a letter's sender is visible letters without spaces and angle brackets")

    @property
    def needs_utf8(self) -> bool:
        """Whether its envelope has an address that cannot be written in ASCII (RFC 6531)."""
        return not (self.sender.isascii() and self.recipient.isascii()) and not (
            in_ascii(self.sender).isascii() and in_ascii(self.recipient).isascii()
        )


def in_ascii(address: str) -> str:
    """Return the address with its domain in A-labels (RFC 5890); all in ASCII, if the part before the @ is."""
    if address.isascii():
        return address
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return address


def _is_visible(address: str) -> bool:
    """Say whether nothing in the address could end it or its line."""
    if address.isascii():
        return bool(_ADDRESS.fullmatch(address))
    return address.isprintable() and not any(each.isspace() or each in _BRACKETS for each in address)


class Outcome(StrEnum):
    """What became of one hand-over."""

    ACCEPTED = "accepted"
    TEMPORARY = "temporary"
    """Refused for now, or broken off before any of the content was written: certainly not taken."""
    PERMANENT = "permanent"
    UNKNOWN = "unknown"
    """Content was written and no readable answer came: it may have been taken."""
    RETURNED = "returned"
    """Certainly not taken, for no fault of its own: the service takes no letter now, or none with our settings. It is
    given back, as if it had never been claimed; no attempt is written."""


class About(StrEnum):
    """Whom a refusal is about (refusals.py)."""

    LETTER = "letter"
    """This recipient, or this one letter: it says nothing of others."""
    US = "us"
    """Our sender, our host, our right to send here: it would meet other letters, too."""
    PACE = "pace"
    """How many letters or connections there are at once."""
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of one hand-over."""

    letter: Letter
    outcome: Outcome
    code: int | None
    """The SMTP reply code or HTTP status; None where the service said nothing readable."""
    answer: str
    """The service's own text, or what happened instead: at most 1 kB of UTF-8, control characters made visible."""
    began: float
    """time.monotonic() when the hand-over began."""
    duration: float
    """Seconds from then to the outcome."""
    retry_after: float | None = None
    """Seconds for which the service asked to be left alone."""
    about: About = About.UNCLEAR
    """Whom a refusal is about."""
    in_doubt: bool = False
    """Whether it refuses for now a letter that it refused before, and may do so to everybody."""

    @property
    def throttled(self) -> bool:
        """Whether the service asks for fewer letters, or may do so."""
        if self.outcome is Outcome.PERMANENT:
            return self.about is About.PACE
        if self.outcome is not Outcome.TEMPORARY:
            return False
        by_code = self.code in THROTTLING and self.about is About.UNCLEAR
        return self.retry_after is not None or self.about is About.PACE or by_code

    @property
    def doubtful(self) -> bool:
        """Whether it is a refusal that may be about us, and not about the letter."""
        if self.outcome is Outcome.PERMANENT:
            return self.about is not About.LETTER
        return self.outcome is Outcome.TEMPORARY and (self.about is About.US or self.in_doubt)

    @property
    def silent(self) -> bool:
        """Whether no readable answer came."""
        return self.code is None and self.outcome in (Outcome.TEMPORARY, Outcome.UNKNOWN)


class Provider(Protocol):
    """Hands letters over. One per process and service, shared by all lanes (threads) of the process."""

    @property
    def name(self) -> str:
        """For logs and pages, e.g. `smtp://host:25`; never a password."""

    @property
    def connections(self) -> int:
        """How many letters can be on their way at once."""

    def deliver(
        self,
        letters: Iterable[Letter | None],
        until: float | None = None,
        late: Callable[[Receipt], None] | None = None,
    ) -> Iterator[Receipt]:
        """Hand the letters over; yield exactly one receipt for each letter pulled, whichever is ready first.

        A letter is pulled in the caller's thread, and only when a ready connection is reserved for it. `None` means
        "nothing until one of my receipts is back": letters are asked for again after the next receipt; with no
        receipt outstanding it is the end. Lanes that wait at the same time share the connections.

        From `until` (time.monotonic()) no letter is pulled and no connection waited for; without it, for as long as it
        takes. Where `late` is given too, receipts that are then still outstanding after a moment of patience go to
        `late`, in a thread of the provider's, and the iterator ends without them: a service that keeps some letters
        waiting ties up their connections, and nobody else.

        The caller ends by ending its letters and exhausts the iterator. An exception of the letters' own iterator, or
        Ctrl-C while it waits, is raised after the receipts of what was in hand. An iterator closed early waits for
        what is in hand (bounded by the provider's time limits) and logs how many receipts are lost.

        Raises Unavailable, Misconfigured or ConnectionLimitReached when no connection can be had, after the receipts of
        what was in hand.
        """

    def part(self) -> None:
        """Close every connection, busy ones after their letters: what comes next goes over new ones."""

    def close(self) -> None:
        """Disconnect politely and end all threads; what is in hand is cut off, and gets its receipt.

        Safe to call twice; nothing can be delivered after.
        """


def visible(text: str) -> str:
    """Return the text as a receipt stores it: control characters as escapes, cut to 1 kB of UTF-8.

    >>> visible("bell" + chr(7))
    'bell\\\\x07'
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) * 4 <= ANSWER_LIMIT:
        return text
    return text.encode()[:ANSWER_LIMIT].decode(errors="ignore")


class Slots(Protocol):
    """How many connections all processes together have and may have: a provider takes a slot before it connects.

    Safe from any thread; each call may wait for the network a moment.
    """

    @property
    def limited(self) -> bool:
        """Whether there may only be so many: others may be waiting for theirs."""

    def take(self) -> bool:
        """Take a slot; return whether there was one."""

    def opened(self) -> None:
        """Note that the connection is open for which a slot was taken."""

    def crowded(self) -> bool:
        """Note that the service refused a connection for which a slot was taken; return whether it has others of
        ours.
        """

    def release(self) -> None:
        """Give a slot back: the connection is closed, or was not opened."""

    def renew(self) -> int:
        """Return how many slots to give up, as others want theirs; call it once a second while there are
        connections.
        """


class Unlimited:
    """Slots without a limit: each process takes as many as it likes."""

    limited = False

    def take(self) -> bool:
        return True

    def opened(self) -> None: ...

    def crowded(self) -> bool:
        return False

    def release(self) -> None: ...

    def renew(self) -> int:
        return 0
