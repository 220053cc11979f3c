"""SendGrid, v3: the service composes the letter. A letter is taken by 202, and nothing else is said.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits
"""

import json
import re
from email.utils import formatdate
from typing import Any

from dispatcher.providers.base import Letter
from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request
from dispatcher.providers.http.dialects.parts import taken_apart

TAKEN = 202
"""200 means that a letter is valid and not sent."""
RESERVED = ("x-sg-id", "x-sg-eid")
"""Headers that a letter may not have, beside those that are composed."""
OPTIONS = "X-SMTPAPI"
"""The header by which letters over SMTP have options; of these, what is to be told with events is passed on."""

_NOT_IN_NAMES = re.compile(r"[;,]")


class SendGrid(Dialect):
    """The sender of the envelope is SendGrid's own; headers stay but for what it composes."""

    def credentials(self, token: str) -> str:
        return f"Bearer {token}"

    def request(self, letter: Letter) -> Request:
        parts = taken_apart(letter)
        for name in RESERVED:
            parts.taken(name)
        told = {"letter": letter.key, **_told_with_events(parts.taken(OPTIONS))}
        recipient = parts.recipient.fields()
        if "name" in recipient:
            recipient["name"] = _NOT_IN_NAMES.sub(" ", recipient["name"])
        fields: dict[str, Any] = {
            "personalizations": [{"to": [recipient]}],
            "from": parts.sender.fields(),
            "subject": parts.subject,
            "content": [
                {"type": kind, "value": value}
                for kind, value in (("text/plain", parts.text), ("text/html", parts.html))
                if value
            ],
            "headers": parts.headers,
            "custom_args": told,
        }
        if parts.reply_to:
            fields["reply_to_list"] = [each.fields() for each in parts.reply_to]
        return Request(json.dumps(fields).encode())

    def meaning(self, answer: Answer) -> Meaning | None:
        if answer.status == TAKEN:
            return Meaning.TAKEN
        if answer.status == 401 and "credits" in self.words(answer).lower():
            return Meaning.ACCOUNT
        if answer.status not in (400, 403):
            return None
        places = [str(error.get("field") or "") for error in _errors(answer)]
        if any(place == "from" or place.startswith("from.") for place in places):
            return Meaning.SENDER
        if answer.status == 400 and any(re.match(r"personalizations\.\d+\.to\b", place) for place in places):
            return Meaning.RECIPIENT
        return None

    def explains(self, answer: Answer) -> bool:
        return any(isinstance(error.get("message"), str) for error in _errors(answer))

    def words(self, answer: Answer) -> str:
        told = [str(error["message"]) for error in _errors(answer) if error.get("message")]
        return " / ".join(told) or super().words(answer)

    def name(self, answer: Answer) -> str:
        return answer.headers.get("X-Message-Id", "")

    def wait(self, answer: Answer) -> str:
        """Return the moment that X-RateLimit-Reset names in seconds since 1970, as a date."""
        reset = answer.headers.get("X-RateLimit-Reset", "").strip()
        known = reset.isascii() and reset.isdigit() and len(reset) <= 11
        return formatdate(int(reset), usegmt=True) if known else super().wait(answer)


def _errors(answer: Answer) -> list[dict[str, Any]]:
    errors = answer.fields.get("errors")
    return [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []


def _told_with_events(options: str) -> dict[str, str]:
    try:
        told = json.loads(options or "{}").get("unique_args", {})
        return {str(name): str(value) for name, value in told.items()}
    except (ValueError, AttributeError):
        return {}
