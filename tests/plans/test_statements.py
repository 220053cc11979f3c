"""The statements that stand by name in the rooms of core and dispatcher: planned when they run, with the values of the
moment and the size of the moment. What the planner knows of the rows may still be old, or nothing.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import dispatcher
import vestnik
from dispatcher.ledger import statements
from tests.plans import reading
from tests.plans.conftest import Known
from vestnik.clients import importing
from vestnik.mailings.ledger import events

VALUES: dict[str, Any] = {
    "address": "client3@example.org",
    "addresses": ["client3@example.org", "client4@example.org"],
    "after": 0,
    "answer": "550 5.1.1 no such mailbox",
    "before": "town",
    "bounce": "hard",
    "bounced": 1,
    "bytes": 32 << 10,
    "cause": "failed-permanent-550",
    "chunk": 20_000,
    "client": 2**62,
    "clients": [3, 4, 5],
    "by_person": True,
    "code": 550,
    "complained": 0,
    "counted": "1 day",
    "day": datetime.now(UTC).date(),
    "dead": 1,
    "deliveries": [10, 20],
    "give_up_after": "3 days",
    "grace": "10 seconds",
    "ids": None,
    "in_hand": [1, 2],
    "keep": ["city"],
    "kind": "bounced",
    "letters": [10, 20, 30],
    "lists": [1, 2],
    "longest": 86_400,
    "mailings": [1, 2],
    "mailings_alone": True,
    "most": 50_000,
    "name": "lock",
    "list": 1,
    "new": 1,
    "first": 400,
    "now": "city",
    "only": None,
    "outcome": "permanent",
    "opened": datetime.now(UTC),
    "owner": 1,
    "page": 2_000,
    "letter": 10,
    "reason": "unsubscribed",
    "run": 400,
    "runs": [398, 399, 400],
    "service": False,
    "settled_at": datetime.now(UTC),
    "single": [3, 4, 5],
    "size": 51,
    "source": "mail",
    "since": None,
    "state": "failed",
    "states": ["failed"],
    "status": "5.1.1",
    "tables": ["clients_client"],
    "until": None,
    "version": 1,
    "wait": "30 seconds",
}
"""Of the sample, by the names that statements give them."""

PLACES: dict[str, tuple[Any, ...]] = {
    "vestnik.blog.view_counter.ADD": (["a-post"], [1]),
    "dispatcher.sending.leases.BEAT": (1,),
    "dispatcher.sending.leases.END": (1,),
    "dispatcher.runs.dry_run.LEFT": (400,),
    "vestnik.clients.importing.MERGE_CLIENTS": (1,),
    "vestnik.clients.importing.MERGE_MEMBERSHIPS": (1, 1),
    "vestnik.clients.verbs.PUT": ([1, 2], [3, 4, 5]),
}
"""Values of statements that do not name them."""

ASIDE = {"migrations", "__main__", "settings", "testing", "demo", "actors", "schedule", "main"}
"""Modules that have none, or that do something when they are imported."""

NOT_RUN = {
    "vestnik.mailings.ledger.tallies.COUNT": "a part of others",
    "vestnik.mailings.ledger.retries.COUNT": "the same",
    "vestnik.mailings.stops.OF_LETTER": "a part of others",
    "vestnik.mailings.stops.OF_CLIENT": "the same",
    "vestnik.mailings.stops.OF_AUDIENCE": "the same",
    "vestnik.mailings.ledger.statistics.journal.EXPORT": "a part of others: without what narrows it to a run",
    "vestnik.metrics.collector.TOTALS": "reads all tallies, beside a scrape, and is kept for twenty times as long",
}


def named_statements() -> Iterator[str]:
    """The names of all statements of both packages but the ledger's."""
    seen = {value for value in vars(statements).values() if isinstance(value, str)}
    for package in (vestnik, dispatcher):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ASIDE.intersection(module.name.split(".")):
                continue
            room = importlib.import_module(module.name)
            if room is statements:
                continue
            for name, value in vars(room).items():
                whole = reading.is_statement(name, value) and "{" not in value.replace("'{}'", "")
                if whole and value not in seen and f"{module.name}.{name}" not in NOT_RUN:
                    seen.add(value)
                    yield f"{module.name}.{name}"


@pytest.fixture(scope="module")
def known(dispatchers: Known, webs: Known) -> dict[str, Known]:
    """Connections of each service, with an import's temporary table, analysed as the import does it.

    Files are imported by both services: by an actor of the dispatcher's, and by a command of the web's.
    """
    for _, connection in [*dispatchers, *webs]:
        connection.execute(importing.CREATE_INCOMING.replace("ON COMMIT DROP", ""))
        connection.execute(
            "INSERT INTO incoming_clients SELECT n, 'new' || n, '', '', '', '{}' FROM generate_series(1, 500) n"
        )
        connection.execute(importing.ANALYZE_INCOMING)
    return {
        "dispatcher": dispatchers,
        "vestnik": webs,
        **{room.__name__: [*dispatchers, *webs] for room in (importing, events)},
    }


@pytest.mark.parametrize("name", list(named_statements()))
def test_a_statement_finds_its_rows_by_index_whatever_is_known_of_them(known: dict[str, Known], name: str) -> None:
    module, _, constant = name.rpartition(".")
    statement = getattr(importlib.import_module(module), constant)
    found = []
    for scale, connection in known.get(module) or known[module.partition(".")[0]]:
        plan = reading.of(connection, statement, PLACES.get(name, VALUES))
        if faults := reading.faults(plan, reading.large(connection)):
            found.append(f"{scale}: {'; '.join(faults)}\n{reading.told(plan)}")
    assert not found, "\n\n".join([f"{name} does not scale.", *found])


def test_the_statements_of_all_rooms_are_looked_at() -> None:
    rooms = {name.rpartition(".")[0].rpartition(".")[2] for name in named_statements()}

    assert {"retries", "dead_letters", "alerts", "account_erasure", "refill", "gate", "leases", "importing"} <= rooms
