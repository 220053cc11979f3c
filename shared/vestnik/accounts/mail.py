"""Django's e-mail backend: every letter that Django writes is stored here, and the dispatcher hands it over."""

import copy
import logging
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import compat32
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.translation import gettext

from vestnik import addresses, jobs
from vestnik.accounts.letters import SUBJECT_LENGTH, AccountLetter, recipient_key
from vestnik.mail import headers

logger = logging.getLogger(__name__)

# Django's own headers stay as they are; a part with other than ASCII characters becomes base64.
_SEVEN_BIT = compat32.clone(linesep="\r\n", cte_type="7bit", max_line_length=None)

_OURS = ("from", "to", "subject", "date", "message-id", "auto-submitted")


class EmailBackend(BaseEmailBackend):
    """Stores letters, in the caller's transaction if there is one, and hints at them on commit."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Store one letter for each recipient; return how many messages have at least one.

        An address that no letter can be sent to is logged and left out. Raises BadHeaderError for a line break in a
        header, and then nothing is stored.
        """
        letters = [list(_letters(message)) for message in email_messages]
        stored = AccountLetter.objects.bulk_create(letter for of_message in letters for letter in of_message)
        if stored:
            jobs.account_mail()
        return sum(map(bool, letters))


def _letters(message: EmailMessage) -> Iterator[AccountLetter]:
    subject = " ".join(str(message.subject).split())[:SUBJECT_LENGTH]
    message = copy.copy(message)
    found: dict[str, bool] = {}  # each address once, in their order
    for field in ("to", "cc", "bcc"):
        setattr(message, field, [to for to in getattr(message, field) if _is_taken(str(to), found)])
    for recipient in found:
        key = f"{secrets.token_hex(16)}@{addresses.domain(settings.MAIL_FROM)}"
        yield AccountLetter(
            recipient=recipient,
            recipient_key=recipient_key(recipient),
            subject=subject,
            key=key,
            content=_content(message, key),
        )


def _is_taken(recipient: str, found: dict[str, bool]) -> bool:
    """Say whether the recipient may stand in the header; its normalised address is added to those `found`.

    Accounts have addresses that any mail service takes.
    """
    try:
        found[addresses.normalise(parseaddr(recipient)[1], ascii_only=True)] = True
    except addresses.InvalidAddress as error:
        logger.error("a letter of Vestnik's own cannot be sent: %s", error)
        return "\r" in recipient or "\n" in recipient  # for Django to refuse the whole
    return True


def _content(message: EmailMessage, key: str) -> bytes:
    """Return the message as it goes over the wire: from the installation, 7-bit, with CRLF line ends.

    Django writes the texts. The headers that people see are ours: Django's begin with an empty line where they are
    long.
    """
    ours = copy.copy(message)
    # Named here, so that Django does not ask the DNS for this host's name to make a Message-ID.
    ours.extra_headers = {
        **{name: value for name, value in message.extra_headers.items() if name.lower() not in _OURS},
        "From": settings.MAIL_FROM,
        "Message-ID": f"<{key}>",
    }
    texts = message_from_bytes(ours.message().as_bytes(), policy=_SEVEN_BIT)
    for name in _OURS:
        del texts[name]
    head = (
        headers.mailbox("From", settings.MAIL_FROM_NAME or gettext("Vestnik"), settings.MAIL_FROM)
        + headers.mailboxes("To", map(_person, message.to))
        + headers.unstructured("Subject", str(message.subject))
        + headers.date_line(datetime.now(UTC).replace(microsecond=0))
        + headers.message_id(key)
        + "Auto-Submitted: auto-generated\r\n"  # RFC 3834: nobody's absence is answered to it
    )
    content = head.encode("ascii") + texts.as_bytes()
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def _person(recipient: str) -> tuple[str, str]:
    """Return the name and the address of a recipient as Django writes it."""
    name, address = parseaddr(recipient)
    return name, address if address.isascii() else addresses.normalise(address)
