"""UniSender Go: the service composes the letter. A letter is taken by "success", unless its recipient failed.

https://godocs.unisender.ru/web-api-ref#email-send (UniOne is the same service: https://docs.unione.io/en/api-errors)
"""

import hashlib
import json
from typing import Any

from dispatcher.providers.base import Letter
from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request, are_names, is_name
from dispatcher.providers.http.dialects.parts import taken_apart

LONGEST_KEY = 64
LONGEST_NAME = 78
OPTIONS = "X-UNISENDER-GO"
"""The header by which letters over SMTP have options: an object of the message's further fields."""
TAKEN, REFUSED = "success", "error"
FAILED = {
    "temporary_unavailable": Meaning.LATER,
    "duplicate": Meaning.TAKEN,
}
"""Of a recipient that failed; all others are refused for good."""
NOBODY_LEFT = 204
"""The code of an answer where every recipient failed."""
MEANINGS = {
    **dict.fromkeys((101, 102, 114), Meaning.TOKEN),
    **dict.fromkeys((105, 106, 215, 229, 230, 901, 902, 904, 905, 1575, 1587, 1588, 1599), Meaning.ACCOUNT),
    **dict.fromkeys((205, 206, 903, 1574, 1598), Meaning.SENDER),
    NOBODY_LEFT: Meaning.RECIPIENT,
    1573: Meaning.TAKEN,  # the same idempotence key, a minute ago at most
}


class UnisenderGo(Dialect):
    """The sender of the envelope and the Message-ID are the service's own; of other headers only X-… stay."""

    token_header = "X-API-KEY"  # noqa: S105

    def request(self, letter: Letter) -> Request:
        parts = taken_apart(letter)
        options = _options(parts.taken(OPTIONS))
        bodies = {"html": parts.html, "plaintext": parts.text}
        message: dict[str, Any] = {
            "template_engine": "none",
            **options,
            "recipients": [
                {
                    "email": parts.recipient.address,
                    "substitutions": {"to_name": parts.recipient.name[:LONGEST_NAME]} if parts.recipient.name else {},
                    "metadata": {"letter": letter.key},
                }
            ],
            "subject": parts.subject,
            "from_email": parts.sender.address,
            "from_name": parts.sender.name,
            "body": {name: text for name, text in bodies.items() if text},
            "headers": parts.headers,
            "idempotence_key": _key(letter),
        }
        if parts.reply_to:
            message |= {"reply_to": parts.reply_to[0].address, "reply_to_name": parts.reply_to[0].name}
        return Request(json.dumps({"message": message}).encode())

    def meaning(self, answer: Answer) -> Meaning | None:
        if answer.status == 429 or answer.status >= 500:
            return None
        if answer.succeeded and answer.fields.get("status") not in (TAKEN, REFUSED):
            raise answer.unreadable
        if not answer.fields.get("emails") and (reasons := _reasons(answer)):
            return FAILED.get(reasons[0], Meaning.RECIPIENT)
        if answer.succeeded and answer.fields["status"] == TAKEN:
            if _is_taken(answer):
                return Meaning.TAKEN
            raise answer.unreadable
        code = answer.fields.get("code")
        known = MEANINGS.get(code) if type(code) is int else None
        return known or (Meaning.UNCLEAR if answer.succeeded else None)

    def explains(self, answer: Answer) -> bool:
        return answer.fields.get("status") == "error" and isinstance(answer.fields.get("code"), int)

    def words(self, answer: Answer) -> str:
        code, said = answer.fields.get("code"), answer.fields.get("message")
        told = f"{code}: {said}" if isinstance(said, str) and code is not None else ""
        return " / ".join(filter(None, (told, *_reasons(answer)))) or super().words(answer)

    def name(self, answer: Answer) -> str:
        return str(answer.fields.get("job_id") or "")


def _is_taken(answer: Answer) -> bool:
    """Say whether a success names the recipient among those who are written to, or a job and nobody who failed."""
    alone = not answer.fields.keys() & {"emails", "failed_emails"}
    return are_names(answer.fields.get("emails")) or (alone and is_name(answer.fields.get("job_id")))


def _reasons(answer: Answer) -> list[str]:
    """Return why recipients failed: an empty text where only their addresses are told."""
    failed = answer.fields.get("failed_emails")
    if isinstance(failed, list) and are_names(failed):
        return [""] * len(failed)
    reasons = list(failed.values()) if isinstance(failed, dict) else []
    return reasons if are_names(reasons) else []


def _key(letter: Letter) -> str:
    return letter.key if len(letter.key) <= LONGEST_KEY else hashlib.sha256(letter.key.encode()).hexdigest()


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text or "{}")
    except ValueError:
        return {}
    return options if isinstance(options, dict) else {}
