"""Postmark: the service composes the letter. A letter is taken by 200 with ErrorCode 0 in the body.

https://postmarkapp.com/developer/api/email-api
https://postmarkapp.com/developer/api/overview (statuses and error codes)
"""

import json
from typing import Any

from dispatcher.providers.base import Letter
from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request
from dispatcher.providers.http.dialects.parts import Parts, taken_apart

LONGEST_METADATA = 80
"""Characters of a value that is told with events."""
MEANINGS = {
    10: Meaning.TOKEN,
    400: Meaning.SENDER,  # no such sender signature; 401: not confirmed
    401: Meaning.SENDER,
    405: Meaning.ACCOUNT,  # not allowed to send: what was paid for is used up
    406: Meaning.RECIPIENT,  # bounced, complained, or unsubscribed before
    412: Meaning.SENDER,  # an account that waits for approval writes to its own domain alone
    413: Meaning.ACCOUNT,
    422: Meaning.ACCOUNT,
    1235: Meaning.ACCOUNT,  # no such message stream; 1236: not one to send by
    1236: Meaning.ACCOUNT,
    1480: Meaning.ACCOUNT,  # not from this IP address
}
TAKEN = 0
INVALID = 300
"""Something in the letter; the words name the field in quotation marks."""
STREAM, TAG, METADATA = "X-PM-Message-Stream", "X-PM-Tag", "X-PM-Metadata-"
"""Headers by which letters over SMTP have options."""


class Postmark(Dialect):
    """The sender of the envelope is Postmark's own; headers stay but for what it composes."""

    token_header = "X-Postmark-Server-Token"  # noqa: S105

    def request(self, letter: Letter) -> Request:
        parts = taken_apart(letter)
        options = {
            "MessageStream": parts.taken(STREAM),
            "Tag": parts.taken(TAG),
            "ReplyTo": ", ".join(each.written() for each in parts.reply_to),
            "TextBody": parts.text,
            "HtmlBody": parts.html,
        }
        metadata = _metadata(letter, parts)
        fields: dict[str, Any] = {
            "From": parts.sender.written(),
            "To": parts.recipient.written(),
            "Subject": parts.subject,
            **{name: value for name, value in options.items() if value},
            "Metadata": metadata,
            "Headers": [
                {"Name": name, "Value": value} for name, value in {**parts.headers, "X-PM-KeepID": "true"}.items()
            ],
        }
        return Request(json.dumps(fields).encode())

    def meaning(self, answer: Answer) -> Meaning | None:
        code = _code(answer)
        if answer.succeeded:
            if code is None:
                raise answer.unreadable
            if code == TAKEN:
                return Meaning.TAKEN
        elif not code or answer.status not in (401, 422):
            return None
        return _of_the_field(self.words(answer)) if code == INVALID else MEANINGS.get(code, Meaning.UNCLEAR)

    def explains(self, answer: Answer) -> bool:
        return bool(_code(answer)) and isinstance(answer.fields.get("Message"), str)

    def words(self, answer: Answer) -> str:
        code, said = answer.fields.get("ErrorCode"), answer.fields.get("Message")
        return f"{code}: {said}" if isinstance(said, str) and code is not None else super().words(answer)

    def name(self, answer: Answer) -> str:
        return str(answer.fields.get("MessageID") or "")


def _code(answer: Answer) -> int | None:
    """Return the whole number that its page promises; None for any other value, such as "0" or 0.0."""
    code = answer.fields.get("ErrorCode")
    return code if type(code) is int else None


def _metadata(letter: Letter, parts: Parts) -> dict[str, str]:
    """Return what is told with events: our name for the letter, and what headers say."""
    named = [each for each in parts.headers if each.lower().startswith(METADATA.lower())]
    told = {each[len(METADATA) :]: parts.taken(each) for each in named}
    return {"letter": letter.key, **told} if len(letter.key) <= LONGEST_METADATA else told


def _of_the_field(said: str) -> Meaning:
    if "'To'" in said:
        return Meaning.RECIPIENT
    return Meaning.SENDER if "'From'" in said else Meaning.UNCLEAR
