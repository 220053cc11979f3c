"""Who would get a mailing: counts, dry runs and launches all ask here."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from vestnik.clients.models import Client, ClientList, Membership
from vestnik.mailings.models import Mailing


def of(mailing: Mailing) -> "QuerySet[Client]":
    """The clients of the mailing's lists and its single clients, each once, all of the mailing's owner."""
    single = Mailing.clients.through.objects.filter(mailing=mailing).values("client_id")
    return _chosen(mailing.owner_id, mailing.lists.all(), single)


def would_be(owner_id: int, lists: Iterable[ClientList], clients: Iterable[Client]) -> "QuerySet[Client]":
    """The same for a mailing that is not saved yet."""
    single = Client.objects.filter(owner=owner_id, pk__in=[client.pk for client in clients]).values("pk")
    return _chosen(owner_id, lists, single)


def _chosen(owner_id: int, lists: Iterable[ClientList], single: "QuerySet[Any, Any]") -> "QuerySet[Client]":
    on_lists = Membership.objects.filter(client_list__in=lists).values("client_id")
    return Client.objects.filter(owner=owner_id, pk__in=on_lists.union(single))
