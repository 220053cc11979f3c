"""In whose name a letter goes out: the sender's, once it may be; until then the installation's."""

from typing import NamedTuple

from django.conf import settings

from vestnik.accounts.models import User
from vestnik.senders.models import Sender, is_open


class From(NamedTuple):
    """What a letter says of who wrote it."""

    address: str
    name: str
    reply_to: str
    """Empty where answers go to the address itself."""


def may_come_from(sender: Sender) -> bool:
    """Say whether letters may come from the sender's own address: it is confirmed, and its domain is open."""
    return sender.confirmed_at is not None and is_open(sender.owner_id, sender.domain)


def written(owner: User, sender: Sender | None, name: str = "") -> From:
    """Return in whose name a letter of the owner's goes out; `name` is the mailing's own, if it has one.

    Answers go to addresses that were confirmed, and to no others.
    """
    if sender is None or sender.confirmed_at is None:
        return From(settings.MAIL_FROM, name or (sender.name if sender else "") or owner.full_name, owner.email)
    answers = sender.reply_to or sender.address
    name = name or sender.name or owner.full_name
    if not may_come_from(sender):
        return From(settings.MAIL_FROM, name, answers)
    return From(sender.address, name, "" if answers == sender.address else answers)
