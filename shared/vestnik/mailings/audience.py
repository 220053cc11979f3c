"""Who would get a mailing: forms, pages, dry runs and launches all ask here, and so get the same answer."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from vestnik.clients.models import Client, ClientList, Membership
from vestnik.mailings.models import Mailing


def of(mailing: Mailing) -> "QuerySet[Client]":
    """Return the clients of the mailing's lists and its single clients, each once, all of the mailing's owner."""
    return Client.objects.filter(owner=mailing.owner_id, pk__in=ids(mailing))


def size(mailing: Mailing) -> int:
    """Count the clients of the mailing. Members of a list are its owner's clients, so no client is looked up."""
    return ids(mailing).count()


def ids(mailing: Mailing) -> "QuerySet[Any, Any]":
    """Return the ids of the clients chosen for the mailing, each once; `of` also checks that they are the owner's."""
    single = Mailing.clients.through.objects.filter(mailing=mailing).values("client_id")
    return _chosen(mailing.lists.values("pk"), single)


def would_be(lists: Iterable[ClientList], clients: Iterable[Client]) -> int:
    """Count the audience that a mailing of one owner's lists and clients would have, before it is saved."""
    return _chosen(_these(lists), _these(clients)).count()


def _chosen(lists: Any, single: Any) -> "QuerySet[Any, Any]":
    """Return the ids of the clients on these lists and of these single ones, each once by UNION.

    Both are subqueries, and never Django's empty set, which Django leaves out together with the UNION.
    """
    on_lists = Membership.objects.filter(client_list__in=lists).values("client_id")
    return on_lists.union(Client.objects.filter(pk__in=single).values("pk"))


def _these(objects: Iterable[Model]) -> RawSQL:
    """Return the objects' ids as a subquery, however many they are, even none."""
    return RawSQL("SELECT unnest(%s::bigint[])", [[each.pk for each in objects]])
