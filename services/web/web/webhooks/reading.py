"""What an event of a mail service says of a letter. Services name things in their own ways; django-anymail has one."""

from __future__ import annotations

import json
from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason

from vestnik import addresses
from vestnik.mail import status_codes
from vestnik.mail.status_codes import CODE
from vestnik.mailings.ledger.events import Report
from vestnik.mailings.ledger.models import BounceKind, EventKind

_HARD = frozenset(
    {
        *("hardbounce", "bademailaddress", "hard_bounce", "invalid_email", "err_user_unknown", "err_user_inactive"),
        *("noemail", "onaccountsuppressionlist"),
    }
)
"""Words by which services say, each in its own, that there is no such mailbox …"""
_AMAZONS_HARD = frozenset({"permanent", "general"})
"""… and those that say it together."""
_NOT_SENT = frozenset({"suppress-unsubscribe", "suppress-complaint"})
"""Mailgun's words for what it keeps back, since somebody said so before."""
POSTAL = "Postal"
MOST_VALUES = 500


def as_text(event: AnymailTrackingEvent) -> str:
    """Return all that the service said, in one text, in which a letter may be named."""
    said = json.dumps(event.esp_event, default=str, ensure_ascii=False)
    return f"{event.message_id} {json.dumps(event.metadata, default=str)} {said}"


def recipient(event: AnymailTrackingEvent) -> str:
    """Return whom the letter went to, as letters have it; empty if it is no address."""
    try:
        return addresses.normalise(str(event.recipient or ""))
    except addresses.InvalidAddress:
        return ""


def report(event: AnymailTrackingEvent, provider: str) -> Report | None:
    """Return what the event says of its letter; None if it is neither a bounce nor a complaint.

    A filter's word that a letter is spam is no complaint of its reader, and what the service did not send is no bounce.
    """
    kind, reason = event.event_type, event.reject_reason
    words = {value.lower() for value in _values(event.esp_event)}
    if kind == EventType.COMPLAINED and "spamnotification" not in words:
        return Report(kind=EventKind.COMPLAINED, source=provider, answer=_words(event))
    failed = kind == EventType.FAILED and provider == POSTAL
    listed = kind == EventType.REJECTED and reason in (RejectReason.BOUNCED, RejectReason.INVALID)
    if not (kind in (EventType.BOUNCED, EventType.COMPLAINED) or failed or listed):
        return None
    if reason == RejectReason.UNSUBSCRIBED or not _NOT_SENT.isdisjoint(words):
        return None
    answer = _words(event)
    found = CODE.search(answer)
    status = found[0] if found else _own_status(event.esp_event)
    bounce = BounceKind.POLICY if kind == EventType.COMPLAINED else _kind(status, reason, answer, words, listed)
    return Report(kind=EventKind.BOUNCED, bounce=bounce, status=status, answer=answer, source=provider)


def _kind(status: str, reason: str | None, answer: str, words: set[str], listed: bool) -> BounceKind:
    if status.startswith("5") and status_codes.without_class(status) in status_codes.GONE:
        return BounceKind.HARD
    if status_codes.is_about_the_letter(status, answer):
        return BounceKind.POLICY
    if reason in (RejectReason.SPAM, RejectReason.BLOCKED):
        return BounceKind.POLICY
    said_hard = listed or reason == RejectReason.INVALID or not _HARD.isdisjoint(words) or words >= _AMAZONS_HARD
    return BounceKind.HARD if said_hard and not status.startswith(("4.", "5.2.")) else BounceKind.SOFT


def _own_status(said: Any) -> str:
    """Return the code that a service gives beside the words, in a field that is for it."""
    found = CODE.fullmatch(str(said.get("status", "")).strip()) if isinstance(said, dict) else None
    return found[0] if found else ""


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
