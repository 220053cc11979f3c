"""A letter as it goes over the wire: the commands and the content, as bytes. No network here."""

import re
from dataclasses import dataclass

from dispatcher.providers.base import Letter, in_ascii

RSET = b"RSET\r\n"
QUIT = b"QUIT\r\n"
DATA = b"DATA\r\n"
DOT = b".\r\n"

_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Offers:
    """What the service offered in its answer to EHLO."""

    pipelining: bool = False
    """RFC 2920."""
    eight_bit: bool = False
    """8BITMIME, RFC 6152."""
    size: bool = False
    """RFC 1870."""
    utf8: bool = False
    """SMTPUTF8, RFC 6531."""
    size_limit: int | None = None
    """The largest letter it takes, in bytes; None is no limit that it tells."""

    @classmethod
    def from_extensions(cls, extensions: dict[str, str]) -> "Offers":
        """Read the lower-case keywords of EHLO and their parameters."""
        limit = extensions.get("size", "").strip()
        return cls(
            pipelining="pipelining" in extensions,
            eight_bit="8bitmime" in extensions,
            size="size" in extensions,
            utf8="smtputf8" in extensions,
            size_limit=int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 20 and int(limit) else None,
        )


def mail_command(letter: Letter, offers: Offers) -> bytes:
    """Return MAIL, with SIZE (RFC 1870) and BODY (RFC 6152) if they are offered, and SMTPUTF8 (RFC 6531) if needed.

    8-bit content that the service did not offer to take goes as it is.
    """
    size = f" SIZE={len(letter.content)}" if offers.size else ""
    body = " BODY=8BITMIME" if offers.eight_bit and not letter.content.isascii() else ""
    utf8 = " SMTPUTF8" if letter.needs_utf8 else ""
    return f"MAIL FROM:<{in_ascii(letter.sender)}>{size}{body}{utf8}\r\n".encode()


def rcpt_command(letter: Letter) -> bytes:
    """Return RCPT for the letter's recipient."""
    return f"RCPT TO:<{in_ascii(letter.recipient)}>\r\n".encode()


def framed(content: bytes) -> bytes:
    """Return the content with its dots stuffed and the dot that ends it (RFC 5321, 4.5.2).

    Line ends that are not CRLF are made so: some services take a bare one before a dot for the end of the letter and
    read what follows as commands ("SMTP smuggling").
    """
    ends = content.count(b"\n")
    if content.count(b"\r\n") != ends or content.count(b"\r") != ends:
        content = _BARE_LINE_END.sub(b"\r\n", content)
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + DOT
