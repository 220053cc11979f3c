"""Importing clients from a CSV file: read row by row, streamed into a temporary table, merged set-wise.

What a file means:

- Addresses are normalised; a client whose address is there already is updated. An empty cell keeps what is there,
  attributes are merged by name. Of two rows with equal addresses the last one wins, cell by cell, by the same rule.
- Blank rows are passed over. Cells missing at a row's end are empty; more cells than the header has are refused,
  unless the surplus is empty.
- A row that cannot be taken is refused with a sentence; the others are imported all the same. A file that cannot be
  read, or a failure half-way, changes nothing.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from vestnik import addresses, fields
from vestnik.accounts.models import User
from vestnik.clients import csv_files
from vestnik.clients.csv_files import Columns, ImportRefused, Row
from vestnik.clients.models import NAME_LENGTH, ClientList, name_key
from vestnik.front import figures

__all__ = ["ImportRefused", "ImportReport", "import_clients"]

PROGRESS_EVERY = 5000

MANY = 10_000
"""Clients after which the planner is told at once: until autovacuum does, it would take tables for what they were."""

_as_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: clients created, updated and left as they were; rows refused; clients new on the list."""

    created: int
    updated: int
    unchanged: int
    refused: int
    listed: int

    @property
    def clients(self) -> int:
        """How many clients the good rows spoke of."""
        return self.created + self.updated + self.unchanged


def _ignore(*_args: object) -> None:
    pass


@transaction.atomic
def import_clients(
    owner: User,
    source: BinaryIO,
    find_list: Callable[[], ClientList] | None = None,
    on_refused: Callable[[int, list[str], str], None] = _ignore,
    on_progress: Callable[[int], None] | None = None,
    on_header: Callable[[list[str], str], None] = _ignore,
) -> ImportReport:
    """Import the seekable CSV file `source` into the owner's clients, and onto the list that `find_list` gives.

    That is asked last, and only if a row is good, so that nobody waits for the list's row while the file is read.
    `on_header` is told the columns' names and the delimiter, `on_refused` each refused row's line number, cells and
    reason, `on_progress` now and then how many rows were read. None of them may use the database: a COPY is under way.
    Raises ImportRefused.
    """
    with connection.cursor() as cursor, csv_files.opened(source) as sheet:
        on_header(sheet.header, sheet.delimiter)
        cursor.execute(CREATE_INCOMING)
        refused = 0
        with cursor.copy(COPY_INCOMING) as copy:
            for count, row in enumerate(sheet.rows(), 1):
                try:
                    copy.write_row((count, *_client(sheet.columns, row)))
                except (addresses.InvalidAddress, ValidationError) as fault:
                    refused += 1
                    on_refused(row.line, row.cells, _sentence(fault))
                if on_progress and count % PROGRESS_EVERY == 0:
                    on_progress(count)
        cursor.execute(COMBINE_EQUAL_ADDRESSES)
        cursor.execute(ANALYZE_INCOMING)
        cursor.execute(MERGE_CLIENTS, [owner.pk])
        created, updated, total = cursor.fetchone()
        listed = 0
        if find_list and total:
            client_list = find_list()
            if client_list.owner_id != owner.pk:
                raise ValidationError(_("The list is not the owner's."))
            cursor.execute(MERGE_MEMBERSHIPS, [client_list.pk, owner.pk])
            listed = cursor.rowcount
        cursor.execute(DROP_INCOMING)
        if max(created, listed) >= MANY:
            cursor.execute(ANALYZE_GROWN)
    if created:
        figures.changed()
    return ImportReport(created, updated, total - created - updated, refused, listed)


def _client(columns: Columns, row: Row) -> tuple[str, str, str, str, str]:
    """The row's address, full name, name key, comment and attributes. Raises what refuses it."""
    if row.fault:
        raise ValidationError(row.fault)
    cells = [cell.strip() for cell in row.cells]
    if len(cells) < columns.count:
        cells += [""] * (columns.count - len(cells))
    elif any(cells[columns.count :]):
        raise ValidationError(
            _("The row has %(cells)d cells, the header only %(columns)d.")
            % {"cells": len(cells), "columns": columns.count}
        )
    if not cells[columns.email]:
        raise ValidationError(_("There is no e-mail address."))
    full_name = " ".join([cells[index] for index in columns.full_name if cells[index]])
    if len(full_name) > NAME_LENGTH:
        raise ValidationError(
            _("The name is too long: %(length)d characters, at most %(limit)d.")
            % {"length": len(full_name), "limit": NAME_LENGTH}
        )
    fields.validate_one_line(full_name)
    attributes = {name: cells[index] for index, name in columns.attributes.items() if cells[index]}
    return (
        addresses.normalise(cells[columns.email]),
        full_name,
        name_key(full_name),
        "" if columns.comment is None else cells[columns.comment],
        _as_json(attributes) if attributes else "{}",
    )


def _sentence(fault: ValidationError | addresses.InvalidAddress) -> str:
    return " ".join(fault.messages) if isinstance(fault, ValidationError) else fault.reason


# `row` keeps the file's order. Dropped by hand as well, for a second import in one transaction.
CREATE_INCOMING = """
    CREATE TEMPORARY TABLE incoming_clients (
        row bigint, email text COLLATE "C", full_name text, name_key text, comment text, attributes jsonb
    ) ON COMMIT DROP
"""
COPY_INCOMING = "COPY incoming_clients (row, email, full_name, name_key, comment, attributes) FROM STDIN"
ANALYZE_INCOMING = "ANALYZE incoming_clients"
DROP_INCOMING = "DROP TABLE incoming_clients"

# A page that counted a list of 100,000 compared each client with each, where the tables had been empty a moment before.
ANALYZE_GROWN = "ANALYZE (SKIP_LOCKED) clients_client, clients_membership"

# ON CONFLICT takes no row twice, so equal addresses become one row first: of each cell the last that is not empty.
# Only they are touched; a file without any is read once here.
COMBINE_EQUAL_ADDRESSES = """
    WITH doubled AS (
        SELECT email FROM incoming_clients GROUP BY email HAVING count(*) > 1
    ), taken AS (
        DELETE FROM incoming_clients USING doubled WHERE incoming_clients.email = doubled.email
        RETURNING incoming_clients.*
    ), attributes AS (
        SELECT email, jsonb_object_agg(key, value ORDER BY row) AS attributes
        FROM taken, jsonb_each(taken.attributes) GROUP BY email
    ), combined AS (
        SELECT
            email, max(row) AS row,
            (array_agg(full_name ORDER BY row DESC) FILTER (WHERE full_name <> ''))[1] AS full_name,
            (array_agg(name_key ORDER BY row DESC) FILTER (WHERE full_name <> ''))[1] AS name_key,
            (array_agg(comment ORDER BY row DESC) FILTER (WHERE comment <> ''))[1] AS comment
        FROM taken GROUP BY email
    )
    INSERT INTO incoming_clients (row, email, full_name, name_key, comment, attributes)
    SELECT
        combined.row, combined.email, coalesce(full_name, ''), coalesce(name_key, ''), coalesce(comment, ''),
        coalesce(attributes.attributes, '{}')
    FROM combined LEFT JOIN attributes USING (email)
"""

# In the order of addresses, so that two imports at once wait for each other instead of locking each other out.
# An inserted row has no xmax; one that would stay as it is, is not returned.
MERGE_CLIENTS = """
    WITH merged AS (
        INSERT INTO clients_client AS client
            (owner_id, email, full_name, name_key, comment, attributes, created_at, updated_at)
        SELECT %s, email, full_name, name_key, comment, attributes, now(), now() FROM incoming_clients ORDER BY email
        ON CONFLICT (owner_id, email) DO UPDATE SET
            full_name = coalesce(nullif(excluded.full_name, ''), client.full_name),
            name_key = CASE WHEN excluded.full_name = '' THEN client.name_key ELSE excluded.name_key END,
            comment = coalesce(nullif(excluded.comment, ''), client.comment),
            attributes = client.attributes || excluded.attributes,
            updated_at = excluded.updated_at
        WHERE excluded.full_name NOT IN ('', client.full_name)
            OR excluded.comment NOT IN ('', client.comment)
            OR NOT client.attributes @> excluded.attributes
        RETURNING xmax = 0 AS created
    )
    SELECT
        count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created), (SELECT count(*) FROM incoming_clients)
    FROM merged
"""

MERGE_MEMBERSHIPS = """
    INSERT INTO clients_membership (client_list_id, client_id)
    SELECT %s, client.id FROM incoming_clients JOIN clients_client AS client USING (email) WHERE client.owner_id = %s
    ORDER BY client.id
    ON CONFLICT (client_list_id, client_id) DO NOTHING
"""
