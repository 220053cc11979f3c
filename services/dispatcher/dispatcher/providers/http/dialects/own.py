"""The HTTP API of docs/http_api.md, for services that are written for Vestnik."""

import base64
import json
from pathlib import Path

import fastjsonschema

from dispatcher.providers.base import Letter, in_ascii
from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request, Unreadable, on_one_line

_fitting = fastjsonschema.compile(json.loads(Path(__file__).with_name("answer.schema.json").read_text()))


class Own(Dialect):
    """Whole letters in base64, and an answer of which a schema is kept."""

    idempotent = True

    def credentials(self, token: str) -> str:
        return f"Bearer {token}"

    def request(self, letter: Letter) -> Request:
        fields = {"id": letter.key, "sender": in_ascii(letter.sender), "recipient": in_ascii(letter.recipient)}
        message = base64.b64encode(letter.content).decode()
        body = json.dumps({**fields, "message": message}, ensure_ascii=False).encode()
        return Request(body, headers={"Idempotency-Key": letter.key})

    def meaning(self, answer: Answer) -> Meaning | None:
        if not answer.succeeded:
            return None
        if answer.trouble:
            raise Unreadable(answer.trouble)
        try:
            _fitting(answer.value)
        except fastjsonschema.JsonSchemaValueException as error:
            raise Unreadable(f"not as the schema demands ({error.message}): {on_one_line(answer.text)}") from None
        return Meaning.TAKEN
