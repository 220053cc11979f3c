"""A letter taken apart, for services that compose letters themselves and take no whole ones (RFC 5322, RFC 2045).

What they send is another letter with the same texts: with a Date, boundaries and a signature of their own.
"""

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

from dispatcher.providers.base import Letter, in_ascii
from dispatcher.providers.http.dialects.base import Unfit

COMPOSED = frozenset(
    {
        *("bcc", "cc", "date", "dkim-signature", "from", "mime-version", "received", "reply-to", "return-path"),
        *("sender", "subject", "to"),
    }
)
"""Headers that every such service writes itself; so it does Content-Type and its like."""
NOT_IN_ASCII = "5.6.7 the mail service does not take addresses with letters outside ASCII"

_FOLD = re.compile(r"\r?\n(?=[ \t])")
_SPECIAL = re.compile(r'(["\\])')
_ENCODED_WORD = r"=\?[^?\s]+\?[bq]\?[^?\s]*\?="
_ENCODED_WORDS = re.compile(rf"{_ENCODED_WORD}(?:\s+{_ENCODED_WORD})*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A name, which may be empty, and an address whose domain is ASCII."""

    name: str
    address: str

    def written(self) -> str:
        """Return both in one text, as `"Name" <address>`."""
        quoted = _SPECIAL.sub(r"\\\1", self.name)
        return f'"{quoted}" <{self.address}>' if self.name else self.address

    def fields(self, email: str = "email", longest: int = 1000) -> dict[str, str]:
        """Return both as an object of JSON, with a name of so many characters at most, or without."""
        return {email: self.address, **({"name": self.name[:longest]} if self.name else {})}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a letter consists of."""

    sender: Mailbox
    recipient: Mailbox
    reply_to: list[Mailbox]
    subject: str
    text: str
    html: str
    """One of both is not empty."""
    headers: dict[str, str]
    """All others, Message-ID among them, each in one line as it stands."""

    def taken(self, name: str) -> str:
        """Take a header away, and return its value; empty if there is none."""
        found = [each for each in self.headers if each.lower() == name.lower()]
        return self.headers.pop(found[0]) if found else ""


def taken_apart(letter: Letter, only_ascii: bool = True) -> Parts:
    """Take the letter apart. Raises Unfit if it has more than texts, or an address the service would not take."""
    if only_ascii and letter.needs_utf8:
        raise Unfit(NOT_IN_ASCII)
    message: Any = message_from_bytes(letter.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    if [each for each in message.walk() if not each.is_multipart() and each.get_content_maintype() != "text"]:
        raise Unfit("5.6.1 the letter has more than texts, and the mail service takes no whole letters")
    text, html = _text(message, "plain"), _text(message, "html")
    names = [each.name for each in _mailboxes(message, "To")]
    return Parts(
        sender=next(iter(_mailboxes(message, "From")), Mailbox("", in_ascii(letter.sender))),
        recipient=Mailbox(next(iter(names), ""), in_ascii(letter.recipient)),
        reply_to=_mailboxes(message, "Reply-To"),
        subject=str(message.get("Subject", "")),
        text=text if text or html else " ",
        html=html,
        headers={
            name: _FOLD.sub("", str(value)).strip()
            for name, value in message.raw_items()
            if name.lower() not in COMPOSED and not name.lower().startswith("content-")
        },
    )


def _text(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    content = part.get_content() if part is not None else ""
    return content if isinstance(content, str) else ""


def _mailboxes(message: EmailMessage, header: str) -> list[Mailbox]:
    people = getaddresses([_as_written(message, header)])
    return [Mailbox(_decoded(name), in_ascii(address)) for name, address in people if "@" in address]


def _as_written(message: EmailMessage, header: str) -> str:
    """Return a header in one line, before anything is decoded in it; empty if there is none."""
    found = (str(value) for name, value in message.raw_items() if name.lower() == header.lower())
    octets = next(found, "").encode("utf-8", "surrogateescape")
    return _FOLD.sub("", octets.decode("utf-8", "replace")).strip()


def _decoded(text: str) -> str:
    """Decode encoded words, without the white space between them (RFC 2047, 6.2; `email.policy` keeps it in names)."""
    return _ENCODED_WORDS.sub(lambda found: _of_words(found[0]), text)


def _of_words(words: str) -> str:
    try:
        octets = [(each, str(charset).partition("*")[0]) for each, charset in decode_header(words)]
        return "".join(each.decode(charset, "replace") for each, charset in octets)
    except (HeaderParseError, LookupError, ValueError):
        return words
