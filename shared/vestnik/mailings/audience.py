"""Who would get a mailing: counts, dry runs and launches all ask here."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from vestnik.clients.models import Client, ClientList, Membership
from vestnik.mailings.models import Mailing


def of(mailing: Mailing) -> "QuerySet[Client]":
    """The clients of the mailing's lists and its single clients, each once, all of the mailing's owner."""
    on_lists, single = _ids_of(mailing)
    return Client.objects.filter(owner=mailing.owner_id, pk__in=on_lists.union(single))


def size(mailing: Mailing) -> int:
    """How many they are. Members of a list are its owner's clients, so none of them needs to be looked up."""
    on_lists, single = _ids_of(mailing)
    return on_lists.union(single).count()


def would_be(lists: Iterable[ClientList], clients: Iterable[Client]) -> int:
    """How many it would be for a mailing of one owner's lists and clients that is not saved yet."""
    return _on(lists).union(Client.objects.filter(pk__in=[client.pk for client in clients]).values("pk")).count()


def _ids_of(mailing: Mailing) -> "tuple[QuerySet[Any, Any], QuerySet[Any, Any]]":
    single = Mailing.clients.through.objects.filter(mailing=mailing).values("client_id")
    return _on(mailing.lists.all()), single


def _on(lists: Iterable[ClientList]) -> "QuerySet[Any, Any]":
    return Membership.objects.filter(client_list__in=lists).values("client_id")
