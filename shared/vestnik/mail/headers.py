"""The header lines of a letter (RFC 5322), folded, with line ends; encoded words (RFC 2047) where they must be."""

import re
import textwrap
from binascii import b2a_base64
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from vestnik.mail.texts import one_line

_HEADER_LINE = 78
_ENCODED_LINE = 76
_ENCODED_WORD = 75

_ATOMS = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?: [\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_SPECIAL = re.compile(r'(["\\])')
_ADDRESS = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]{1,255}@[\w.-]{1,255}", re.ASCII)
_INTERNATIONAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~.\x80-\U0010ffff-]{1,64}@[A-Za-z0-9.-]{1,255}")


@lru_cache(maxsize=16)
def date_line(second: datetime) -> str:
    """Return the Date line of a letter written at that second."""
    return f"Date: {format_datetime(second.astimezone(UTC))}\r\n"


def message_id(key: str) -> str:
    """Return the Message-ID line. Raises ValueError if `key` cannot stand between its brackets."""
    if not _ADDRESS.fullmatch(key):
        raise ValueError(f"{key!r} cannot be a Message-ID")
    return f"Message-ID: <{key}>\r\n"


def of_a_list(list_id: str, feedback_id: str) -> str:
    """Return the lines by which a mass mailing says that it is one.

    List-Id: RFC 2919. Auto-Submitted: RFC 3834, that no absence is answered to it; Precedence says the same to older
    programs. Feedback-ID: by it Gmail counts complaints.
    """
    return (
        f"List-Id: <{list_id}>\r\nFeedback-ID: {feedback_id}\r\nPrecedence: bulk\r\nAuto-Submitted: auto-generated\r\n"
    )


def one_click(url: str, address: str = "") -> str:
    """Return the lines by which a mail program unsubscribes with one click (RFC 8058), or with a letter to `address`
    (RFC 2369), if there is one.
    """
    by_mail = f",\r\n <mailto:{address}?subject=unsubscribe>" if address else ""
    return f"List-Unsubscribe: <{url}>{by_mail}\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def unstructured(header: str, text: str) -> str:
    """Return a header line of free text (RFC 5322, 2.2.1), folded and encoded where it must be."""
    text = one_line(text)
    if text.isascii() and "=?" not in text:
        line = f"{header}: {text}"
        if len(line) <= _HEADER_LINE:
            return line + "\r\n"
        lines = textwrap.wrap(line, _HEADER_LINE, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False)
        if max(map(len, lines)) <= _HEADER_LINE and lines[0] != f"{header}:":
            return "\r\n".join(lines) + "\r\n"
    return f"{header}: {_encoded_words(text, _ENCODED_LINE - len(header) - 2)}\r\n"


def mailboxes(header: str, people: Iterable[tuple[str, str]]) -> str:
    """Return a header line of several people's names and addresses; empty for none.

    Raises ValueError as `mailbox` does.
    """
    lines = [mailbox(header, name, address).removesuffix("\r\n") for name, address in people]
    return (
        ",\r\n".join([*lines[:1], *(line.removeprefix(f"{header}:") for line in lines[1:])]) + "\r\n" if lines else ""
    )


def recipient(name: str, address: str) -> str:
    """Return the To line. An address that is not ASCII stands in it as it is (RFC 6532): such a letter is not 7-bit."""
    return mailbox("To", name, address, _INTERNATIONAL if address.isprintable() else _ADDRESS)


def mailbox(header: str, name: str, address: str, allowed: re.Pattern[str] = _ADDRESS) -> str:
    """Return a header line of one person's name and address.

    Raises ValueError if the address can stand in no header.
    """
    if not allowed.fullmatch(address):
        raise ValueError(f"{address!r} cannot stand in a header as an address")
    name = one_line(name)
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
    """Return RFC 2047's encoded words, one a line, cut between characters; the first has `room` characters."""
    octets = text.encode()
    words, at = [], 0
    while at < len(octets):
        end = at + (room - len("=?utf-8?b??=")) // 4 * 3
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b2a_base64(octets[at:end], newline=False).decode()}?=")
        at, room = end, _ENCODED_WORD
    return "\r\n ".join(words)
