"""Stopping letters, for whoever gets them: all of one sender's, or those of a list; and taking that back.

The link of any of their letters is the key (`mailings/unsubscribe_links.py`), and what it does concerns the letter's
address alone. It is obeyed from the answer on: claims ask for it, so nothing but what is in hand goes out after that.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction

from vestnik import jobs
from vestnik.clients import suppressions
from vestnik.clients.models import Client, ClientList, Membership
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings import unsubscribe_links
from vestnik.mailings.ledger import retries
from vestnik.mailings.letter_tokens import Purpose, Token


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


# One question, for at times many unsubscribe at once: what the letter was, who wrote it, and the key of its link.
LETTER = """
    SELECT d.address, run.owner_id, run.mailing_id, run.sender_name, owner.full_name, owner.postal_address,
           (SELECT key FROM mailings_linkkey WHERE id = %(version)s)
    FROM mailings_delivery d
    JOIN mailings_run run ON run.id = d.run_id
    LEFT JOIN accounts_user owner ON owner.id = run.owner_id AND owner.deleted_at IS NULL
    WHERE d.id = %(letter)s
"""


def subscription(token: str) -> Subscription | None:
    """Return what the token of a link stands for; None if it stands for nothing."""
    said = unsubscribe_links.taken_apart(token)
    return None if said is None else subscription_by(said)


def subscription_by(said: Token) -> Subscription | None:
    """Return what a token stands for, in whichever form it came; None if it stands for nothing."""
    found, key = _subscription(said.delivery_id, said.version)
    return found if key is not None and said.is_signed_by(key, Purpose.UNSUBSCRIBE) else None


def subscription_of(delivery_id: int) -> Subscription | None:
    """Return what a letter's reader gets, for whoever has seen that they ask; None if there is no such letter."""
    return _subscription(delivery_id, 0)[0]


def _subscription(delivery_id: int, version: int) -> tuple[Subscription | None, bytes | None]:
    """Return it with the key of that version, if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(LETTER, {"version": version, "letter": delivery_id})
        row = cursor.fetchone()
    if row is None:
        return None, None
    address, owner_id, mailing_id, sender_name, full_name, postal_address, key = row
    found = Subscription(
        delivery_id=delivery_id,
        owner_id=owner_id,
        address="" if full_name is None else address,
        sender=sender_name or full_name or "",
        postal_address=postal_address or "",
        mailing_id=mailing_id,
    )
    return found, None if key is None else bytes(key)


def stopped_because(reader: Subscription) -> str:
    """Return why the reader gets no mailings of this sender's any more: a SuppressionReason; empty if they do."""
    standing = suppressions.of_address(reader.owner_id, reader.address) if reader.address else []
    return next((each.reason for each in standing if each.client_list_id is None), "")


def choices(reader: Subscription) -> list[Choice]:
    """Return the lists by which the reader got the letter: those of its mailing that they are on, or have left."""
    if reader.mailing_id is None or not reader.address:
        return []
    of_mailing = ClientList.objects.filter(mailings=reader.mailing_id, owner=reader.owner_id)
    on = Membership.objects.filter(
        client_list__in=of_mailing, client__owner=reader.owner_id, client__email=reader.address
    )
    left = {each.client_list_id for each in suppressions.of_address(reader.owner_id, reader.address)} - {None}
    there = set(on.values_list("client_list", flat=True))
    names = of_mailing.filter(pk__in=there | left).order_by("name", "pk").values_list("pk", "name")
    return [Choice(pk, name, left=pk in left) for pk, name in names]


def stop_all(reader: Subscription) -> None:
    """Have no mailing of this sender's go to the reader any more; service letters do. A second call changes nothing."""
    if reader.address:
        with transaction.atomic():
            _write_down(reader)
            reason = SuppressionReason.UNSUBSCRIBED.value
            _close(retries.cancel_to(reader.owner_id, _clients(reader), reason, mailings_alone=True))


def leave(reader: Subscription, list_ids: set[int]) -> bool:
    """Have nothing go to the reader by these lists of the letter's mailing, but service letters.

    Return False if none of them is such a list.
    """
    chosen = [choice.list_id for choice in choices(reader) if choice.list_id in list_ids]
    if chosen:
        with transaction.atomic():
            _write_down(reader, chosen)
            _close(retries.cancel_stopped(reader.owner_id, _clients(reader)))
    return bool(chosen)


def take_back(reader: Subscription) -> None:
    """Undo what the reader did: letters come again, also by the lists of the letter's mailing that they had left."""
    if reader.address:
        lists = [choice.list_id for choice in choices(reader) if choice.left]
        suppressions.lift_for_the_person(reader.owner_id, reader.address, lists)


def _write_down(reader: Subscription, lists: list[int] | None = None) -> None:
    reason = SuppressionReason.UNSUBSCRIBED
    suppressions.suppress(reader.owner_id, {reader.address: reader.delivery_id}, reason, lists=lists)


def _clients(reader: Subscription) -> list[int]:
    """Return the ids of the sender's clients with the reader's address: one, or none."""
    return list(Client.objects.filter(owner=reader.owner_id, email=reader.address).values_list("pk", flat=True))


def _close(run_ids: list[int]) -> None:
    """Have runs closed that may have lost their last letter."""
    for run_id in run_ids:
        jobs.close(run_id)
