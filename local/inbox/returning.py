"""What comes back of letters, as their recipients' servers send it: a bounce (RFC 3464), or a complaint (RFC 5965).

Whoever writes to somebody at one of these domains sees it happen: the letter is accepted, and a moment later
`bounced.example` has no such mailbox, that of `full.example` is full, and the person at `complained.example` complains.
On a letter's page it happens on a click, whoever it went to.
"""

import asyncio
import logging
import re
import secrets
import smtplib
from datetime import UTC, datetime
from email.utils import format_datetime, make_msgid
from enum import Enum

HOST = "mx.localhost"
COMPLAINTS = "complaints"
"""Who is written to at the domain of the envelope's sender."""
SECONDS = 10.0
LONGEST_HEADERS = 100_000
"""Bytes of a letter in which its headers are looked for."""

log = logging.getLogger(__name__)


class Order(Enum):
    """What is to come back."""

    BOUNCE = "bounce"
    FULL = "full"
    COMPLAINT = "complaint"


ORDERS = {"bounced.example": Order.BOUNCE, "full.example": Order.FULL, "complained.example": Order.COMPLAINT}
_ANSWERS = {
    Order.BOUNCE: ("5.1.1", "550 5.1.1 <{recipient}>: there is no such mailbox here"),
    Order.FULL: ("5.2.2", "552 5.2.2 <{recipient}>: the mailbox is full"),
}


class Returns:
    """Sends what comes back to the server that receives it."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._under_way: set[asyncio.Task[None]] = set()

    def send_soon(self, order: Order, sender: str, recipient: str, letter: bytes) -> None:
        """Send it, and wait for nobody. Must be called where the loop runs."""
        task = asyncio.create_task(self._try(order, sender, recipient, letter))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def send(self, order: Order, sender: str, recipient: str, letter: bytes) -> str:
        """Send it; return what the server answered if it refused, else an empty text. Raises OSError."""
        to = sender
        if order is Order.COMPLAINT:
            to = f"{COMPLAINTS}@{sender.rpartition('@')[2]}"
        mail = written(order, sender, recipient, letter)
        return await asyncio.to_thread(self._hand_over, to, mail)

    async def _try(self, order: Order, sender: str, recipient: str, letter: bytes) -> None:
        try:
            answer = await self.send(order, sender, recipient, letter)
        except OSError as error:
            answer = str(error)
        if answer:
            log.warning("what came back of a letter to %s was not taken: %s", recipient, answer)

    def _hand_over(self, to: str, mail: bytes) -> str:
        try:
            with smtplib.SMTP(self._host, self._port, local_hostname=HOST, timeout=SECONDS) as server:
                server.sendmail("", [to], mail)
        except smtplib.SMTPRecipientsRefused as error:
            ((code, said),) = error.recipients.values()
            return f"{code} {said.decode(errors='replace')}"
        except smtplib.SMTPResponseException as error:
            words = error.smtp_error
            return f"{error.smtp_code} {words.decode(errors='replace') if isinstance(words, bytes) else words}"
        except smtplib.SMTPException as error:
            return str(error)
        return ""


def written(order: Order, sender: str, recipient: str, letter: bytes) -> bytes:
    """Return the mail that comes back of a letter, with the letter's headers in it."""
    if order is Order.COMPLAINT:
        kind, subject = "feedback-report", "Complaint about a letter"
        words = f"{recipient} says that the letter below is spam."
        report = (
            "Feedback-Type: abuse\r\nUser-Agent: Vestnik-Inbox/1\r\nVersion: 1\r\n"
            f"Original-Mail-From: <{sender}>\r\nOriginal-Rcpt-To: <{recipient}>\r\n"
        )
    else:
        kind, subject = "delivery-status", "Undelivered mail returned to its sender"
        words = f"The letter below could not be delivered to {recipient}."
        status, answer = _ANSWERS[order]
        report = (
            f"Reporting-MTA: dns; {HOST}\r\n\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\n"
            f"Status: {status}\r\nDiagnostic-Code: smtp; {answer.format(recipient=recipient)}\r\n"
        )
    boundary = f"=_{secrets.token_hex(12)}"
    head = (
        f"From: Mail Delivery System <MAILER-DAEMON@{HOST}>\r\nTo: <{sender}>\r\nSubject: {subject}\r\n"
        f"Date: {format_datetime(datetime.now(UTC))}\r\nMessage-ID: {make_msgid(domain=HOST)}\r\n"
        "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="{boundary}"\r\n'
    )
    parts = (("text/plain; charset=utf-8", f"{words}\r\n"), (f"message/{kind}", report), ("text/rfc822-headers", ""))
    text = head + "".join(f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n{body}" for kind, body in parts)
    return text.encode() + _headers(letter) + f"\r\n--{boundary}--\r\n".encode()


def _headers(letter: bytes) -> bytes:
    return re.split(rb"\r?\n\r?\n", letter[:LONGEST_HEADERS], maxsplit=1)[0] + b"\r\n"
