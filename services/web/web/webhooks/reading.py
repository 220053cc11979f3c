"""What an event of a mail service says of a letter. Services name things in their own ways; django-anymail has one."""

from __future__ import annotations

import json
import re
from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason

from vestnik.mailings.ledger.events import Report
from vestnik.mailings.ledger.models import BounceKind, EventKind

_STATUS = re.compile(r"(?<![\d.])([45])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_GONE = frozenset({"5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_NOT_THE_MAILBOX = frozenset({"6", "7"})
_HARD = frozenset(
    {
        *("hardbounce", "bademailaddress", "hard_bounce", "invalid_email", "err_user_unknown", "err_user_inactive"),
        *("noemail", "onaccountsuppressionlist"),
    }
)
_AMAZONS_HARD = frozenset({"permanent", "general"})
"""Words by which services say, each in its own, that there is no such mailbox."""
MOST_VALUES = 500


def as_text(event: AnymailTrackingEvent) -> str:
    """Return all that the service said, in one text, in which a letter may be named."""
    said = json.dumps(event.esp_event, default=str, ensure_ascii=False)
    return f"{event.message_id} {json.dumps(event.metadata, default=str)} {said}"


def report(event: AnymailTrackingEvent, provider: str) -> Report | None:
    """Return what the event says of its letter; None if it is neither a bounce nor a complaint."""
    kind, reason = event.event_type, event.reject_reason
    if kind == EventType.COMPLAINED or (kind == EventType.REJECTED and reason == RejectReason.SPAM):
        return Report(kind=EventKind.COMPLAINED, source=provider, answer=_words(event))
    listed = kind == EventType.REJECTED and reason in (RejectReason.BOUNCED, RejectReason.INVALID)
    if not listed and kind not in (EventType.BOUNCED, EventType.FAILED):
        return None
    answer = _words(event)
    found = _STATUS.search(answer) or _STATUS.search(" ".join(_values(event.esp_event)))
    status = found[0] if found else ""
    bounce = BounceKind.HARD if listed else _kind(status, reason, _values(event.esp_event))
    return Report(kind=EventKind.BOUNCED, bounce=bounce, status=status, answer=answer, source=provider)


def _kind(status: str, reason: str | None, values: list[str]) -> BounceKind:
    if status in _GONE or reason == RejectReason.INVALID:
        return BounceKind.HARD
    if status[2:].partition(".")[0] in _NOT_THE_MAILBOX or reason in (RejectReason.SPAM, RejectReason.BLOCKED):
        return BounceKind.POLICY
    words = {value.lower() for value in values}
    said_hard = not _HARD.isdisjoint(words) or words >= _AMAZONS_HARD
    return BounceKind.HARD if said_hard and not status.startswith(("4.", "5.2.")) else BounceKind.SOFT


def _words(event: AnymailTrackingEvent) -> str:
    return " ".join(str(event.mta_response or event.description or "").split())[:1_000]


def _values(said: Any) -> list[str]:
    """Return the texts anywhere in what the service said; not more than there are in any honest event."""
    found: list[str] = []
    waiting = [said]
    while waiting and len(found) < MOST_VALUES:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += list(each.values())[:MOST_VALUES]
        elif isinstance(each, list | tuple):
            waiting += list(each)[:MOST_VALUES]
        elif isinstance(each, str):
            found.append(each[:1_000])
    return found
