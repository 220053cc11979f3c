"""What a mail that came back says: a bounce (RFC 3464, or as older servers write it), or a complaint (RFC 5965).

It comes from anybody, may be broken in any way, and is not believed about which letter it means: that is for its
address to say (receiving.py), or for an address of ours inside it. What is neither of the two says nothing: somebody's
absence, a delay, a receipt, thanks. What a server's words mean is meaning.py's to say.
"""

from __future__ import annotations

import email
import email.policy
import logging
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from itertools import chain, islice
from typing import NamedTuple

from flufl.bounce import all_failures

from dispatcher.bounces import meaning
from vestnik.mailings.ledger.models import BounceKind, EventKind

LOOKED_AT = 128 * 1024
"""Bytes of a mail that are read: reports stand at its beginning, and what they are about behind them."""
MOST_PARTS = 30
"""Parts of one mail that are looked at, and so many may be nested: the parser takes a while for each."""
MOST_TEXT = 20_000
"""Characters of a text that is read."""
MOST_THOUGHT_ABOUT = 6_000
"""Characters of it that are given to the library which knows unusual forms."""
MOST_ADDRESSES = 20
LONGEST_KIND = 2_000
"""Bytes of a header in which a part says what it is."""

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # lines for each form that it tries, and its own faults

_NESTS = re.compile(rb"boundary[\s*\d]{0,9}=|message/rfc822", re.IGNORECASE)
_KIND = re.compile(rb"^content-[a-z-]{1,30}:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
_COMPLAINTS = frozenset({"abuse", "fraud"})
_REPORTS = frozenset({"message/feedback-report", "message/delivery-status", "message/disposition-notification"})
_HEADERS = ("text/rfc822-headers", "message/feedback-report", "message/rfc822-headers")
_OURS = ("original-mail-from", "return-path", "list-unsubscribe", "x-original-mail-from", "errors-to")
_ADDRESS = re.compile(r"[\w.+=-]{1,64}@[\w.-]{1,253}", re.ASCII)
_MAIL_SERVER = re.compile(r"mailer[-_ ]?daemon|mail ?delivery|mail ?system|mail ?administrator", re.IGNORECASE)
_PERHAPS_A_PERSON = re.compile(r"postmaster", re.IGNORECASE)
_DELAY = re.compile(
    r"\bdelay|\bwarning\b|not (?:yet )?been deliver\w+ (?:yet|after)"
    r"|(?:will|to) (?:be retried|continue|keep|(?:re)?try|attempt)|attempt again"
    r"|(?:still|keep) (?:be )?(?:trying|retried)"
    r"|no action is required|do not need to re-?send|noch nicht|weitere zustellversuche"
    r"|задерж|попробу\w+|попыт\w+ (?:будут|доставки прод)|повторн\w+ попыт",
    re.IGNORECASE,
)
_ARRIVED = re.compile(r"success\w* (?:deliver|relay)\w+|was deliver\w+ (?:success|to)|успешно доставлен", re.IGNORECASE)
_GIVEN_BACK = re.compile(
    r"^[ >*-]*(?:(?:this|below|here) is a copy of|below this line is a copy"
    r"|(?:the )?original message(?: follows|:|[ \t]*-|[ \t]*$)"
    r"|message headers? follow|the text of the original|return-path:|received: from|message-id:|-----BEGIN"
    r"|--- (?:the )?(?:original|message|header)|исходное сообщение|копия (?:вашего )?(?:письма|сообщения))",
    re.IGNORECASE | re.MULTILINE,
)
"""What stands before the letter that is given back."""


class Reading(NamedTuple):
    """What a mail says of one letter."""

    kind: EventKind
    bounce: BounceKind | None
    status: str
    answer: str


class Mail:
    """A mail that came back, taken apart once. Raises nothing, whatever is in it."""

    def __init__(self, source: bytes) -> None:
        self._message, self._parts = Message(), list[Message]()
        seen = source[:LOOKED_AT]
        if _would_take_long(seen):
            return
        try:
            self._message = email.message_from_bytes(seen, policy=email.policy.compat32)
            self._parts = list(islice(self._message.walk(), MOST_PARTS))
        except Exception:  # noqa: BLE001  (the parser has many ways to give a hostile mail up)
            self._message, self._parts = Message(), []

    def read(self) -> Reading | None:
        """Return what it says; None if it is neither a bounce nor a complaint."""
        try:
            return self._complaint() or self._bounce()
        except Exception:  # noqa: BLE001  (the same)
            return None

    def addresses(self) -> Iterator[str]:
        """Yield what may be addresses of ours in the letter that it encloses, and in the report on it; not many."""
        return islice(dict.fromkeys(self._addresses()), MOST_ADDRESSES)

    @property
    def is_report(self) -> bool:
        """Whether it is a report on a letter, whatever it says of it."""
        return any(part.get_content_type() in _REPORTS for part in self._parts)

    @property
    def encloses_a_letter(self) -> bool:
        """Whether a letter, or its headers, came with it."""
        return any(part.get_content_type() in ("message/rfc822", "text/rfc822-headers") for part in self._parts)

    @property
    def answers_itself(self) -> bool:
        """Whether a program wrote it as an answer, as while somebody is away (RFC 3834)."""
        said = _field(self._message, "auto-submitted").lower()
        older = _field(self._message, "x-autoreply") or _field(self._message, "x-autorespond")
        return said.startswith("auto-replied") or bool(older) or _field(self._message, "precedence") == "auto_reply"

    def _addresses(self) -> Iterator[str]:
        for part in self._parts:
            for fields in (part, *(_blocks(part) if part.get_content_type() in _HEADERS else ())):
                for name in _OURS:
                    yield from _ADDRESS.findall(_field(fields, name)[:2_000])[:MOST_ADDRESSES]

    def _complaint(self) -> Reading | None:
        reported = [part for part in self._parts if part.get_content_type() == "message/feedback-report"]
        for fields in chain.from_iterable(map(_blocks, reported)):
            kind = _field(fields, "feedback-type").lower()
            if kind in _COMPLAINTS:
                by = _field(fields, "user-agent") or _field(fields, "reporting-mta")
                return Reading(EventKind.COMPLAINED, None, "", f"{kind} ({by})" if by else kind)
        return None

    def _bounce(self) -> Reading | None:
        reported = [part for part in self._parts if part.get_content_type() == "message/delivery-status"]
        for fields in chain.from_iterable(map(_blocks, reported)):
            action, status = _field(fields, "action").lower(), _field(fields, "status")
            if action.startswith("fail") or (not action and status.startswith("5")):
                return _failed(status, _field(fields, "diagnostic-code"))
        if self.is_report:  # a delay, a receipt, or that it was passed on
            return None
        words = self._words()
        if not self._is_of_a_mail_server() and (self.answers_itself or not any(all_failures(self._shortened(words)))):
            return None
        answer = meaning.quoted(words)
        if not answer or _ARRIVED.search(words):
            return None
        if not meaning.is_final(answer) and _DELAY.search(f"{self._subject()} {words}"):
            return None
        return _failed("", answer)

    def _is_of_a_mail_server(self) -> bool:
        """Say whether it calls itself a bounce, without the form of one: Exim, Mail.ru, OpenSMTPD, qmail …

        Some call it an automatic answer; what does so and comes from a postmaster may be somebody's absence.
        """
        if _field(self._message, "x-failed-recipients") or self._message.get_param("report-type") == "delivery-status":
            return True
        name, address = parseaddr(_field(self._message, "from"))
        said = f"{name} {address.partition('@')[0]}"
        return bool(_MAIL_SERVER.search(said) or (_PERHAPS_A_PERSON.search(said) and not self.answers_itself))

    def _shortened(self, words: str) -> Message:
        """Return the same with its first words alone: of a long one the library would think for seconds."""
        heads = "".join(f"{name}: {_field(self._message, name)}\n" for name in ("From", "To", "Subject"))
        return email.message_from_string(f"{heads}\n{words[:MOST_THOUGHT_ABOUT]}", policy=email.policy.compat32)

    def _subject(self) -> str:
        written = _field(self._message, "subject")
        try:
            return f"{written} {make_header(decode_header(written))}"
        except (LookupError, ValueError):  # in an alphabet that is none
            return written

    def _words(self) -> str:
        """Return what it says itself, up to the letter that it gives back."""
        texts = [part for part in self._parts if part.get_content_type() == "text/plain"]
        if not texts and isinstance(self._message.get_payload(), str):  # of parts that cannot be told apart, or HTML
            texts = [self._message]
        return _GIVEN_BACK.split(_text(texts[0]), maxsplit=1)[0] if texts else ""


def _would_take_long(source: bytes) -> bool:
    """Say whether the parser would think for seconds: about parts in parts, or about what a part calls itself."""
    nested = sum(1 for _ in islice(_NESTS.finditer(source), MOST_PARTS + 1))
    return nested > MOST_PARTS or any(len(found[0]) > LONGEST_KIND for found in _KIND.finditer(source))


def _failed(status: str, diagnostic: str) -> Reading:
    said = meaning.of(status, diagnostic)
    return Reading(EventKind.BOUNCED, said.bounce, said.status, said.answer)


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
    try:
        return octets[:MOST_TEXT].decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return octets[:MOST_TEXT].decode("utf-8", "replace")


def _field(message: Message, name: str) -> str:
    """Return a header on one line, printable; what is not ASCII in it is taken for UTF-8. Empty if there is none."""
    for key, value in message.raw_items():
        if key.lower() == name.lower():
            raw = str(value)[:4_000].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            return "".join(each for each in " ".join(raw.split()) if each.isprintable())[:1_000]
    return ""
