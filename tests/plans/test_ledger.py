"""The ledger's statements are prepared: their plans, made whenever, have to suit every size of its tables.

Read are PostgreSQL's generic plans, on databases that it takes for small and for very large ones, with statistics that
are fresh, of long ago, or missing (`scale.py`). No statement may read a table that grows, walk one of its indexes, or
join it by hash or merge: that is what takes longer for each letter there ever was.
"""

import pytest

from dispatcher.ledger import statements
from tests.plans import reading
from tests.plans.conftest import Known
from tests.plans.scale import SMALL

STATEMENTS = [name for name, value in vars(statements).items() if reading.is_statement(name, value)]
FRAGMENTS = {"COUNT"}
"""Of other rooms, for statements."""


def test_all_statements_of_the_ledger_are_looked_at() -> None:
    assert {"CLAIM", "SETTLE", "GIVE_BACK", "RESCUE", "CLOSE_OUT", "NEXT_RUN", "TO_CLOSE"} <= set(STATEMENTS)


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - FRAGMENTS))
def test_a_statement_of_the_ledger_finds_its_rows_by_index_whatever_is_known_of_them(
    dispatchers: Known, name: str
) -> None:
    found = []
    for scale, connection in dispatchers:
        plan = reading.generic(connection, getattr(statements, name))
        if faults := reading.faults(plan, few=scale.statistics == SMALL):
            found.append(f"{scale}: {'; '.join(faults)}\n{reading.told(plan)}")
    assert not found, "\n\n".join([f"{name} does not scale.", *found])


# How CLAIM looked when a run of a million letters went out at a fortieth of the speed.
JOINED = """
    WITH chosen AS MATERIALIZED (
        SELECT id, client_id FROM mailings_delivery
        WHERE run_id = %(run)s AND state = 'queued' AND due_at <= statement_timestamp()
          AND (due_at, id) > (%(due)s::timestamptz, %(id)s::bigint)
        ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    UPDATE mailings_delivery d SET state = 'sending', worker_id = %(worker)s, claim = d.claim + 1
    FROM chosen LEFT JOIN clients_client c ON c.id = chosen.client_id
    WHERE d.id = chosen.id
    RETURNING d.id, c.full_name
"""


def test_a_claim_that_leaves_the_join_to_the_planner_is_found_out(dispatchers: Known) -> None:
    found = {
        str(scale): faults
        for scale, connection in dispatchers
        if (faults := reading.faults(reading.generic(connection, JOINED)))
    }

    assert "Hash Join of clients_client, mailings_delivery" in found["1,000,000 letters, statistics fresh, of one run"]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("SELECT sum(duration) FROM mailings_attempt", "reads all of mailings_attempt"),
        ("SELECT * FROM mailings_delivery WHERE run_id = %(run)s ORDER BY address", "reads a whole run"),
        (
            "SELECT * FROM mailings_delivery d JOIN unnest(%(ids)s::bigint[], %(n)s::int[]) AS it (id, n)"
            " ON it.n = d.claim WHERE d.state = 'queued' AND d.run_id = %(run)s",
            "compares each with each",
        ),
        ("SELECT * FROM mailings_tally WHERE worker_id = %(worker)s", "walks all of tally_once_per_hour"),
    ],
)
def test_what_does_not_scale_has_a_name(webs: Known, statement: str, fault: str) -> None:
    found = {fault for _, connection in webs for fault in reading.faults(reading.generic(connection, statement))}

    assert fault in found
