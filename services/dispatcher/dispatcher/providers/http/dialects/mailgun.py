"""Mailgun: whole letters, as a file in a form.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages/post-v3--domain-name--messages-mime
https://documentation.mailgun.com/docs/mailgun/quickstart-guide/responses
"""

import base64
import hashlib
import re

from dispatcher.providers.base import Letter, in_ascii
from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request, is_name

USER = "api"

_OUR_DOMAIN = re.compile(r"is not allowed to send|^domain not found")
_ONLY_TO_SOME = "authorized recipients"
_AGAIN_AFTER = re.compile(r"try again after (.{1,60})")


class Mailgun(Dialect):
    """The sender of the envelope is Mailgun's own; all headers of the letter stay."""

    def credentials(self, token: str) -> str:
        return f"Basic {base64.b64encode(f'{USER}:{token}'.encode()).decode()}"

    def request(self, letter: Letter) -> Request:
        boundary = hashlib.sha256(letter.content).hexdigest()  # cannot stand in what it is made of
        field = f'--{boundary}\r\nContent-Disposition: form-data; name="'
        head = (
            f'{field}to"\r\n\r\n{in_ascii(letter.recipient)}\r\n'
            f'{field}message"; filename="letter.eml"\r\nContent-Type: message/rfc822\r\n\r\n'
        )
        body = b"".join((head.encode(), letter.content, f"\r\n--{boundary}--\r\n".encode()))
        return Request(body, f"multipart/form-data; boundary={boundary}")

    def meaning(self, answer: Answer) -> Meaning | None:
        if answer.succeeded:
            if not is_name(answer.fields.get("id")):
                raise answer.unreadable
            return Meaning.TAKEN
        said = self.words(answer).lower()
        if answer.status == 429 or answer.status >= 500:
            return None
        if _ONLY_TO_SOME in said:
            return Meaning.SENDER
        if _OUR_DOMAIN.search(said):
            return Meaning.ACCOUNT
        if "from parameter" in said.replace("'", ""):
            return Meaning.SENDER
        return Meaning.RECIPIENT if "to parameter is not a valid address" in said.replace("'", "") else None

    def explains(self, answer: Answer) -> bool:
        return isinstance(answer.fields.get("message"), str)

    def wait(self, answer: Answer) -> str:
        """Return the date in its words: `request limit exceeded, try again after Mon, 20 Dec 2021 20:33:21 UTC`."""
        found = _AGAIN_AFTER.search(self.words(answer))
        return found[1] if found else super().wait(answer)
