"""Brevo, v3: the service composes the letter. A letter is taken by a messageId.

https://developers.brevo.com/reference/send-transac-email
https://developers.brevo.com/docs/how-it-works (codes), https://developers.brevo.com/docs/limit-headers
"""

import html
import json
from typing import Any

from dispatcher.providers.base import Letter
from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request, are_names, is_name
from dispatcher.providers.http.dialects.parts import taken_apart

LONGEST_NAME = 70
EVENTS = "X-Mailin-custom"
"""The header that is told with events."""
MEANINGS = {
    "duplicate_request": Meaning.TAKEN,  # by the same idempotency key, a quarter of an hour ago at most
    "unauthorized": Meaning.TOKEN,
    "permission_denied": Meaning.ACCOUNT,
    "reseller_permission_denied": Meaning.ACCOUNT,
    "not_enough_credits": Meaning.ACCOUNT,
    "account_under_validation": Meaning.ACCOUNT,
}


class Brevo(Dialect):
    """The sender of the envelope and the Message-ID are Brevo's own; its page promises to keep no standard headers."""

    token_header = "api-key"  # noqa: S105

    def request(self, letter: Letter) -> Request:
        parts = taken_apart(letter, only_ascii=False)
        events = parts.taken(EVENTS) or json.dumps({"letter": letter.key})
        fields: dict[str, Any] = {
            "sender": parts.sender.fields(longest=LONGEST_NAME),
            "to": [parts.recipient.fields(longest=LONGEST_NAME)],
            "subject": parts.subject,
            "htmlContent": parts.html or _as_html(parts.text),
            **({"textContent": parts.text} if parts.text else {}),
            **({"replyTo": parts.reply_to[0].fields(longest=LONGEST_NAME)} if parts.reply_to else {}),
            "headers": {**parts.headers, EVENTS: events, "Idempotency-Key": letter.key},
        }
        return Request(json.dumps(fields).encode())

    def meaning(self, answer: Answer) -> Meaning | None:
        if answer.succeeded:
            if not (is_name(answer.fields.get("messageId")) or are_names(answer.fields.get("messageIds"))):
                raise answer.unreadable
            return Meaning.TAKEN
        if answer.status == 429 or answer.status >= 500:
            return None
        code, said = answer.fields.get("code"), self.words(answer).lower()
        if code == "invalid_parameter" and said.endswith(" in to"):
            return Meaning.RECIPIENT
        if code in ("invalid_parameter", "missing_parameter") and "sender" in said:
            return Meaning.SENDER
        return MEANINGS.get(code) if isinstance(code, str) else None

    def explains(self, answer: Answer) -> bool:
        return all(isinstance(answer.fields.get(name), str) for name in ("code", "message"))

    def words(self, answer: Answer) -> str:
        code, said = answer.fields.get("code"), answer.fields.get("message")
        return f"{code}: {said}" if isinstance(code, str) and isinstance(said, str) else super().words(answer)

    def name(self, answer: Answer) -> str:
        return str(answer.fields.get("messageId") or "")

    def wait(self, answer: Answer) -> str:
        return answer.headers.get("x-sib-ratelimit-reset", "") or super().wait(answer)


def _as_html(text: str) -> str:
    """Return a text as a page: letters without one are refused."""
    return f'<html><body><div style="white-space: pre-wrap">{html.escape(text)}</div></body></html>'
