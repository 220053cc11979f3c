"""What a mail that came back says: a bounce (RFC 3464, or as older servers write it), or a complaint (RFC 5965).

It comes from anybody, may be broken in any way, and is not believed about which letter it means: that is for its
address to say (receiving.py), or for an address of ours inside it. What is neither of the two says nothing: somebody's
absence, a delay, thanks.
"""

from __future__ import annotations

import email
import email.policy
import logging
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from itertools import chain
from typing import NamedTuple

from flufl.bounce import all_failures

from dispatcher.providers import refusals
from dispatcher.providers.base import About
from vestnik.mailings.ledger.models import BounceKind, EventKind

LOOKED_AT = 512 * 1024
"""Bytes of a mail that are read: reports stand at its beginning, and what they are about behind them."""
MOST_PARTS = 30
"""Parts of one mail that are looked at."""
MOST_TEXT = 20_000
"""Characters of a text that is searched for a code."""

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # lines for each form that it tries, and its own faults

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLY = re.compile(r"(?<![\d.-])([45]\d\d)(?=[ -])")
_TYPED = re.compile(r"\s*[\w-]{1,40}\s*;\s*", re.ASCII)
_COMPLAINTS = frozenset({"abuse", "fraud"})
_OURS = ("original-mail-from", "return-path", "list-unsubscribe", "x-original-mail-from", "errors-to")

_HEADERS = ("text/rfc822-headers", "message/feedback-report", "message/rfc822-headers")
_ADDRESS = re.compile(r"[\w.+=-]{1,64}@[\w.-]{1,253}", re.ASCII)

_MAIL_SERVER = re.compile(
    r"mailer[-_ ]?daemon|postmaster|mail delivery (?:sub)?system|mail ?system|mail administrator", re.I
)
_DELAY = re.compile(
    r"\bdelay|\bwarning\b|not (?:yet )?been deliver\w+ (?:yet|after)"
    r"|will (?:be retried|continue|keep|try again)"
    r"|(?:still|keep) (?:be )?(?:trying|retried)|no action is required|do not need to re-?send"
    r"|задерж|повторн\w+ попыт",
    re.I,
)
_GIVEN_BACK = re.compile(
    r"^[ >*-]*(?:this is a copy of|original message|message headers? follow|below this line is a copy|the text of the"
    r" original|return-path:|received: from|message-id:|-----BEGIN|--- (?:the )?(?:original|message|header))",
    re.I | re.M,
)
"""What stands before the letter that is given back."""

_NOT_THE_MAILBOX = frozenset({"6", "7"})
"""Subjects of status codes (RFC 3463, 3): the content, security and policy."""
_TOO_LARGE = "3.4"


class Reading(NamedTuple):
    """What a mail says of one letter."""

    kind: EventKind
    bounce: BounceKind | None
    status: str
    answer: str


class Mail:
    """A mail that came back, taken apart once. Raises nothing, whatever is in it."""

    def __init__(self, source: bytes) -> None:
        try:
            self._message = email.message_from_bytes(source[:LOOKED_AT], policy=email.policy.compat32)
            self._parts = list(_parts(self._message))
        except Exception:  # noqa: BLE001  (the parser has many ways to give a hostile mail up)
            self._message, self._parts = Message(), []

    def read(self) -> Reading | None:
        """Return what it says; None if it is neither a bounce nor a complaint."""
        try:
            return self._complaint() or self._bounce()
        except Exception:  # noqa: BLE001  (the same)
            return None

    def addresses(self) -> Iterator[str]:
        """Yield what may be addresses of ours in the letter that it encloses, and in the report on it."""
        for part in self._parts:
            for fields in (part, *(_blocks(part) if part.get_content_type() in _HEADERS else ())):
                for name in _OURS:
                    for value in fields.get_all(name, [])[:5]:
                        yield from _ADDRESS.findall(str(value)[:2_000])[:10]

    @property
    def encloses_a_letter(self) -> bool:
        """Whether a letter, or its headers, came with it."""
        return any(part.get_content_type() in ("message/rfc822", "text/rfc822-headers") for part in self._parts)

    @property
    def answers_itself(self) -> bool:
        """Whether a program wrote it as an answer, as while somebody is away (RFC 3834)."""
        said = _line(self._message.get("Auto-Submitted", "")).lower()
        older = ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress")
        precedence = _line(self._message.get("Precedence", "")).lower()
        return said.startswith("auto-replied") or precedence == "auto_reply" or any(map(self._message.get, older))

    def _complaint(self) -> Reading | None:
        for part in self._parts:
            if part.get_content_type() != "message/feedback-report":
                continue
            for fields in _blocks(part):
                kind = _line(fields.get("Feedback-Type", "")).lower()
                if kind in _COMPLAINTS:
                    by = _line(fields.get("User-Agent", "") or fields.get("Reporting-MTA", ""))
                    return Reading(EventKind.COMPLAINED, None, "", f"{kind} ({by})" if by else kind)
        return None

    def _bounce(self) -> Reading | None:
        reported = [part for part in self._parts if part.get_content_type() == "message/delivery-status"]
        for fields in chain.from_iterable(map(_blocks, reported)):
            action, status = _line(fields.get("Action", "")).lower(), _line(fields.get("Status", ""))
            if action == "failed" or (not action and status.startswith("5")):
                return _failed(status, _line(fields.get("Diagnostic-Code", "")))
        if reported:  # a delay, or that it was passed on
            return None
        if not self._is_of_a_mail_server() and (self.answers_itself or not any(all_failures(self._message))):
            return None
        words = self._words()
        if _DELAY.search(f"{self._subject()} {words}"):
            return None
        answer = _quoted(words)
        found = _STATUS.search(answer) or _STATUS.search(words)
        if not answer or (found and found[1] == "2"):  # it says nothing, or that the letter arrived
            return None
        return _failed(found[0] if found else "", answer)

    def _is_of_a_mail_server(self) -> bool:
        """Say whether it calls itself a bounce, without the form of one (Exim, Mail.ru, OpenSMTPD, qmail …)."""
        sender = _line(self._message.get("From", ""))
        return "X-Failed-Recipients" in self._message or bool(_MAIL_SERVER.search(sender))

    def _subject(self) -> str:
        written = _line(self._message.get("Subject", ""))
        try:
            return f"{written} {make_header(decode_header(written))}"
        except (LookupError, ValueError):  # in an alphabet that is none
            return written

    def _words(self) -> str:
        """Return what it says itself, up to the letter that it gives back."""
        texts = [part for part in self._parts if part.get_content_type() == "text/plain"]
        return _GIVEN_BACK.split(_text(texts[0]), maxsplit=1)[0] if texts else ""


def _quoted(words: str) -> str:
    """Return the line in which a server answered, as far as can be told; the last lines where none has a code."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if _REPLY.search(line) or _STATUS.search(line):
            return _line(" ".join(lines[place : place + 3]))
    return _line(" ".join(lines[-3:]))


def _failed(status: str, diagnostic: str) -> Reading:
    """Return what a server's last word means: its own reply, where there is one, tells more than the report's code."""
    answer = _TYPED.sub("", diagnostic, count=1) if _TYPED.match(diagnostic) else diagnostic
    reply = _REPLY.search(answer[:300])
    said = answer[reply.start() :] if reply else answer
    found = _STATUS.search(said[:300]) or _STATUS.search(status)
    code = found[0] if found else ""
    return Reading(EventKind.BOUNCED, _kind(code, int(reply[1]) if reply else 0, said), code, answer)


def _kind(status: str, reply: int, said: str) -> BounceKind:
    """Return what a code and the words beside it say of the address. In doubt it is a soft bounce: three agree."""
    if reply >= 500 or status.startswith("5"):
        text = re.sub(r"^[45]\d\d[ -]+", "", said)
        if status and not _STATUS.match(text):
            text = f"{status} {text}"
        if refusals.mailbox_is_gone(max(reply, 500) if reply else 550, text):
            return BounceKind.HARD
    subject, _dot, detail = status[2:].partition(".")
    if subject in _NOT_THE_MAILBOX or f"{subject}.{detail}" == _TOO_LARGE:
        return BounceKind.POLICY
    if refusals.about("DATA", reply or 550, said) is About.US:
        return BounceKind.POLICY
    return BounceKind.SOFT


def _parts(message: Message) -> Iterator[Message]:
    for number, part in enumerate(message.walk()):
        if number >= MOST_PARTS:
            return
        yield part


def _blocks(part: Message) -> Iterator[Message]:
    """Yield the groups of fields of a report, which the parser makes messages of, or leaves as text."""
    payload = part.get_payload()
    if isinstance(payload, list):
        for block in payload[:MOST_PARTS]:
            if isinstance(block, Message):
                yield block
                inside = block.get_payload()
                if isinstance(inside, str) and ":" in inside:  # fields after an empty line
                    yield email.message_from_string(inside[:MOST_TEXT].lstrip(), policy=email.policy.compat32)
    else:
        yield email.message_from_string(_text(part).lstrip(), policy=email.policy.compat32)


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    octets = payload if isinstance(payload, bytes) else b""
    return octets[:MOST_TEXT].decode("utf-8", "replace")


def _line(value: object) -> str:
    """Return a header's value on one line, printable."""
    text = " ".join(str(value)[:4_000].split())
    return "".join(each for each in text if each.isprintable())[:1_000]
