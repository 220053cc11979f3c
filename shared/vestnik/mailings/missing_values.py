"""How many clients have nothing where a message names something of theirs: known before anything is sent.

Only so many clients are looked at, however many there are: this is asked while a form is filled in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from vestnik.clients import attributes
from vestnik.clients.models import Client, ClientList
from vestnik.mailings.models import Message

LOOKED_AT = 10_000
"""Clients that are looked at, at most."""
NAMES = 20
"""Names of one message that are counted: nobody reads of more."""

READ = 5 * LOOKED_AT
"""Memberships that are read for them: a client may be on several lists."""

# In the order of an index that begins with the owner: it stops where enough was looked at.
OF_OWNER = """
    SELECT count(*) >= %(most)s, count(*), {counts}
    FROM (
        SELECT full_name, attributes FROM clients_client WHERE owner_id = %(owner)s ORDER BY email LIMIT %(most)s
    ) looked_at
"""
# List by list: of all lists at once, their members might be looked for in the order in which UNION wants them, among
# everybody's.
OF_AUDIENCE = """
    WITH member AS MATERIALIZED (
        SELECT member.client_id AS id
        FROM unnest(%(lists)s::bigint[]) AS list (id)
        CROSS JOIN LATERAL (
            SELECT client_id FROM clients_membership WHERE client_list_id = list.id LIMIT %(most)s
        ) member
        LIMIT %(read)s
    ), chosen AS MATERIALIZED (
        SELECT id FROM (SELECT id FROM member UNION SELECT unnest(%(clients)s::bigint[])) AS several LIMIT %(most)s
    )
    SELECT
        (SELECT count(*) FROM chosen) >= %(most)s OR (SELECT count(*) FROM member) >= %(read)s, count(*), {counts}
    FROM chosen JOIN clients_client ON clients_client.id = chosen.id AND clients_client.owner_id = %(owner)s
"""
COUNT = "count(*) FILTER (WHERE btrim({value}, E' \\t\\r\\n\\u00a0') = '')"


@dataclass(frozen=True, slots=True)
class MissingValues:
    """How many clients have empty values."""

    looked_at: int
    complete: bool
    """Whether certainly all clients were looked at."""
    empty: dict[str, int]
    """Names without a default, as placeholders write them, and how many clients have nothing there; most first."""


def of_owner(message: Message, owner_id: int) -> MissingValues:
    """Count empty values among all of the owner's clients."""
    return _look(message, owner_id, OF_OWNER)


def of_audience(
    message: Message, owner_id: int, lists: Iterable[ClientList], clients: Iterable[Client]
) -> MissingValues:
    """Count empty values among the owner's clients on these lists, and these single ones."""
    chosen = {"lists": [found.pk for found in lists], "clients": [found.pk for found in clients]}
    return _look(message, owner_id, OF_AUDIENCE, **chosen)


def unknown_attributes(message: Message, owner_id: int) -> list[str]:
    """Return the attributes that the message names and none of the owner's clients has."""
    named = [name.removeprefix("attributes.") for name in message.placeholders() if name.startswith("attributes.")]
    spelled = attributes.spellings(owner_id) if named else {}
    return sorted(name for name in named if attributes.key(name) not in spelled)


def _look(message: Message, owner_id: int, source: str, **chosen: Any) -> MissingValues:
    named = sorted(message.placeholders(without_default=True) - {"email", "unsubscribe_url"})[:NAMES]
    if not named:
        return MissingValues(0, True, {})
    spelled = attributes.spellings(owner_id)
    columns, parameters = [], {"owner": owner_id, "most": LOOKED_AT, "read": READ, **chosen}
    for place, name in enumerate(named):
        attribute = name.removeprefix("attributes.")
        parameters[f"name{place}"] = spelled.get(attributes.key(attribute), attribute)
        value = "full_name" if name == "full_name" else f"coalesce(attributes ->> %(name{place})s, '')"
        columns.append(COUNT.format(value=value))
    with connection.cursor() as cursor:
        cursor.execute(source.format(counts=", ".join(columns)), parameters)
        more, number, *empty = cursor.fetchone()
    ordered = sorted(zip(named, empty, strict=True), key=lambda gap: -gap[1])
    return MissingValues(number, not more, {name: count for name, count in ordered if count})
