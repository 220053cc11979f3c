"""What people do with their clients and lists. Bad input is a ValidationError, keyed by field."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from vestnik import access, addresses, homepage_hint, locks, versions
from vestnik.accounts.models import User
from vestnik.clients import attributes
from vestnik.clients.models import Client, ClientList, Membership

NAMED = 10
"""Addresses that a refusal names, of those that cannot be taken."""


def create_client(owner: User, email: str, lists: Iterable[ClientList] = (), **details: Any) -> Client:
    """Create a client of the owner's, and put it on `lists`."""
    return save_client(Client(owner=owner, email=email, **details), lists)


@transaction.atomic
def save_client(
    client: Client,
    lists: Iterable[ClientList] | None = None,
    seen: datetime | None = None,
    was_on: Collection[int] | None = None,
) -> Client:
    """Save a new or changed client, and put it on `lists`, if they are given, and on no others.

    If the ids of the lists that it `was_on` when they were chosen are given, only what was changed then is changed.
    Texts are stripped, and attributes spelled as the owner does. Raises ValidationError also where `seen` is given and
    the client was saved since then (its `updated_at`).
    """
    # Before the client is locked: an import locks names first, and then clients.
    spelled, refusal = _spelled(client)
    versions.locked(client, seen)
    client.full_name, client.comment = client.full_name.strip(), client.comment.strip()
    client.full_clean()
    if refusal:
        raise ValidationError({"attributes": refusal})
    client.attributes = spelled
    _store(client)
    if lists is not None:
        chosen, on = {client_list.pk for client_list in lists}, Membership.objects.filter(client=client)
        if was_on is None:
            on.exclude(client_list__in=chosen).delete()
        else:
            on.filter(client_list__in=set(was_on) - chosen).delete()
        _put(sorted(chosen - set(was_on or ())), [client.pk])
    homepage_hint.changed()
    return client


def _spelled(client: Client) -> tuple[dict[str, str], ValidationError | None]:
    """Return the client's attributes as the owner spells them, or why they cannot be."""
    try:
        attributes.validate(client.attributes)
        return attributes.respelled(client.owner_id, client.attributes), None
    except ValidationError as refusal:
        return {}, refusal


def create_list(owner: User, name: str) -> ClientList:
    """Create an empty list of the owner's."""
    return save_list(ClientList(owner=owner, name=name.strip()))


@transaction.atomic
def save_list(client_list: ClientList, seen: datetime | None = None) -> ClientList:
    """Save a new or renamed list.

    Raises ValidationError also where the owner has as many as one may have, and where `seen` is given and the list was
    saved since then (its `updated_at`).
    """
    new = versions.locked(client_list, seen) is None
    if new:
        _refuse_too_many_lists(client_list.owner_id)
    _save(client_list)
    if new:
        access.grant_to_owner(client_list)
    return client_list


@transaction.atomic
def delete_list(client_list: ClientList) -> None:
    """Delete a list; its clients stay. A mailing that uses it goes to the rest of its audience from the next run on."""
    # Waits for an import that puts clients on it; then they are taken off with the others.
    ClientList.objects.select_for_update().filter(pk=client_list.pk).first()
    client_list.delete()


def add_to_list(client_list: ClientList, clients: Iterable[Client]) -> int:
    """Put clients on a list, and return how many were not on it before. Those of another owner are left out."""
    return _put([client_list.pk], [client.pk for client in clients])


def add_addresses_to_list(client_list: ClientList, written: Iterable[str]) -> int:
    """Put the owner's clients with these addresses on a list, and return how many were not on it before.

    Raises ValidationError for `addresses`, naming those that no client has; nobody is put on the list then.
    """
    wanted, unknown = set(), []
    for address in written:
        try:
            wanted.add(addresses.normalise(address))
        except addresses.InvalidAddress:
            unknown.append(address)
    found = dict(Client.objects.filter(owner=client_list.owner_id, email__in=wanted).values_list("email", "pk"))
    unknown += sorted(wanted - found.keys())
    if unknown:
        said = _("Nobody was added: you have no clients with these %(number)d addresses: %(named)s.")
        if len(unknown) == 1:
            said = _("Nobody was added: you have no client with the address %(named)s.")
        named = [addresses.shown(address[: addresses.MAX_LENGTH]) for address in unknown[:NAMED]] + ["…"] * (
            len(unknown) > NAMED
        )
        raise ValidationError({"addresses": said % {"number": len(unknown), "named": ", ".join(named)}})
    return _put([client_list.pk], list(found.values()))


def remove_from_list(client_list: ClientList, clients: Iterable[Client]) -> int:
    """Take clients off a list, and return how many were on it."""
    number, _by_model = Membership.objects.filter(
        client_list=client_list, client__in=[client.pk for client in clients]
    ).delete()
    return number


def _refuse_too_many_lists(owner_id: int) -> None:
    """Raise ValidationError for `name` if there are too many.

    Of two lists made at once each is counted for the other.
    """
    locks.wait(locks.OWNERS_LISTS, owner_id)
    limit = settings.LISTS_PER_OWNER
    if ClientList.objects.filter(owner=owner_id).count() >= limit:
        raise ValidationError(
            {"name": _("There are %(limit)d lists, as many as one may have; delete one first.") % {"limit": limit}}
        )


def _save(obj: Client | ClientList) -> None:
    """Validate and save."""
    obj.full_clean()
    _store(obj)


def _store(obj: Client | ClientList) -> None:
    """Save what was validated. It is validated again where somebody saved a duplicate at the same moment."""
    try:
        with transaction.atomic():
            obj.save()
    except IntegrityError:
        obj.full_clean()
        raise


def _put(lists: list[int], clients: list[int]) -> int:
    """Put these clients on each of these lists; return how many memberships are new."""
    with connection.cursor() as cursor:
        cursor.execute(PUT, [lists, clients])
        return int(cursor.rowcount)


# Only where client and list have one owner. A row that is being deleted is waited for, and then gone.
PUT = """
    INSERT INTO clients_membership (client_list_id, client_id)
    SELECT list.id, client.id
    FROM clients_clientlist list JOIN clients_client client ON client.owner_id = list.owner_id
    WHERE list.id = ANY(%s::bigint[]) AND client.id = ANY(%s::bigint[])
    ORDER BY list.id, client.id
    FOR KEY SHARE
    ON CONFLICT (client_list_id, client_id) DO NOTHING
"""
