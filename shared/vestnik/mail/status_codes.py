"""Enhanced status codes (RFC 3463, RFC 5248) by what they are about, for all who read what servers answer.

They stand without their class, "1.1" of 5.1.1: temporary or permanent, they are about the same.
"""

import re

CODE = re.compile(r"(?<![\d.])([45])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
"""A code of a refusal, anywhere in a text."""
GONE = frozenset({"1.1", "1.3", "1.6", "1.10", "2.1"})
"""No such mailbox, no such syntax there, moved, a domain that takes no mail (RFC 7505), disabled."""
TOO_LARGE = frozenset({"2.3", "3.4"})
_LETTER_OR_SENDER = frozenset({"6", "7"})
"""Subjects: the content; security and policy."""
_WORDS = re.compile(
    r"spam|\bpolic(?:y|ies)\b|\bcontent\b|virus|malware|phish|prohibit|\bsecurity\b|\bbanned\b|denied by|access denied"
    r"|reputation|block ?list|blacklist|\brelay|\bMI:\w|\[(?:PH|TSS|TS)\d",
    re.IGNORECASE,
)


def without_class(code: str) -> str:
    """Return the code without its class; empty for none."""
    return code.partition(".")[2]


def is_about_the_letter(code: str, words: str) -> bool:
    """Say whether a refusal is for what the letter or its sender is, by its code or the server's words."""
    detail = without_class(code)
    return detail in TOO_LARGE or detail.partition(".")[0] in _LETTER_OR_SENDER or bool(_WORDS.search(words))
