"""What is in a letter."""

import email.message
import email.parser
import email.policy
import email.utils
from dataclasses import dataclass, field

from local.inbox.text import from_bytes, from_header, storable

HEADERS_SHOWN = 200
HEADER_CHARACTERS = 10_000
SUMMARY_CHARACTERS = 1_000


@dataclass(frozen=True)
class Summary:
    """What the list says about a letter."""

    subject: str
    sender: str  # as the From header has it
    message_id: str


@dataclass(frozen=True)
class Attachment:
    """A part of a letter that is a file."""

    name: str
    kind: str
    size: int


@dataclass
class Content:
    """A letter taken apart."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    text: str | None = None
    html: str | None = None
    attachments: list[Attachment] = field(default_factory=list)
    fault: str = ""


def summarise(source: bytes) -> Summary:
    """Read a letter's first headers; a letter that cannot be read has none."""
    first: dict[str, str] = {}
    try:
        message = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(source)
        for name, raw in message.raw_items():
            first.setdefault(name.lower(), str(raw))
    except Exception as error:  # noqa: BLE001  (as below: a letter must not stop the inbox)
        first.setdefault("subject", f"(unreadable: {type(error).__name__})")

    def short(name: str) -> str:
        return from_header(first.get(name, "")[: 4 * SUMMARY_CHARACTERS])[:SUMMARY_CHARACTERS]

    return Summary(subject=short("subject"), sender=short("from"), message_id=short("message-id"))


def take_apart(source: bytes) -> Content:
    """Read a whole letter; what cannot be read is said in `fault` instead of raised."""
    content = Content()
    try:
        message = email.message_from_bytes(source, policy=email.policy.compat32)
        for name, raw in list(message.raw_items())[:HEADERS_SHOWN]:
            content.headers.append((storable(name), from_header(str(raw)[:HEADER_CHARACTERS])))
        for part in message.walk():
            if not part.is_multipart():
                _add(content, part)
    except Exception as error:  # noqa: BLE001  (the parser has many ways to give a hostile letter up)
        content.fault = f"This letter cannot be read completely ({type(error).__name__}); its source is as it came."
    return content


def _add(content: Content, part: "email.message.Message[str, str]") -> None:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    kind, name = part.get_content_type(), _file_name(part)
    attached = name is not None or part.get_content_disposition() == "attachment"
    if not attached and kind == "text/plain" and content.text is None:
        content.text = from_bytes(data, _charset(part))
    elif not attached and kind == "text/html" and content.html is None:
        content.html = from_bytes(data, _charset(part))
    else:
        content.attachments.append(Attachment(name or "(no name)", storable(kind), len(data)))


def _charset(part: "email.message.Message[str, str]") -> str | None:
    charset = part.get_param("charset")
    text = email.utils.collapse_rfc2231_value(charset) if isinstance(charset, str | tuple) else ""
    return text.strip(" \"'") or None


def _file_name(part: "email.message.Message[str, str]") -> str | None:
    name = part.get_filename()
    return None if name is None else from_header(name)[:SUMMARY_CHARACTERS]
