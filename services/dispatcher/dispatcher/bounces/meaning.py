"""What the words of a bounce say of the address, by the rules for refusals at once (providers/refusals.py). No network.

The last server's own reply tells more than the code of the report around it. Hard is only what names a mailbox that is
not there; what is about us or the letter is policy; in doubt a bounce is soft, and several have to agree.
"""

import re
from typing import NamedTuple

from dispatcher.providers import refusals
from dispatcher.providers.base import About
from vestnik.mailings.ledger.models import BounceKind

_STATUS = re.compile(r"(?<![\d.])([45])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLY = re.compile(r"(?<![\d.:-])([45]\d\d)(?=[ -])")
_TYPED = re.compile(r"\s*[\w-]{1,40}\s*;\s*", re.ASCII)
_BEGINNING = 300
"""Characters in which a reply or a code is looked for."""

_NOT_THE_MAILBOX = frozenset({"6", "7"})
"""Subjects of status codes (RFC 3463, 3): the content, security and policy."""
_TOO_LARGE = frozenset({"2.3", "3.4"})
_GONE = re.compile(
    r"5\.7\.1 no such user|invalid mailbox\. local mailbox|this user doesn'?t have an? \S{1,60} account", re.IGNORECASE
)
"""How Yandex, Mail.ru and Yahoo say that there is no such mailbox, with codes that say something else."""
_OF_THE_LETTER = re.compile(
    r"spam|\bpolic(?:y|ies)\b|\bcontent\b|virus|malware|phish|prohibit|\bsecurity\b|\bbanned\b|denied by|reputation"
    r"|\bMI:\w|\[(?:PH|TSS|TS)\d",
    re.IGNORECASE,
)


class Meaning(NamedTuple):
    """What a bounce says."""

    bounce: BounceKind
    status: str
    """The enhanced status code that counts; empty where there is none."""
    answer: str
    """The words, on one line."""


def of(status: str, diagnostic: str) -> Meaning:
    """Return what a report's status, and the server's words in it, mean together."""
    answer = _TYPED.sub("", diagnostic, count=1) if _TYPED.match(diagnostic) else diagnostic
    reply = _REPLY.search(answer[:_BEGINNING])
    said = answer[reply.start() :] if reply else answer
    found = _STATUS.search(said[:_BEGINNING]) or _STATUS.search(status[:_BEGINNING])
    code = found[0] if found else ""
    return Meaning(_kind(code, int(reply[1]) if reply else 0, said), code, answer)


def quoted(words: str) -> str:
    """Return the line of a text in which a server answered, as far as can be told; else its last lines."""
    lines = [" ".join(line.split()) for line in words.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if _REPLY.search(line) or _STATUS.search(line):
            return " ".join(lines[place : place + 3])[:1_000]
    return " ".join(lines[-3:])[:1_000]


def is_final(answer: str) -> bool:
    """Say whether a server's words refuse for good, or that it has given up."""
    reply, found = _REPLY.search(answer), _STATUS.search(answer)
    return bool((reply and reply[1].startswith("5")) or (found and found[1] == "5") or _GIVEN_UP.search(answer))


_GIVEN_UP = re.compile(r"time-?out exceeded|giving up|too (?:long|many (?:attempts|retries))|expired", re.IGNORECASE)


def _kind(status: str, reply: int, said: str) -> BounceKind:
    plain = re.sub(r"^[45]\d\d[ -]+", "", said)
    if reply >= 500 or status.startswith("5"):
        text = f"{status} {plain}" if status and not _STATUS.match(plain) else plain
        if _GONE.search(text) or refusals.mailbox_is_gone(max(reply, 500) if reply else 550, text):
            return BounceKind.HARD
    subject, _dot, detail = status[2:].partition(".")
    if f"{subject}.{detail}" in _TOO_LARGE:
        return BounceKind.POLICY
    if refusals.names_the_recipient(plain):
        return BounceKind.SOFT
    if subject in _NOT_THE_MAILBOX or _OF_THE_LETTER.search(said):
        return BounceKind.POLICY
    return BounceKind.POLICY if refusals.about("DATA", reply or 550, said) is About.US else BounceKind.SOFT
