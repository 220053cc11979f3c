"""Deleting clients: above the rooms of clients and of mailings, for it concerns both."""

from collections.abc import Iterable

from django.db import transaction

from vestnik import homepage_hint
from vestnik.accounts.models import User
from vestnik.clients.models import Client
from vestnik.mailings import verbs


@transaction.atomic
def delete_clients(owner: User, clients: Iterable[Client]) -> None:
    """Delete clients of one owner. Letters still queued to them are cancelled; the ledger keeps what was sent."""
    ids = [client.pk for client in clients]
    verbs.cancel_letters_to(owner.pk, ids)
    Client.objects.filter(owner=owner, pk__in=ids).delete()
    homepage_hint.changed()
