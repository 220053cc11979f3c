"""A client's letter: what it says, and its bytes. A message is compiled once per run; previews and sending use the
same.

A letter is in Internet Message Format (RFC 5322) with CRLF line ends, MIME (RFC 2045, 2046) in UTF-8, encoded words
(RFC 2047) where a header needs them; pure 7-bit, unless an address is not (RFC 6532). No value can add a header, a part
or another placeholder, and no letter is larger than MAX_LETTER_BYTES.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.utils.translation import gettext as _

from vestnik import addresses
from vestnik.clients import attributes as clients_attributes
from vestnik.mail.extra_headers import LETTER
from vestnik.mail.headers import date_line, mailbox, message_id, one_click, recipient, unstructured
from vestnik.mail.texts import body_text, octets, one_line
from vestnik.mailings.rendering.mime import Part
from vestnik.mailings.rendering.templates import WRITTEN_EMAIL, Template, TooLong

LONGEST_SUBJECT = 2_000
"""Bytes of a subject that is filled in: a header must fit into what mail servers read of one."""
_LEAST_HEADERS = 90
"""Bytes of the lines that every letter has, with the shortest address."""


class LetterTooLarge(ValueError):
    """The letter would be larger than letters may be; the text says by how much, in a sentence."""


@dataclass(frozen=True, slots=True)
class Content:
    """A message as a run freezes it: three templates, and the sender.

    A blank `html` or `text` and an empty `reply_to` are left out of the letter; addresses are normalised.
    """

    subject: str
    html: str
    text: str
    sender: str
    sender_name: str
    reply_to: str
    headers: str = ""
    """Whole header lines beside, with their line ends; LETTER in them becomes the letter's Message-ID."""
    one_click: bool = False
    """Whether the link to unsubscribe stands in the header, too (RFC 8058)."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a letter will say: the values filled in, the subject on one line, line feeds as line ends."""

    subject: str
    html: str
    text: str


class CompiledMessage:
    """A message for which everything is done that can be done once. Immutable: threads may share it.

    Raises UnknownPlaceholder, and ValueError for a sender or reply address that cannot stand in a header. `spellings`
    are the owner's names of attributes (`vestnik.clients.attributes`): placeholders may spell them in other ways.
    """

    def __init__(self, content: Content, spellings: Mapping[str, str] | None = None) -> None:
        boundary = f"=_{secrets.token_hex(12)}"
        self._subject = Template(content.subject, links_in_it=False)
        self._text = Part("plain", Template(content.text), boundary)
        self._html = Part("html", Template(content.html, html=True), boundary)
        self._parts = [part for part in (self._text, self._html) if part.template] or [self._text]
        self._limit = settings.MAX_LETTER_BYTES

        self._from = mailbox("From", content.sender_name, content.sender)
        self._headers, self._one_click = content.headers, content.one_click
        self._headers_name_it = LETTER in content.headers
        self._reply_to = mailbox("Reply-To", "", content.reply_to) if content.reply_to else ""
        fixed = "".join(self._subject.literals)
        self._fixed_subject = None if self._subject.names else unstructured("Subject", fixed)
        names = self._subject.names | self._text.template.names | self._html.template.names
        self._attributes = [(name, _stored(name, spellings or {})) for name in names if name.startswith("attributes.")]

        self._opening = self._between = self._closing = b""
        if len(self._parts) > 1:
            self._opening = (
                f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode()
            )
            self._between = f"\r\n--{boundary}\r\n".encode()
            self._closing = f"\r\n--{boundary}--\r\n".encode()

    def render(
        self,
        *,
        key: str,
        address: str,
        full_name: str,
        attributes: Mapping[str, str],
        date: datetime,
        unsubscribe_url: str = "",
        unsubscribe_address: str = "",
    ) -> bytes:
        """Return the whole letter to one client, in bytes. `key` is the Message-ID without brackets, `address` a
        normalised one, `unsubscribe_address` where a letter unsubscribes, if anywhere.

        Raises LetterTooLarge before anything large is made, and ValueError if one of these two cannot stand in a
        header.
        """
        values = self._values(address, full_name, attributes, unsubscribe_url)
        subject = self._fixed_subject or unstructured("Subject", self._filled_subject(values))
        try:
            bodies = [part.encode(values, self._limit) for part in self._parts]
        except TooLong as error:
            raise _too_large(error.octets, self._limit) from None
        to = mailbox("To", full_name, address) if address.isascii() else recipient(full_name, address)
        extra = self._headers.replace(LETTER, key) if self._headers_name_it else self._headers
        stop = one_click(unsubscribe_url, unsubscribe_address) if self._one_click else ""
        head = (
            f"{self._from}{to}{self._reply_to}{subject}"
            f"{date_line(date.replace(microsecond=0))}{message_id(key)}"
            f"{extra}{stop}MIME-Version: 1.0\r\n"
        ).encode("ascii" if address.isascii() else "utf-8")
        letter = b"".join((head, self._opening, self._between.join(bodies), self._closing))
        if not letter.endswith(b"\r\n"):
            letter += b"\r\n"
        if len(letter) > self._limit:
            raise _too_large(len(letter), self._limit)
        return letter

    def preview(
        self, *, address: str, full_name: str, attributes: Mapping[str, str], unsubscribe_url: str = ""
    ) -> Preview:
        """Return what the letter to such a client would say. Raises LetterTooLarge as `render` does."""
        values = self._values(address, full_name, attributes, unsubscribe_url)
        html = ""
        try:
            html = self._html.template.fill(values, self._limit)
            text = self._text.template.fill(values, self._limit - octets(html))
        except TooLong as error:
            raise _too_large(octets(html) + error.octets, self._limit) from None
        if octets(html) + octets(text) > self._limit // 2:  # what the wire adds may be too much
            self.render(key=_SOME_KEY, address=address, full_name=full_name, attributes=attributes, date=_SOME_DATE)
        return Preview(
            subject=one_line(self._filled_subject(values)),
            html=html.replace("\r\n", "\n"),
            text=text.replace("\r\n", "\n"),
        )

    def least_octets(self) -> int:
        """Return how many bytes each of its letters has at least, whatever the values say."""
        between = sum(map(len, (self._opening, self._between, self._closing))) if len(self._parts) > 1 else 0
        headers = _LEAST_HEADERS + len(self._from) + len(self._reply_to) + len(self._headers)
        return headers + between + sum(part.least_octets for part in self._parts)

    def _filled_subject(self, values: Mapping[str, str]) -> str:
        try:
            return self._subject.fill(values, LONGEST_SUBJECT)
        except TooLong as error:
            said = _("the subject would have %(size)s bytes, and may have %(limit)s")
            raise LetterTooLarge(said % {"size": f"{error.octets:,}", "limit": f"{LONGEST_SUBJECT:,}"}) from None

    def _values(
        self, address: str, full_name: str, attributes: Mapping[str, str], unsubscribe_url: str
    ) -> dict[str, str]:
        values = {
            "email": address,
            WRITTEN_EMAIL: address,
            "full_name": body_text(full_name),
            "unsubscribe_url": unsubscribe_url,
        }
        if "xn--" in address:
            values[WRITTEN_EMAIL] = addresses.shown(address)
        for name, stored in self._attributes:
            values[name] = body_text(attributes.get(stored, ""))
        return values


_SOME_KEY = f"{'0' * 40}@example.org"
_SOME_DATE = datetime(2000, 1, 1, tzinfo=UTC)


def _stored(name: str, spellings: Mapping[str, str]) -> str:
    """Return the attribute that a placeholder names, as the owner's clients have it."""
    attribute = name.removeprefix("attributes.")
    return spellings.get(clients_attributes.key(attribute), attribute)


def _too_large(size: int, limit: int) -> LetterTooLarge:
    said = _("the letter would have %(size)s bytes, and may have %(limit)s")
    return LetterTooLarge(said % {"size": f"{size:,}", "limit": f"{limit:,}"})
