"""A run's letters one by one: page after page by an index, or all of them in one stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from vestnik import addresses
from vestnik.mailings.ledger.models import Attempt, Delivery, DeliveryEvent, DeliveryState, EventKind, Run

CHUNK = 2_000
"""Rows of an export that are in memory at once."""

# One statement, so that a file shows one moment; the rows wait at the server.
EXPORT = """
    SELECT d.address, coalesce(client.full_name, ''), d.state, d.attempts, d.settled_at, last.code,
           coalesce(last.answer, ''), (
               SELECT coalesce(array_agg(event.kind ORDER BY event.kind), '{}') FROM mailings_deliveryevent event
               WHERE event.day = %(day)s AND event.delivery_id = d.id
           )
    FROM mailings_delivery d
    LEFT JOIN clients_client client ON client.id = d.client_id AND client.owner_id = %(owner)s
    LEFT JOIN LATERAL (
        SELECT code, answer FROM mailings_attempt WHERE delivery_id = d.id ORDER BY claim DESC LIMIT 1
    ) last ON true
"""


# The letters of which such an event is known, in the order of their clients.
EVENTS = """
    JOIN mailings_deliveryevent event
    ON event.delivery_id = d.id AND event.run_id = %(run)s AND event.kind = %(state)s AND event.client_id = d.client_id
"""


class Page(NamedTuple):
    """A page of a run's letters."""

    letters: list[Delivery]
    after: int | None
    """`after` of the next page; None if there is none."""


class Row(NamedTuple):
    """A letter in an export."""

    address: str
    full_name: str
    """The client's, as it is now; empty if they were deleted."""
    state: str
    attempts: int
    """Charged attempts, since a person last queued the letter."""
    settled_at: datetime | None
    code: int | None
    """Of the last answer."""
    answer: str
    came_back: list[str]
    """Which kinds of events there were: EventKind."""


def journal(run: Run, state: str = "", address: str = "", after: int | None = None, size: int = 50) -> Page:
    """Return a page of the run's letters, those after the key `after`.

    Narrowed to a state (or an EventKind), and to those whose address contains `address`. Letters are in the order of
    their clients; queued ones in the order of the queue, so that each state is read by an index of its own.
    """
    where, parameters = _narrowed(run, state, address)
    order = "d.client_id"
    if state == DeliveryState.QUEUED:
        order = "d.due_at, d.id"
        last = Delivery.objects.filter(run=run, pk=after, state=state).first() if after is not None else None
        if last:  # a letter that has left the queue came before all the others
            where += " AND (d.due_at, d.id) > (%(due)s, %(after)s)"
            parameters |= {"due": last.due_at, "after": last.pk}
    elif after is not None:
        where += " AND d.client_id > %(after)s"
        parameters["after"] = after
    query = f"SELECT d.* FROM mailings_delivery d {where} ORDER BY {order} LIMIT %(limit)s"
    found = list(Delivery.objects.raw(query, {**parameters, "limit": size + 1}))
    page = found[:size]
    if len(found) <= size or not page:
        return Page(page, None)
    return Page(page, page[-1].pk if state == DeliveryState.QUEUED else page[-1].client_id)


def last_attempts(delivery_ids: Collection[int]) -> dict[int, Attempt]:
    """Return the last attempt of each of these letters that has one, by the letter's id."""
    found = Attempt.objects.filter(delivery__in=delivery_ids).order_by("delivery_id", "-claim").distinct("delivery_id")
    return {attempt.delivery_id: attempt for attempt in found}


def came_back(run: Run, client_ids: Collection[int]) -> dict[int, list[DeliveryEvent]]:
    """Return what came back of the run's letters to these clients, by the letter's id."""
    found: dict[int, list[DeliveryEvent]] = {}
    for event in DeliveryEvent.objects.filter(run_id=run.pk, kind__in=EventKind.values, client_id__in=client_ids):
        found.setdefault(event.delivery_id, []).append(event)
    return found


def attempts(delivery: Delivery) -> list[Attempt]:
    """Return all attempts of a letter with their workers, in order."""
    return list(delivery.tries.select_related("worker").order_by("claim"))


def export(run: Run, state: str = "", address: str = "") -> Iterator[Row]:
    """Yield the run's letters, narrowed as in `journal`, in the order of their clients; CHUNK at once in memory."""
    where, parameters = _narrowed(run, state, address)
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"{EXPORT} {where} ORDER BY d.client_id", {**parameters, "owner": run.owner_id, "day": run.day})
        while rows := cursor.fetchmany(CHUNK):
            yield from map(Row._make, rows)


def _narrowed(run: Run, state: str, address: str) -> tuple[str, dict[str, Any]]:
    where = "WHERE d.run_id = %(run)s"
    parameters: dict[str, Any] = {"run": run.pk}
    if state in EventKind.values:
        where = f"{EVENTS} {where}"
        parameters["state"] = state
    elif state:
        where += " AND d.state = %(state)s"
        parameters["state"] = state
    forms = {f"form{place}": form for place, form in enumerate(addresses.sought(address)) if form}
    if forms:
        parameters.update(forms)
        where += f" AND ({' OR '.join(f'strpos(d.address, %({name})s) > 0' for name in forms)})"
    return where, parameters
