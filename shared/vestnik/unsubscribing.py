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
from vestnik.clients import suppressions
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
    of_sender = all_of_it.filter(Q(owner=reader.owner_id) | Q(owner=None)).order_by("by_person", "owner_id")
    return of_sender.values_list("reason", flat=True).first() or ""


def choices(reader: Subscription) -> list[Choice]:
    """Return the lists by which the reader got the letter: those of its mailing that they are on, or have left."""
    if reader.mailing_id is None or not reader.address:
        return []
    of_mailing = ClientList.objects.filter(mailings=reader.mailing_id, owner=reader.owner_id)
    on = Membership.objects.filter(
        client_list__in=of_mailing, client__owner=reader.owner_id, client__email=reader.address
    )
    left = set(_left(reader).filter(client_list__in=of_mailing).values_list("client_list", flat=True))
    there = set(on.values_list("client_list", flat=True))
    names = of_mailing.filter(pk__in=there | left).order_by("name", "pk").values_list("pk", "name")
    return [Choice(pk, name, left=pk in left) for pk, name in names]


def stop_all(reader: Subscription) -> None:
    """Have no mailing of this sender's go to the reader any more; service letters do. A second call changes nothing."""
    if reader.address:
        _stop(reader)


def leave(reader: Subscription, list_ids: set[int]) -> bool:
    """Have nothing go to the reader by these lists of the letter's mailing, but service letters.

    Return False if none of them is such a list.
    """
    chosen = [choice.list_id for choice in choices(reader) if choice.list_id in list_ids]
    if chosen:
        _stop(reader, chosen)
    return bool(chosen)


def take_back(reader: Subscription) -> None:
    """Undo what the reader did: letters come again, also by the lists of the letter's mailing that they had left."""
    if reader.address:
        lists = [choice.list_id for choice in choices(reader) if choice.left]
        suppressions.lift_for_the_person(reader.owner_id, reader.address, lists)


@transaction.atomic
def _stop(reader: Subscription, lists: list[int] | None = None) -> None:
    """Write it down, and cancel what is queued to them by that."""
    reason = SuppressionReason.UNSUBSCRIBED
    suppressions.suppress(reader.owner_id, {reader.address: reader.delivery_id}, reason, lists=lists)
    clients = Client.objects.filter(owner=reader.owner_id, email=reader.address).values_list("pk", flat=True)
    for run_id in retries.cancel_stopped(reader.owner_id, clients):
        jobs.close(run_id)


def _left(reader: Subscription) -> QuerySet[Suppression]:
    return Suppression.objects.filter(
        owner=reader.owner_id, address=reader.address, client_list__isnull=False, lifted_at=None
    )
