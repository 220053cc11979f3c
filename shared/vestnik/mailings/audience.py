"""Who would get a mailing: the plan of a form, pages, dry runs and launches all ask here, and get the same answer."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from vestnik.clients.models import Client, ClientList, Membership
from vestnik.mailings.models import Mailing


def of(mailing: Mailing) -> "QuerySet[Client]":
    """The clients of the mailing's lists and its single clients, each once, all of the mailing's owner."""
    return Client.objects.filter(owner=mailing.owner_id, pk__in=ids(mailing))


def size(mailing: Mailing) -> int:
    """How many they are. Members of a list are its owner's clients, so none of them needs to be looked up."""
    return ids(mailing).count()


def ids(mailing: Mailing) -> "QuerySet[Any, Any]":
    """The ids of the clients chosen for the mailing, each once; whose they are is to be asked of each (`of` does)."""
    single = Mailing.clients.through.objects.filter(mailing=mailing).values("client_id")
    return _chosen(mailing.lists.values("pk"), single)


def would_be(lists: Iterable[ClientList], clients: Iterable[Client]) -> int:
    """How many it would be for a mailing of one owner's lists and clients that is not saved yet."""
    return _chosen(_these(lists), _these(clients)).count()


def _chosen(lists: Any, single: Any) -> "QuerySet[Any, Any]":
    """The ids of the clients on these lists and of these single ones, each once: UNION sees to that.

    Both are subqueries, and never Django's empty set: that one Django leaves out, and the UNION with it.
    """
    on_lists = Membership.objects.filter(client_list__in=lists).values("client_id")
    return on_lists.union(Client.objects.filter(pk__in=single).values("pk"))


def _these(things: Iterable[Model]) -> RawSQL:
    """The things' ids as a subquery, however many they are, and if they are none."""
    return RawSQL("SELECT unnest(%s::bigint[])", [[thing.pk for thing in things]])
