"""What is done with a mail that came back, by whichever way: its addresses say which letters it is about."""

import logging
from collections.abc import Iterable
from enum import StrEnum

from dispatcher.bounces.reading import Mail, Reading
from vestnik import unsubscribing
from vestnik.mailings import return_addresses
from vestnik.mailings.ledger import events
from vestnik.mailings.ledger.models import EventKind
from vestnik.mailings.letter_tokens import OF_NO_LETTER, Purpose, Token

logger = logging.getLogger(__name__)

ROLES = ("postmaster", "abuse")
"""Who must be there (RFC 5321, 4.5.1; RFC 2142), and is asked for by servers that look whether a sender exists."""


class Taken(StrEnum):
    """What became of a mail, for the log."""

    NOTED = "noted"
    KNOWN = "known already"
    UNSUBSCRIBED = "unsubscribed"
    SAYS_NOTHING = "neither a bounce nor a complaint"
    OF_NO_LETTER = "about no letter of ours"
    OF_NOBODY = "to somebody whose mail nobody reads"


def is_ours(address: str, domain: str) -> bool:
    """Say whether mail to this address is taken: a letter's own, complaints', a role's. Raises django.db.Error."""
    if address.lower() in {f"{name}@{domain}" for name in (return_addresses.COMPLAINTS, *ROLES)}:
        return True
    return any(return_addresses.read(address, purpose) is not None for purpose in Purpose)


def take(addresses: Iterable[str], domain: str, source: bytes, way: str) -> None:
    """Do what a mail to these addresses wants. `way` is by which it came, for people. Raises django.db.Error.

    A second time it changes nothing: whoever is not certain that a mail was taken gives it again.
    """
    mail = Mail(source)
    for address in dict.fromkeys(each.lower() for each in addresses):
        taken = _take(address, domain, mail, way)
        if taken in (Taken.SAYS_NOTHING, Taken.OF_NO_LETTER, Taken.OF_NOBODY):
            logger.info("a mail of %d bytes to %s: %s", len(source), address[:64], taken)


def _take(address: str, domain: str, mail: Mail, way: str) -> Taken:
    token = return_addresses.taken_apart(address, Purpose.UNSUBSCRIBE)
    if token is not None:
        return _unsubscribe(token, mail)
    if address.partition("@")[0] in ROLES:
        return Taken.OF_NOBODY
    delivery_id = return_addresses.read(address, Purpose.RETURN)
    reading = mail.read()
    if delivery_id is None and address == f"{return_addresses.COMPLAINTS}@{domain}":
        if reading is None and mail.encloses_a_letter and not (mail.is_report or mail.answers_itself):
            reading = Reading(EventKind.COMPLAINED, None, "", "")  # as services send them that know no RFC 5965
        if reading is not None and reading.kind is EventKind.COMPLAINED:
            delivery_id = _enclosed(mail)
    if reading is None:
        return Taken.SAYS_NOTHING
    if delivery_id is None or delivery_id == OF_NO_LETTER:
        return Taken.OF_NO_LETTER
    report = events.Report(
        kind=reading.kind, bounce=reading.bounce, status=reading.status, answer=reading.answer, source=way
    )
    return Taken.NOTED if events.note(delivery_id, report) else Taken.KNOWN


def _enclosed(mail: Mail) -> int | None:
    """Return the number of the letter that a complaint encloses, by an address of ours in it."""
    for address in mail.addresses():
        for purpose in Purpose:
            if (delivery_id := return_addresses.read(address, purpose)) is not None:
                return delivery_id
    return None


def _unsubscribe(token: Token, mail: Mail) -> Taken:
    """Do what somebody wrote to the address for it for, whatever they wrote: but a program's answer is none."""
    if mail.is_report or mail.answers_itself:
        return Taken.SAYS_NOTHING
    reader = unsubscribing.subscription_by(token)
    if reader is None:
        return Taken.OF_NO_LETTER
    unsubscribing.stop_all(reader)
    logger.info("letter %d: its reader unsubscribed by mail", reader.delivery_id)
    return Taken.UNSUBSCRIBED
