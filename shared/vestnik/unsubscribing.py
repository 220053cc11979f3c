"""Stopping letters, for whoever gets them: all of one sender's, or those of a list; and taking that back.

The link of any of their letters is the key (`mailings/unsubscribe_links.py`), and what it does concerns the letter's
address alone. It is obeyed from the answer on: claims ask for it, so nothing but what is in hand goes out after that.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet

from vestnik import jobs
from vestnik.accounts.models import User
from vestnik.clients import suppressions, verbs
from vestnik.clients.models import Client, ClientList, Membership, Suppression
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings import unsubscribe_links
from vestnik.mailings.ledger import retries
from vestnik.mailings.ledger.models import Delivery


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one letter's reader gets, by that letter."""

    delivery_id: int
    owner_id: int
    address: str
    """Normalised; empty where the account that wrote was erased: nothing more comes from it."""
    sender: str
    """Who writes, as the letter said."""
    postal_address: str
    mailing_id: int | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A list that the letter's mailing uses, and whether the reader has left it."""

    list_id: int
    name: str
    left: bool


def subscription(token: str) -> Subscription | None:
    """Return what the token of a link stands for; None if it stands for nothing."""
    delivery_id = unsubscribe_links.read(token)
    if delivery_id is None:
        return None
    letter = Delivery.objects.select_related("run").only(
        "address", "run__owner_id", "run__mailing_id", "run__sender_name"
    )
    found = letter.filter(pk=delivery_id).first()
    if found is None:
        return None
    owner = User.objects.filter(pk=found.run.owner_id, deleted_at=None).only("full_name", "postal_address").first()
    return Subscription(
        delivery_id=found.pk,
        owner_id=found.run.owner_id,
        address=found.address if owner else "",
        sender=found.run.sender_name or (owner.full_name if owner else ""),
        postal_address=owner.postal_address if owner else "",
        mailing_id=found.run.mailing_id,
    )


def stopped_because(reader: Subscription) -> str:
    """Return why the reader gets no mailings of this sender's any more: a SuppressionReason; empty if they do."""
    all_of_it = Suppression.objects.filter(address=reader.address, client_list=None, lifted_at=None)
    of_sender = all_of_it.filter(Q(owner=reader.owner_id) | Q(owner=None)).order_by("owner_id")
    return of_sender.values_list("reason", flat=True).first() or ""


def choices(reader: Subscription) -> list[Choice]:
    """Return the lists by which the reader got the letter: those of its mailing that they are on, or have left."""
    of_mailing = ClientList.objects.filter(mailings=reader.mailing_id, owner=reader.owner_id)
    on = Membership.objects.filter(
        client_list__in=of_mailing, client__owner=reader.owner_id, client__email=reader.address
    )
    left = _left(reader).filter(client_list__in=of_mailing)
    there = set(on.values_list("client_list", flat=True))
    gone = set(left.values_list("client_list", flat=True))
    names = of_mailing.filter(pk__in=there | gone).order_by("name", "pk").values_list("pk", "name")
    return [Choice(pk, name, left=pk in gone) for pk, name in names]


@transaction.atomic
def stop_all(reader: Subscription) -> None:
    """Have nothing of this sender's go to the reader any more, but service letters. A second call changes nothing."""
    if not reader.address:
        return
    suppressions.suppress(reader.owner_id, {reader.address: reader.delivery_id}, SuppressionReason.UNSUBSCRIBED)
    clients = Client.objects.filter(owner=reader.owner_id, email=reader.address).values_list("pk", flat=True)
    for run_id in retries.cancel_to(
        reader.owner_id, clients, SuppressionReason.UNSUBSCRIBED.value, mailings_alone=True
    ):
        jobs.close(run_id)


@transaction.atomic
def leave(reader: Subscription, list_ids: set[int]) -> None:
    """Take the reader off these lists of the letter's mailing for good; other lists, and service letters, go on."""
    chosen = [choice.list_id for choice in choices(reader) if choice.list_id in list_ids and not choice.left]
    if not reader.address or not chosen:
        return
    reason = SuppressionReason.UNSUBSCRIBED
    suppressions.suppress(reader.owner_id, {reader.address: reader.delivery_id}, reason, lists=chosen)
    Membership.objects.filter(
        client_list__in=chosen, client__owner=reader.owner_id, client__email=reader.address
    ).delete()


@transaction.atomic
def take_back(reader: Subscription) -> None:
    """Undo what the reader did: letters come again, and they are on the lists again that they had left."""
    if not reader.address:
        return
    lists = suppressions.lift_for_the_person(reader.owner_id, reader.address)
    clients = list(Client.objects.filter(owner=reader.owner_id, email=reader.address))
    for client_list in ClientList.objects.filter(pk__in=lists, owner=reader.owner_id):
        verbs.add_to_list(client_list, clients)


def _left(reader: Subscription) -> QuerySet[Suppression]:
    return Suppression.objects.filter(
        owner=reader.owner_id, address=reader.address, client_list__isnull=False, lifted_at=None
    )
