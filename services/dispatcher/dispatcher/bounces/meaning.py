"""What the words of a bounce say of the address, by the rules for refusals at once (providers/refusals.py). No network.

The last server's own reply tells more than the code of the report around it. Hard is only what names a mailbox that is
not there; what is about us or the letter is policy; in doubt a bounce is soft, and several have to agree.
"""

import re
from typing import NamedTuple

from dispatcher.providers import refusals
from dispatcher.providers.base import About
from vestnik.mail import status_codes
from vestnik.mail.status_codes import CODE
from vestnik.mailings.ledger.models import BounceKind

_REPLY = re.compile(r"(?<![\d.:-])([45]\d\d)(?=[ -])")
_TYPED = re.compile(r"\s*[\w-]{1,40}\s*;\s*", re.ASCII)
_BEGINNING = 300
"""Characters in which a reply or a code is looked for."""

_GONE = re.compile(
    r"5\.7\.1 no such user|invalid mailbox\. local mailbox|this user doesn'?t have an? \S{1,60} account", re.IGNORECASE
)
"""How Yandex, Mail.ru and Yahoo say that there is no such mailbox, with codes that say something else."""
_GIVEN_UP = re.compile(r"time-?out exceeded|giving up|too (?:long|many (?:attempts|retries))|expired", re.IGNORECASE)


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
    found = CODE.search(said[:_BEGINNING]) or CODE.search(status[:_BEGINNING])
    code = found[0] if found else ""
    return Meaning(_kind(code, int(reply[1]) if reply else 0, said), code, answer)


def quoted(words: str) -> str:
    """Return the line of a text in which a server answered, as far as can be told; else its last lines."""
    lines = [" ".join(line.split()) for line in words.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if _REPLY.search(line) or CODE.search(line):
            return " ".join(lines[place : place + 3])[:1_000]
    return " ".join(lines[-3:])[:1_000]


def is_final(answer: str) -> bool:
    """Say whether a server's words refuse for good, or that it has given up."""
    reply, found = _REPLY.search(answer), CODE.search(answer)
    return bool((reply and reply[1].startswith("5")) or (found and found[1] == "5") or _GIVEN_UP.search(answer))


def _kind(status: str, reply: int, said: str) -> BounceKind:
    plain = re.sub(r"^[45]\d\d[ -]+", "", said)
    if reply >= 500 or status.startswith("5"):
        text = f"{status} {plain}" if status and not CODE.match(plain) else plain
        if _GONE.search(text) or refusals.mailbox_is_gone(max(reply, 500) if reply else 550, text):
            return BounceKind.HARD
    if status_codes.without_class(status) in status_codes.TOO_LARGE:
        return BounceKind.POLICY
    if refusals.names_the_recipient(plain):
        return BounceKind.SOFT
    if status_codes.is_about_the_letter(status, said):
        return BounceKind.POLICY
    return BounceKind.POLICY if refusals.about("DATA", reply or 550, said) is About.US else BounceKind.SOFT
