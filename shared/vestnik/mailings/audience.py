"""Who would get a mailing: counts, dry runs and launches all ask here."""

from django.db.models import QuerySet

from vestnik.clients.models import Client, Membership
from vestnik.mailings.models import Mailing


def of(mailing: Mailing) -> "QuerySet[Client]":
    """The clients of the mailing's lists and its single clients, each once, all of the mailing's owner."""
    on_lists = Membership.objects.filter(client_list__in=mailing.lists.all()).values("client_id")
    single = Mailing.clients.through.objects.filter(mailing=mailing).values("client_id")
    return Client.objects.filter(owner=mailing.owner_id, pk__in=on_lists.union(single))
