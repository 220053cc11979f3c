"""Makes readable text of what letters carry; whatever they carry, nothing here raises."""

import codecs
import re
from email.base64mime import decode as decode_base64
from email.quoprimime import header_decode as decode_quoted

# Codecs that are no charsets, or that take quadratic time.
NO_CHARSETS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
ENCODED_WORD = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
BETWEEN_ENCODED_WORDS = re.compile(r"(?<=\?=)[ \t\r\n]+(?==\?)")
INVISIBLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))


def from_bytes(data: bytes, charset: str | None = None) -> str:
    """Read bytes as text: in their charset if that fits, else in UTF-8, else with marks for what cannot be read."""
    for candidate in (charset, "utf-8"):
        if candidate and _is_charset(candidate):
            try:
                return storable(data.decode(candidate))
            except (UnicodeError, ValueError):
                continue
    return storable(data.decode(charset if charset and _is_charset(charset) else "utf-8", "replace"))


def from_header(raw: str) -> str:
    """Return a header as its reader is meant to see it: RFC 2047's encoded words decoded, on one line."""
    text = BETWEEN_ENCODED_WORDS.sub("", _readable(raw))
    parts: list[str] = []
    pending, pending_charset, end = b"", "", 0
    for word in ENCODED_WORD.finditer(text):
        charset, data = word[1].lower(), _word_bytes(word[2], word[3])
        if pending and (word.start() > end or charset != pending_charset):
            parts.append(from_bytes(pending, pending_charset))
            pending = b""
        parts.append(text[end : word.start()])
        pending, pending_charset, end = pending + data, charset, word.end()
    if pending:
        parts.append(from_bytes(pending, pending_charset))
    parts.append(text[end:])
    return " ".join("".join(parts).split())


def storable(text: str) -> str:
    """Return the text without what a database or a page cannot carry: lone surrogates, control characters."""
    return text.encode("utf-8", "replace").decode().translate(INVISIBLE)


def _readable(raw: str) -> str:
    """Return a header as text, in which the parser hid bytes above 127 as surrogates."""
    try:
        return from_bytes(raw.encode("ascii", "surrogateescape"))
    except UnicodeEncodeError:
        return storable(raw)


def _word_bytes(encoding: str, payload: str) -> bytes:
    try:
        if encoding in "bB":
            return decode_base64(payload + "=" * (-len(payload) % 4))
        return decode_quoted(payload).encode("latin-1")
    except (ValueError, UnicodeError):
        return payload.encode()


def _is_charset(name: str) -> bool:
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return codec.name not in NO_CHARSETS and getattr(codec, "_is_text_encoding", True)
