"""The APIs of mail services, written from their pages alone: what they want posted, and what they answer.

Each refuses what its page does not know, for services may do so, too.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.scripted_servers.http import Answer, Api, Posted


def known(fields: Mapping[str, Any], *names: str) -> None:
    if unknown := fields.keys() - set(names):
        raise ValueError(f"no such fields: {sorted(unknown)}")


def named(header: str) -> str:
    return header.strip("<>")


class MailgunApi(Api):
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""

    path = "/v3/mg.our.example/messages.mime"
    content_type = "multipart/form-data"

    def token(self, headers: Mapping[str, str]) -> str:
        kind, _, login = headers["authorization"].partition(" ")
        user, _, token = base64.b64decode(login, validate=True).decode().partition(":")
        if (kind, user) != ("Basic", "api"):
            raise ValueError("not by HTTP Basic, or not the user api")
        return token

    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        boundary = headers["content-type"].partition("boundary=")[2].encode()
        first, *parts, last = (b"\r\n" + body).split(b"\r\n--" + boundary)
        if first or last != b"--\r\n":
            raise ValueError("not multipart/form-data (RFC 7578)")
        fields: dict[str, bytes] = {}
        for part in parts:
            head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            name = head.decode().partition('name="')[2].partition('"')[0]
            if name == "message" and b'filename="' not in head:
                raise ValueError("the message is no file")
            fields[name] = value
        known(fields, "to", "message")
        key = fields["message"].partition(b"Message-ID: <")[2].partition(b">")[0]
        return Posted("", fields["to"].decode(), key.decode(), fields["message"], {})

    def taken(self, posted: Posted) -> Answer:
        return Answer(200, {"id": f"<{posted.message_id}>", "message": "Queued. Thank you."})

    def refused(self) -> Answer:
        return Answer(401, "Forbidden", {"Content-Type": "text/plain"})


class PostalApi(Api):
    """https://docs.postalserver.io/developer/api"""

    path = "/api/v1/send/raw"

    def token(self, headers: Mapping[str, str]) -> str:
        return headers["x-server-api-key"]

    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        fields = json.loads(body)
        known(fields, "mail_from", "rcpt_to", "data", "bounce")
        (recipient,) = fields["rcpt_to"]
        content = base64.b64decode(fields["data"], validate=True)
        key = content.partition(b"Message-ID: <")[2].partition(b">")[0]
        return Posted(fields["mail_from"], recipient, key.decode(), content, fields)

    def taken(self, posted: Posted) -> Answer:
        messages = {posted.recipient: {"id": 7, "token": "V1StGXR8Z5jdHi6B"}}
        data = {"message_id": posted.message_id, "messages": messages}
        return Answer(200, {"status": "success", "time": 0.02, "flags": {}, "data": data})

    def refused(self) -> Answer:
        message = "The API token provided in X-Server-API-Key was not valid."
        data = {"message": message, "token": "whatever came", "code": "InvalidServerAPIKey"}
        return Answer(200, {"status": "error", "time": 0.02, "flags": {}, "data": data})


class SendGridApi(Api):
    """https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""

    path = "/v3/mail/send"

    def token(self, headers: Mapping[str, str]) -> str:
        return headers["authorization"].removeprefix("Bearer ")

    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        fields = json.loads(body)
        known(
            fields,
            *("personalizations", "from", "subject", "content", "headers", "custom_args", "reply_to", "reply_to_list"),
        )
        reserved = {
            *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
            *("to", "from", "subject", "reply-to", "cc", "bcc"),
        }
        if taken := reserved & {name.lower() for name in fields["headers"]}:
            raise ValueError(f"reserved headers: {sorted(taken)}")
        if [part["type"] for part in fields["content"]] not in (
            ["text/plain"],
            ["text/html"],
            ["text/plain", "text/html"],
        ):
            raise ValueError("the content's types: plain comes before HTML")
        if not all(part["value"] for part in fields["content"]):
            raise ValueError("a content without a character")
        (personalization,) = fields["personalizations"]
        (person,) = personalization["to"]
        if {";", ","} & set(person.get("name", "")):
            raise ValueError("a name with ; or , in it")
        return Posted(
            fields["from"]["email"], person["email"], named(fields["headers"].get("Message-ID", "")), b"", fields
        )

    def taken(self, posted: Posted) -> Answer:
        return Answer(202, b"", {"X-Message-Id": "9lEKfIWVQFmuBZFbnRCXrw", "Content-Type": "text/plain"})

    def refused(self) -> Answer:
        message = "The provided authorization grant is invalid, expired, or revoked"
        return Answer(401, {"errors": [{"message": message, "field": None, "help": None}]})


class PostmarkApi(Api):
    """https://postmarkapp.com/developer/api/email-api"""

    path = "/email"

    def token(self, headers: Mapping[str, str]) -> str:
        return headers["x-postmark-server-token"]

    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        fields = json.loads(body)
        known(
            fields,
            *("From", "To", "Cc", "Bcc", "Subject", "Tag", "HtmlBody", "TextBody", "ReplyTo", "Headers"),
            *("TrackOpens", "TrackLinks", "Metadata", "Attachments", "MessageStream"),
        )
        if not (fields.get("HtmlBody") or fields.get("TextBody")):
            raise ValueError("neither HtmlBody nor TextBody")
        if [name for name, value in fields.get("Metadata", {}).items() if len(name) > 20 or len(value) > 80]:
            raise ValueError("metadata that is too long")
        given = {each["Name"]: each["Value"] for each in fields["Headers"]}
        recipient, sender = (fields[name].rpartition("<")[2].removesuffix(">") for name in ("To", "From"))
        return Posted(sender, recipient, named(given.get("Message-ID", "")), b"", fields)

    def taken(self, posted: Posted) -> Answer:
        return Answer(
            200,
            {
                "To": posted.recipient,
                "SubmittedAt": "2026-12-01T12:00:00.1234567-05:00",
                "MessageID": "0a129aee-e1cd-480d-b08d-4f48548ff48d",
                "ErrorCode": 0,
                "Message": "OK",
            },
        )

    def refused(self) -> Answer:
        return Answer(401, {"ErrorCode": 10, "Message": "No Account or Server API tokens were supplied."})


class BrevoApi(Api):
    """https://developers.brevo.com/reference/send-transac-email"""

    path = "/v3/smtp/email"

    def token(self, headers: Mapping[str, str]) -> str:
        return headers["api-key"]

    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        fields = json.loads(body)
        known(fields, "sender", "to", "subject", "htmlContent", "textContent", "replyTo", "headers")
        if not fields["htmlContent"]:
            raise ValueError("htmlContent is required without a template")
        (person,) = fields["to"]
        if len(person.get("name", "")) > 70:
            raise ValueError("a name is too long")
        given = fields["headers"]
        return Posted(fields["sender"]["email"], person["email"], named(given.get("Message-ID", "")), b"", fields)

    def taken(self, posted: Posted) -> Answer:
        return Answer(201, {"messageId": "<202612011200.1234567890@smtp-relay.mailin.fr>"})

    def refused(self) -> Answer:
        return Answer(401, {"message": "Key not found", "code": "unauthorized"})


class UnisenderGoApi(Api):
    """https://godocs.unisender.ru/web-api-ref#email-send"""

    path = "/ru/transactional/api/v1/email/send.json"

    def token(self, headers: Mapping[str, str]) -> str:
        return headers["x-api-key"]

    def read(self, headers: Mapping[str, str], body: bytes) -> Posted:
        whole = json.loads(body)
        known(whole, "message")
        fields = whole["message"]
        known(
            fields,
            *("recipients", "template_id", "tags", "skip_unsubscribe", "global_language", "template_engine"),
            *("global_substitutions", "global_metadata", "body", "subject", "from_email", "from_name", "reply_to"),
            *("reply_to_name", "track_links", "track_read", "bypass_global", "idempotence_key", "headers", "options"),
        )
        known(fields["body"], "html", "plaintext", "amp")
        if not any(fields["body"].values()) or len(fields["idempotence_key"]) > 64 or len(fields["headers"]) > 50:
            raise ValueError("no body, or too long a key, or too many headers")
        (person,) = fields["recipients"]
        known(person, "email", "substitutions", "metadata")
        key = named(fields["headers"].get("Message-ID", ""))
        return Posted(fields["from_email"], person["email"], key, b"", fields)

    def taken(self, posted: Posted) -> Answer:
        return Answer(200, {"status": "success", "job_id": "1ZymBc-00041N-9X", "emails": [posted.recipient]})

    def refused(self) -> Answer:
        return Answer(401, {"status": "error", "message": "Can not decode key", "code": 102})


APIS: dict[str, Api] = {
    "mailgun": MailgunApi(),
    "postal": PostalApi(),
    "sendgrid": SendGridApi(),
    "postmark": PostmarkApi(),
    "brevo": BrevoApi(),
    "unisendergo": UnisenderGoApi(),
}
"""By the names that MAIL_SERVICE_URL begins with."""
