"""In whose name a letter goes out: the sender's, once it may be; until then the installation's."""

from typing import NamedTuple

from django.conf import settings

from vestnik.accounts.models import User
from vestnik.senders.models import Sender, covering, is_open, open_to


class From(NamedTuple):
    """What a letter says of who wrote it."""

    address: str
    name: str
    reply_to: str
    """Empty where answers go to the address itself."""


def may_come_from(sender: Sender) -> bool:
    """Say whether letters may come from the sender's own address: it is confirmed, and its domain is open."""
    return sender.confirmed_at is not None and is_open(sender.owner_id, sender.domain)


def ready(owner: User) -> dict[Sender, bool]:
    """Return the owner's senders by their addresses, and of each whether letters may come from it."""
    names = set(open_to(owner.pk).values_list("name", flat=True))
    senders = Sender.objects.filter(owner=owner).order_by("address")
    return {each: each.confirmed_at is not None and not names.isdisjoint(covering(each.domain)) for each in senders}


def still(owner_id: int, frozen: From) -> From:
    """Return in whose name a letter goes out whose run froze this: where the sender is gone, or may no longer be one,
    in the installation's, and answers go to the owner.
    """
    if frozen.address == settings.MAIL_FROM:
        return frozen
    sender = Sender.objects.filter(owner=owner_id, address=frozen.address).first()
    if sender is not None and may_come_from(sender):
        return frozen
    owner = User.objects.filter(pk=owner_id).values_list("email", flat=True).first()
    return From(settings.MAIL_FROM, frozen.name, owner or "")


def comes_from(owner: User, sender: Sender | None, name: str = "") -> From:
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
