"""Postal, a mail server of one's own: whole letters in base64. Every answer has status 200; its body says more.

https://docs.postalserver.io/developer/api, and app/controllers/legacy_api/ in Postal's repository for the codes.
"""

import base64
import json

from dispatcher.providers.base import Letter, in_ascii
from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request

TAKEN = "success"
REFUSED = ("error", "parameter-error")
MEANINGS = {
    "AccessDenied": Meaning.TOKEN,
    "InvalidServerAPIKey": Meaning.TOKEN,
    "ServerSuspended": Meaning.ACCOUNT,
    "UnauthenticatedFromAddress": Meaning.SENDER,
}


class Postal(Dialect):
    """The envelope and all headers of the letter stay."""

    token_header = "X-Server-API-Key"  # noqa: S105

    def request(self, letter: Letter) -> Request:
        fields = {
            "mail_from": in_ascii(letter.sender),
            "rcpt_to": [in_ascii(letter.recipient)],
            "data": base64.b64encode(letter.content).decode(),
            "bounce": False,
        }
        return Request(json.dumps(fields, ensure_ascii=False).encode())

    def meaning(self, answer: Answer) -> Meaning | None:
        if not answer.succeeded:
            return None
        data = _data(answer)
        if answer.fields.get("status") == TAKEN and (data.get("message_id") or data.get("messages")):
            return Meaning.TAKEN
        if answer.fields.get("status") not in REFUSED:
            raise answer.unreadable
        return MEANINGS.get(str(data.get("code")), Meaning.UNCLEAR)

    def explains(self, answer: Answer) -> bool:
        return answer.fields.get("status") in REFUSED

    def words(self, answer: Answer) -> str:
        told = [_data(answer).get(name) for name in ("code", "message")]
        return ": ".join(filter(None, map(str, filter(None, told)))) or super().words(answer)

    def name(self, answer: Answer) -> str:
        return str(_data(answer).get("message_id") or "")


def _data(answer: Answer) -> dict[str, object]:
    data = answer.fields.get("data")
    return data if isinstance(data, dict) else {}
