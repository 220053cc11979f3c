"""What people do with their clients and lists. Bad input is a ValidationError, keyed by field."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from vestnik import access
from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList, Membership


def create_client(owner: User, email: str, lists: Iterable[ClientList] = (), **details: Any) -> Client:
    """A new client of the owner's, put on `lists`."""
    return save_client(Client(owner=owner, email=email, **details), lists)


@transaction.atomic
def save_client(client: Client, lists: Iterable[ClientList] = ()) -> Client:
    """Save a new or changed client, and put it on `lists`."""
    client.full_clean()
    client.save()
    for client_list in lists:
        add_to_list(client_list, [client])
    return client


@transaction.atomic
def delete_clients(owner: User, clients: Iterable[Client]) -> None:
    """Delete clients of one owner. What is still queued to them is cancelled; the ledger keeps what was sent."""
    from vestnik.mailings import verbs as mailings  # clients are what mailings are made of, but for this one verb

    ids = [client.pk for client in clients]
    mailings.cancel_letters_to(owner.pk, ids)
    Client.objects.filter(owner=owner, pk__in=ids).delete()


def create_list(owner: User, name: str) -> ClientList:
    """A new, empty list of the owner's."""
    return save_list(ClientList(owner=owner, name=name.strip()))


@transaction.atomic
def save_list(client_list: ClientList) -> ClientList:
    """Save a new or renamed list."""
    new = client_list.pk is None
    client_list.full_clean()
    client_list.save()
    if new:
        access.grant_to_owner(client_list)
    return client_list


def add_to_list(client_list: ClientList, clients: Iterable[Client]) -> None:
    """Put clients on a list; those of another owner are left out, those on it already stay once."""
    Membership.objects.bulk_create(
        [
            Membership(client_list=client_list, client=client)
            for client in clients
            if client.owner_id == client_list.owner_id
        ],
        ignore_conflicts=True,
    )
