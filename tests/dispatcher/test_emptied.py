"""Tables that were found empty with their pages still there, as after everything was deleted: the planner expects no
rows in them, however many are written then, until it is told (docs/decisions/0037).
"""

import io
from collections.abc import Iterator

import pytest
from django.db import connection

from dispatcher.ledger import statements
from dispatcher.runs import launching
from dispatcher.sending import gate
from tests.plans import reading
from vestnik import planner
from vestnik.accounts.models import User
from vestnik.clients import verbs
from vestnik.clients.importing import import_clients
from vestnik.clients.models import ClientList
from vestnik.testing.factories import make_mailing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]

CLIENTS = 2_000
TABLES = ("mailings_delivery", "clients_membership", "clients_client")
NOTICED = "SELECT relname, reltuples, relpages > 0 FROM pg_class WHERE relname = ANY (%s)"
HOT = {
    **{name: value for name, value in vars(statements).items() if reading.is_statement(name, value)},
    "SOMETHING_COMES": gate.SOMETHING_COMES,
}
del HOT["COUNT"]  # a part of others


@pytest.fixture
def emptied(alice: User) -> Iterator[ClientList]:
    """A list of Alice's in an installation that has had clients and letters, and has none."""
    everybody = verbs.create_list(alice, "Everybody")
    with connection.cursor() as cursor:
        for table in TABLES:  # nobody but us tells the planner anything
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        _import(alice, everybody)
        launching.launch(make_mailing(alice, lists=[everybody]).pk)
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
            cursor.execute(f"ANALYZE {table}")
        yield everybody
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")


def _import(owner: User, client_list: ClientList) -> None:
    rows = "".join(f"client{n}@example.org\n" for n in range(CLIENTS))
    report = import_clients(owner, io.BytesIO(f"email\n{rows}".encode()), find_list=lambda: client_list)
    assert report.listed == CLIENTS


def _known() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(NOTICED, [list(TABLES)])
        found = cursor.fetchall()
    assert all(pages for _, _, pages in found)
    return {table: int(rows) for table, rows, _ in found}


def test_an_import_and_a_launch_tell_of_their_rows_where_the_planner_knew_of_none(alice, emptied):
    assert set(_known().values()) == {0}

    _import(alice, emptied)
    (run,) = launching.launch(make_mailing(alice, lists=[emptied]).pk)

    assert run.total == CLIENTS
    assert set(_known().values()) == {CLIENTS}


def test_the_run_after_it_finds_its_letters_by_index(alice, emptied):
    _import(alice, emptied)
    launching.launch(make_mailing(alice, lists=[emptied]).pk)

    # Of the tables that were emptied: what others hold by chance here is a row or two, and any index is as good there.
    plans = {name: reading.generic(connection.connection, statement) for name, statement in HOT.items()}
    assert not {name: faults for name, plan in plans.items() if (faults := reading.faults(plan, TABLES))}


def test_what_the_planner_knows_of_is_not_told_again(alice, emptied, django_assert_num_queries):
    _import(alice, emptied)

    with django_assert_num_queries(1):
        planner.tell({"clients_client": CLIENTS}, wait=True)
    with django_assert_num_queries(0):
        planner.tell({"clients_client": planner.SOME - 1}, wait=True)
    with django_assert_num_queries(1):
        planner.tell({"clients_client": planner.MANY}, wait=True)
