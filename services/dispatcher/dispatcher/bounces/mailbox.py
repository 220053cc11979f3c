"""What comes back into a mailbox at somebody else's server, read by IMAP (RFC 9051): where port 25 cannot be had.

The mailbox takes all that comes to BOUNCE_DOMAIN (a "catch-all"), and is for nothing else: what was looked at is marked
as seen, when it is written down. Nothing is deleted. A mail of which that is not certain is looked at again.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from email import policy
from email.parser import BytesHeaderParser
from imaplib import IMAP4

import django.db
from imap_tools import BaseMailBox, ImapToolsError, MailBox, MailBoxUnencrypted

from dispatcher.bounces import receiving
from dispatcher.bounces.mailbox_url import Mailbox
from dispatcher.bounces.reading import LOOKED_AT

logger = logging.getLogger(__name__)

SECONDS = 30.0
"""For each step of the conversation."""
AT_ONCE = 500
"""Mails of one round."""
BY_MAILBOX = "mailbox"

_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To", "X-Forwarded-To", "To")
_ADDRESS = re.compile(r"[\w.+=-]{1,64}@[\w.-]{1,253}", re.ASCII)


def collect(mailbox: Mailbox, domain: str) -> int:
    """Take what is new in the mailbox; return how many mails that were.

    Raises OSError, imap_tools' and imaplib's errors, and django.db.Error.
    """
    number = 0
    with _opened(mailbox) as box:
        for uid in box.uids("UNSEEN")[:AT_ONCE]:
            source = _fetched(box, uid)
            try:
                _take(source, domain)
            except django.db.Error:
                raise  # it is looked at again
            except Exception:  # a fault of ours: the mails behind it are not kept waiting, and somebody can find it
                logger.exception("a mail in the mailbox could not be taken; it is flagged there")
                with suppress(ImapToolsError):
                    box.flag(uid, "\\Flagged", True)
            box.flag(uid, "\\Seen", True)
            number += 1
    return number


def _opened(mailbox: Mailbox) -> BaseMailBox:
    box: BaseMailBox
    if mailbox.encrypted:  # imaplib's own context would trust anybody
        box = MailBox(mailbox.host, mailbox.port, timeout=SECONDS, ssl_context=ssl.create_default_context())
    else:
        box = MailBoxUnencrypted(mailbox.host, mailbox.port, timeout=SECONDS)
    plain = mailbox.user.isascii() and mailbox.password.isascii()
    login = box.login if plain else box.login_utf8
    return login(mailbox.user, mailbox.password, initial_folder=mailbox.folder)


def _take(source: bytes, domain: str) -> None:
    ours = [address for address in dict.fromkeys(_recipients(source)) if receiving.is_ours(address, domain)]
    receiving.take(ours, domain, source, BY_MAILBOX)
    if not ours:
        logger.info("a mail of %d bytes in the mailbox is to no address of ours", len(source))


def _recipients(source: bytes) -> Iterator[str]:
    """Yield the addresses that a mail may have been for: its envelope is known by what servers noted of it."""
    message = BytesHeaderParser(policy=policy.compat32).parsebytes(source)
    for name in _TO:
        for value in message.get_all(name, [])[:5]:
            yield from _ADDRESS.findall(str(value)[:2_000])[:10]


def _fetched(box: BaseMailBox, uid: str) -> bytes:
    """Return the beginning of a mail, without marking it as seen."""
    status, data = box.client.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LOOKED_AT}>)")
    parts = [part[1] for part in data if isinstance(part, tuple)]
    if status != "OK" or not parts or not isinstance(parts[0], bytes):
        raise IMAP4.error(f"mail {uid} is not given out: {status}")
    return parts[0]
