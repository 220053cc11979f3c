"""What every text of a letter goes through: line ends, control characters, one line where a header wants one."""

import re

MAX_LINE = 998
"""Octets of a line without its CRLF (RFC 5322, 2.1.1)."""

_LINE_END = re.compile(r"\r\n?|\n")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACES = re.compile(r"[\t\r\n\x20\x80-\x9f\u2028\u2029]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def body_text(text: str) -> str:
    """Return the text with CRLF line ends, no control character but the tab, and U+FFFD for lone surrogates."""
    if text.isprintable():
        return text
    return _NO_TEXT.sub("", _LINE_END.sub("\r\n", _SURROGATE.sub("\ufffd", text)))


def one_line(text: str) -> str:
    """Return the text on one line: every run of spaces and line breaks as one space, and without any around it."""
    if text.isprintable():
        return " ".join(text.split())
    return _SPACES.sub(" ", body_text(text)).strip()


def octets(text: str) -> int:
    """Count the text's bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def longest_line(text: str) -> int:
    """Count the characters of the longest line, without its line end."""
    return max(map(len, text.split("\r\n")))
