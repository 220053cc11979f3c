"""What a client's letter says, and its bytes. A message is compiled once per run; preview and sending use the same.

A letter is pure 7-bit: Internet Message Format (RFC 5322) with CRLF line ends, MIME (RFC 2045, 2046) in UTF-8, encoded
words (RFC 2047) where a header needs them. No value can add a header, a part or another placeholder.
"""

import re
import secrets
import struct
import textwrap
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape

MAX_LINE = 998
"""Octets of a line without its CRLF (RFC 5322, 2.1.1)."""

_HEADER_LINE = 78
_ENCODED_LINE = 76
_BASE64_LINE = 76
_ENCODED_WORD = 75

_PLACEHOLDER = re.compile(r"\{\{((?:(?!\{\{|\}\}).)*)\}\}", re.DOTALL)
_LINE_END = re.compile(r"\r\n?|\n")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACES = re.compile(r"[\t\r\n\x20\x80-\x9f\u2028\u2029]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ATOMS = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?: [\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_SPECIAL = re.compile(r'(["\\])')
_ADDRESS = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]{1,255}@[\w.-]{1,255}", re.ASCII)


class UnknownPlaceholder(ValueError):
    """A template names what no letter has; `names` are those names in their order, the text says so in a sentence."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        listed = ", ".join(f"{{{{ {textwrap.shorten(name, 60)} }}}}" for name in names)
        super().__init__(
            f"A letter has no {listed}; it has {{{{ full_name }}}}, {{{{ email }}}} and {{{{ attributes.NAME }}}}."
        )


@dataclass(frozen=True, slots=True)
class Content:
    """A message as a run freezes it: three templates, and who writes. A blank `html` or `text` and
    an empty `reply_to` are left out of the letter; the addresses are normalised ones.
    """

    subject: str
    html: str
    text: str
    sender: str
    sender_name: str
    reply_to: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a letter will say: the values filled in, the subject on one line, line feeds as line ends."""

    subject: str
    html: str
    text: str


def placeholders(template: str) -> set[str]:
    """The names between {{ and }}, known or not."""
    return set(_names(template))


def check(template: str) -> None:
    """Raise UnknownPlaceholder if the template names what no letter has."""
    unknown = [name for name in _names(template) if not _known(name)]
    if unknown:
        raise UnknownPlaceholder(list(dict.fromkeys(unknown)))


class CompiledMessage:
    """A message of which everything is done that can be done once. Raises UnknownPlaceholder, and ValueError for a
    sender or reply address that cannot stand in a header. Immutable: threads may share it.
    """

    def __init__(self, content: Content) -> None:
        boundary = f"=_{secrets.token_hex(12)}"
        self._subject = _Template(content.subject, _raw)
        self._text = _Part("plain", content.text, _raw, boundary)
        self._html = _Part("html", content.html, escape, boundary)
        self._parts = [part for part in (self._text, self._html) if part.template] or [self._text]

        self._from = _mailbox("From", content.sender_name, content.sender)
        self._reply_to = _mailbox("Reply-To", "", content.reply_to) if content.reply_to else ""
        self._fixed_subject = None if self._subject.names else _unstructured("Subject", self._subject.fill({}))
        names = {*self._subject.names, *self._text.template.names, *self._html.template.names}
        self._attributes = [
            (name, name.removeprefix("attributes.")) for name in names if name.startswith("attributes.")
        ]

        self._opening = self._between = self._closing = b""
        if len(self._parts) > 1:
            self._opening = (
                f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode()
            )
            self._between = f"\r\n--{boundary}\r\n".encode()
            self._closing = f"\r\n--{boundary}--\r\n".encode()

    def render(self, *, key: str, address: str, full_name: str, attributes: Mapping[str, str], date: datetime) -> bytes:
        """The whole letter to one client. `key` is the Message-ID without its brackets, `address` a normalised one.

        Raises ValueError if one of these two cannot stand in a header.
        """
        values = self._values(address, full_name, attributes)
        subject = self._fixed_subject or _unstructured("Subject", self._subject.fill(values))
        if not _ADDRESS.fullmatch(key):
            raise ValueError(f"{key!r} cannot be a Message-ID")
        head = (
            f"{self._from}{_mailbox('To', full_name, address)}{self._reply_to}{subject}"
            f"Date: {_date(date.replace(microsecond=0))}\r\nMessage-ID: <{key}>\r\nMIME-Version: 1.0\r\n"
        )
        bodies = self._between.join([part.encode(values) for part in self._parts])
        letter = b"".join((head.encode("ascii"), self._opening, bodies, self._closing))
        return letter if letter.endswith(b"\r\n") else letter + b"\r\n"

    def preview(self, *, address: str, full_name: str, attributes: Mapping[str, str]) -> Preview:
        """What the letter to such a client would say."""
        values = self._values(address, full_name, attributes)
        return Preview(
            subject=_one_line(self._subject.fill(values)),
            html=self._html.template.fill(values).replace("\r\n", "\n"),
            text=self._text.template.fill(values).replace("\r\n", "\n"),
        )

    def _values(self, address: str, full_name: str, attributes: Mapping[str, str]) -> dict[str, str]:
        values = {"email": address, "full_name": _body_text(full_name)}
        for name, attribute in self._attributes:
            values[name] = _body_text(attributes.get(attribute, ""))
        return values


class _Template:
    """A text cut at its placeholders."""

    def __init__(self, template: str, escaped: Callable[[str], str]) -> None:
        check(template)
        cut = _PLACEHOLDER.split(template)
        self.literals = [_body_text(literal) for literal in cut[::2]]
        self.names = [name.strip() for name in cut[1::2]]
        self._escaped = escaped
        self._pieces = cut
        self._pieces[::2] = self.literals
        self._slots = list(zip(range(1, len(cut), 2), self.names, strict=True))

    def __bool__(self) -> bool:
        return bool(self.names or "".join(self.literals).strip())

    def fill(self, values: Mapping[str, str]) -> str:
        pieces = self._pieces.copy()
        for place, name in self._slots:
            pieces[place] = self._escaped(values[name])
        return "".join(pieces)


class _Part:
    """A text of the letter with its MIME headers, encoded at once if it is the same for everybody."""

    def __init__(self, subtype: str, template: str, escaped: Callable[[str], str], boundary: str) -> None:
        self.template = _Template(template, escaped)
        self._boundary = boundary
        content_type = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: "
        self._seven_bit = f"{content_type}7bit\r\n\r\n"
        self._base64 = f"{content_type}base64\r\n\r\n".encode()
        literal = "".join(self.template.literals)
        self._literal_length = len(literal)
        self._longest_line = _longest_line(literal)
        self._fixed = None if self.template.names else self._encode(literal)

    def encode(self, values: Mapping[str, str]) -> bytes:
        return self._fixed or self._encode(self.template.fill(values))

    def _encode(self, text: str) -> bytes:
        if text.isascii() and self._lines_fit(text) and self._boundary not in text:
            return (self._seven_bit + text).encode()
        return self._base64 + _base64_lines(text.encode())

    def _lines_fit(self, text: str) -> bool:
        at_most = self._longest_line + len(text) - self._literal_length
        return at_most <= MAX_LINE or _longest_line(text) <= MAX_LINE


def _names(template: str) -> list[str]:
    return [name.strip() for name in _PLACEHOLDER.findall(template)]


def _known(name: str) -> bool:
    return name in {"full_name", "email"} or (
        name.startswith("attributes.") and name.removeprefix("attributes.").isidentifier()
    )


def _raw(value: str) -> str:
    return value


def _body_text(text: str) -> str:
    """CRLF line ends, no control character but the tab, U+FFFD for lone surrogates."""
    if text.isprintable():
        return text
    return _NO_TEXT.sub("", _LINE_END.sub("\r\n", _SURROGATE.sub("\ufffd", text)))


def _one_line(text: str) -> str:
    """The same with every run of spaces and line breaks as one space, and without any around it."""
    if text.isprintable():
        return " ".join(text.split())
    return _SPACES.sub(" ", _body_text(text)).strip()


def _longest_line(text: str) -> int:
    return max(map(len, text.split("\r\n")))


@lru_cache(maxsize=16)
def _date(second: datetime) -> str:
    return format_datetime(second.astimezone(UTC))


def _unstructured(header: str, text: str) -> str:
    """A header line of free text, folded, with its line end."""
    text = _one_line(text)
    if text.isascii() and "=?" not in text:
        line = f"{header}: {text}"
        if len(line) <= _HEADER_LINE:
            return line + "\r\n"
        lines = textwrap.wrap(line, _HEADER_LINE, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False)
        if max(map(len, lines)) <= _HEADER_LINE and lines[0] != f"{header}:":
            return "\r\n".join(lines) + "\r\n"
    return f"{header}: {_encoded_words(text, _ENCODED_LINE - len(header) - 2)}\r\n"


def _mailbox(header: str, name: str, address: str) -> str:
    """A header line of one address with the name of whose it is, folded, with its line end."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} cannot stand in a header as an address")
    name = _one_line(name)
    if not name:
        return f"{header}: {address}\r\n"
    phrase = name
    if not (name.isascii() and _ATOMS.fullmatch(name)):
        phrase = '"' + _SPECIAL.sub(r"\\\1", name) + '"'
    line = f"{header}: {phrase}"
    if not name.isascii() or "=?" in name or len(line) > _HEADER_LINE:
        line = f"{header}: {_encoded_words(name, _ENCODED_LINE - len(header) - 2)}"
    last_line = len(line) - (line.rfind("\n") + 1)
    gap = " " if last_line + len(address) + 3 <= _ENCODED_LINE else "\r\n "
    return f"{line}{gap}<{address}>\r\n"


def _encoded_words(text: str, room: int) -> str:
    """RFC 2047's encoded words, one a line, cut between characters; the first has `room` characters."""
    octets = text.encode()
    words, at = [], 0
    while at < len(octets):
        end = at + (room - len("=?utf-8?b??=")) // 4 * 3
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b2a_base64(octets[at:end], newline=False).decode()}?=")
        at, room = end, _ENCODED_WORD
    return "\r\n ".join(words)


def _base64_lines(octets: bytes) -> bytes:
    encoded = b2a_base64(octets, newline=False)
    full = len(encoded) // _BASE64_LINE
    lines = _cutter(full).unpack_from(encoded)
    return b"\r\n".join((*lines, encoded[full * _BASE64_LINE :]))


@lru_cache(maxsize=32)
def _cutter(lines: int) -> struct.Struct:
    return struct.Struct(f"{_BASE64_LINE}s" * lines)
