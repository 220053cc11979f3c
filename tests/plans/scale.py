"""Databases that PostgreSQL's planner takes for large ones: a sample of rows, and empty pages in sparse files.

The planner asks the file system how large a table is, and multiplies by what the statistics say of its rows. So a table
of ten million rows takes a moment to make, and a plan to it is the one that real rows would get.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.plans.sample import FIRST, SAMPLE, YOUNG

Connection = psycopg.Connection[Any]

ROOT = Path(__file__).parents[2]
PAGE = 8192
SEGMENT = 131_072
"""Pages of a file; then another begins."""

SIZES = (10_000, 1_000_000, 10_000_000)

ONE_SIZE = (1_000_000,)
"""Where all that is large is known, as it is beside fresh statistics: which are read at all sizes."""

SMALLEST = "plans_sample"
"""The database with the sample itself."""

FRESH, FIRST_RUN, STALE, ABSENT, EMPTIED = "fresh", "fresh, of one run", "stale", "absent", "of no rows"
SMALL, EMPTY = "small", "empty"

"""What the planner knows: all; all, of one run that nothing was sent of; what was so when there were twenty rows;
nothing; that there is nothing, of what was deleted and came again, but for what it is told of (docs/decisions/0037);
and two databases as they are when a process prepares its statements early: of twenty rows, and of none.
"""

GROWS = {
    "mailings_delivery": 1.0,
    "mailings_attempt": 1.0,
    "clients_client": 1.0,
    "clients_membership": 1.0,
    "clients_suppression": 0.25,
    "mailings_deliveryevent": 0.05,
    "mailings_tally": 0.01,
    "accounts_accountletter": 0.01,
    "mailings_run": 0.001,
    "mailings_mailing": 0.001,
    "mailings_message": 0.001,
    "mailings_mailing_lists": 0.001,
    "mailings_mailing_clients": 0.001,
    "mailings_deadletterreport": 0.001,
    "clients_clientlist": 0.001,
    "clients_clientimport": 0.001,
    "clients_clientlistuserobjectpermission": 0.003,
    "mailings_messageuserobjectpermission": 0.003,
    "mailings_mailinguserobjectpermission": 0.003,
    "accounts_user": 0.001,
    "accounts_submission": 0.001,
    "django_session": 0.001,
}
"""Tables that grow, with rows for each letter. What a person has few of, or an installation, is not among them."""


LEDGER = {
    "mailings_worker",
    "mailings_run",
    "mailings_delivery",
    "mailings_attempt",
    "mailings_deliveryevent",
    "mailings_tally",
}
KEPT = {*LEDGER, "accounts_user", "accounts_accountletter", "clients_clientlist", "clients_suppression"}
DELETED = [table for table in SAMPLE if table not in KEPT]
"""What people delete all of, in the order of SAMPLE, where they begin again: nothing is removed from the ledger, nor
from what is known of account mail, nor from the suppression list: who is lifted stays on record.
"""


@dataclass(frozen=True)
class Scale:
    """A database of so many letters, what the planner knows of it, and how to reach it."""

    letters: int
    statistics: str
    url: str

    def __str__(self) -> str:
        return f"{self.letters:,} letters, statistics {self.statistics}"


def scales(server: str) -> list[Scale]:
    """Databases of all sizes, with all kinds of statistics, at the server that this URL leads to."""
    empty = _made(server, "plans_empty", "")
    _migrate(empty)
    found = [Scale(0, EMPTY, empty)]
    for number, (statistics, fill) in enumerate(FILLS.items()):
        name = SMALLEST if statistics == FRESH else f"plans_{number}"
        url = _made(server, name, "plans_empty")
        with psycopg.connect(url, autocommit=True) as connection:
            fill(connection)
        if statistics == SMALL:
            found.append(Scale(20, SMALL, url))
            continue
        for letters in ONE_SIZE if statistics == EMPTIED else SIZES:
            url = _made(server, f"{name}_{letters}", name)
            with psycopg.connect(url, autocommit=True) as connection:
                _grow(connection, letters, known=statistics in (FRESH, FIRST_RUN, EMPTIED))
            found.append(Scale(letters, statistics, url))
    return found


def drop(server: str) -> None:
    """Take them away again."""
    with psycopg.connect(server, autocommit=True) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'plans%'").fetchall():
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _made(server: str, name: str, template: str) -> str:
    """A new database, made of another if one is named; its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _migrate(url: str) -> None:
    migrate = [sys.executable, "services/web/manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, check=True)
    with psycopg.connect(url, autocommit=True) as connection:
        for table in GROWS:  # nobody but this tells the planner anything
            connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")


def _fill(connection: Connection, rows: dict[str, str], *, analyze: bool) -> None:
    for table, statement in rows.items():
        connection.execute(statement)
        connection.execute(COUNT_ON, {"table": table})
    if analyze:
        connection.execute("ANALYZE")


def _fill_late(connection: Connection) -> None:
    """Tell the planner of a few rows, and put many in their place."""
    _fill(connection, YOUNG, analyze=True)
    for table in reversed(YOUNG):
        connection.execute(f"DELETE FROM {table}")
    _fill(connection, SAMPLE, analyze=False)


def _fill_again(connection: Connection) -> None:
    """Put rows in the place of all that people can delete, and tell the planner of clients, as imports do."""
    _fill(connection, SAMPLE, analyze=True)
    connection.execute("UPDATE mailings_run SET mailing_id = NULL")
    for table in reversed(DELETED):
        connection.execute(f"DELETE FROM {table}")
        connection.execute(f"VACUUM (ANALYZE, TRUNCATE off) {table}")  # as beside whoever reads the table
    _fill(connection, {table: SAMPLE[table] for table in DELETED}, analyze=False)
    connection.execute("UPDATE mailings_run SET mailing_id = id")
    connection.execute("ANALYZE clients_client, clients_membership")


FILLS: dict[str, Callable[[Connection], None]] = {
    FRESH: partial(_fill, rows=SAMPLE, analyze=True),
    FIRST_RUN: partial(_fill, rows=FIRST, analyze=True),
    STALE: _fill_late,
    ABSENT: partial(_fill, rows=SAMPLE, analyze=False),
    EMPTIED: _fill_again,
    SMALL: partial(_fill, rows=YOUNG, analyze=True),
}


def _grow(connection: Connection, letters: int, *, known: bool) -> None:
    """Give each table that grows, and its indexes, the pages it has beside so many letters; `known`: and tell so."""
    ((directory,),) = connection.execute("SHOW data_directory").fetchall()
    for table, rate in GROWS.items():
        ((rows,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        if not rows:
            continue
        factor = max(1.0, letters * rate / rows)
        files = connection.execute(FILES, {"table": table}).fetchall()
        for oid, path, pages in files:
            _extend(Path(directory, path), math.ceil(pages * factor))
            if known:
                connection.execute(TOLD, {"oid": oid, "factor": factor})


def _extend(path: Path, pages: int) -> None:
    for number in range(math.ceil(pages / SEGMENT)):
        segment = path.with_name(f"{path.name}.{number}") if number else path
        new = not segment.exists()
        size = min(SEGMENT, pages - number * SEGMENT) * PAGE
        if new:
            segment.touch(0o600)
            os.chown(segment, path.stat().st_uid, path.stat().st_gid)
        os.truncate(segment, max(size, segment.stat().st_size))


COUNT_ON = """
    SELECT setval(sequence, 1_000_000)
    FROM (SELECT pg_get_serial_sequence(table_name, 'id') AS sequence FROM information_schema.columns
          WHERE table_name = %(table)s AND column_name = 'id') AS it
"""
FILES = """
    SELECT %(table)s::regclass::oid, pg_relation_filepath(%(table)s), pg_relation_size(%(table)s::regclass) / 8192
    UNION ALL
    SELECT indexrelid, pg_relation_filepath(indexrelid), pg_relation_size(indexrelid) / 8192
    FROM pg_index WHERE indrelid = %(table)s::regclass
"""
TOLD = """
    UPDATE pg_class SET reltuples = reltuples * %(factor)s, relpages = ceil(relpages * %(factor)s) WHERE oid = %(oid)s
"""
