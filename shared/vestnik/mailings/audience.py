"""Who would get a mailing: forms, pages, dry runs and launches all ask here, and so get the same answer."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from vestnik.clients.models import Client, ClientList, Membership
from vestnik.mailings import stops
from vestnik.mailings.ledger.models import MailingKind
from vestnik.mailings.models import Mailing

# From the suppressed addresses, of which there are few, to the clients, each looked up by its address and then by its
# lists.
LEFT_OUT = f"""
    SELECT stop.reason, count(*)
    FROM (
        SELECT address FROM clients_suppression
        WHERE owner_id = %(owner)s AND lifted_at IS NULL
          AND (client_list_id IS NULL OR client_list_id = ANY (%(lists)s::bigint[]))
        UNION
        SELECT address FROM clients_suppression WHERE owner_id IS NULL AND lifted_at IS NULL
    ) suppressed
    CROSS JOIN LATERAL (
        SELECT id, owner_id, email FROM clients_client
        WHERE owner_id = %(owner)s AND email = suppressed.address LIMIT 1
    ) client
    CROSS JOIN LATERAL ({stops.OF_AUDIENCE}) stop
    WHERE client.id = ANY (%(single)s::bigint[]) OR EXISTS (
        SELECT FROM unnest(%(lists)s::bigint[]) AS list (id)
        CROSS JOIN LATERAL (
            SELECT id FROM clients_membership WHERE client_list_id = list.id AND client_id = client.id LIMIT 1
        ) AS member OFFSET 0
    )
    GROUP BY stop.reason ORDER BY count(*) DESC, stop.reason
"""


@dataclass(frozen=True, slots=True)
class Audience:
    """To how many a mailing would go, and how many of those chosen are left out, by the suppression's reason."""

    to: int
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def chosen(self) -> int:
        """How many were chosen, those left out included."""
        return self.to + sum(self.left_out.values())


def of(mailing: Mailing) -> "QuerySet[Client]":
    """Return the clients who would get the mailing, each once, all of the mailing's owner."""
    clients = Client.objects.filter(owner=mailing.owner_id, pk__in=ids(mailing))
    stop = stops.stop_sql(
        address="clients_client.email",
        client="clients_client.id",
        owner="clients_client.owner_id",
        service="true" if mailing.kind == MailingKind.SERVICE else "false",
        lists=f"SELECT clientlist_id AS id FROM mailings_mailing_lists WHERE mailing_id = {int(mailing.pk)}",
        single=f"""EXISTS (
            SELECT FROM mailings_mailing_clients
            WHERE mailing_id = {int(mailing.pk)} AND client_id = clients_client.id OFFSET 0
        )""",
    )
    return clients.extra(where=[f"NOT EXISTS ({stop})"])  # noqa: S610 -- no text of anybody's is in it


def count(mailing: Mailing) -> Audience:
    """Count who would get the mailing. Members of a list are its owner's clients, so no client is looked up."""
    lists = list(mailing.lists.values_list("pk", flat=True))
    single = list(Mailing.clients.through.objects.filter(mailing=mailing).values_list("client_id", flat=True))
    return _counted(ids(mailing).count(), mailing.owner_id, lists, single, mailing.kind)


def ids(mailing: Mailing) -> "QuerySet[Any, Any]":
    """Return the ids of the clients chosen for the mailing, each once, suppressed or not."""
    single = Mailing.clients.through.objects.filter(mailing=mailing).values("client_id")
    return _chosen(mailing.lists.values("pk"), single)


def would_be(
    owner_id: int, lists: Iterable[ClientList], clients: Iterable[Client], kind: str = MailingKind.MAILING
) -> Audience:
    """Count the audience that a mailing of the owner's with these lists and clients would have, before it is saved."""
    of_lists, single = [each.pk for each in lists], [each.pk for each in clients]
    return _counted(_chosen(_these(of_lists), _these(single)).count(), owner_id, of_lists, single, kind)


def _counted(chosen: int, owner_id: int, lists: list[int], single: list[int], kind: str) -> Audience:
    asked: dict[str, Any] = {
        "owner": owner_id,
        "lists": lists,
        "single": single,
        "service": kind == MailingKind.SERVICE,
    }
    with connection.cursor() as cursor:
        cursor.execute(LEFT_OUT, asked)
        left_out = dict(cursor.fetchall())
    return Audience(max(chosen - sum(left_out.values()), 0), left_out)


def _chosen(lists: Any, single: Any) -> "QuerySet[Any, Any]":
    """Return the ids of the clients on these lists and of these single ones, each once by UNION.

    Both are subqueries, and never Django's empty set, which Django leaves out together with the UNION.
    """
    on_lists = Membership.objects.filter(client_list__in=lists).values("client_id")
    return on_lists.union(Client.objects.filter(pk__in=single).values("pk"))


def _these(ids: list[int]) -> RawSQL:
    """Return the ids as a subquery, however many they are, even none."""
    return RawSQL("SELECT unnest(%s::bigint[])", [ids])
