"""Importing clients from a CSV file: read row by row, streamed into a temporary table, merged set-wise.

What a file means:

- Addresses are normalised; a client whose address is there already is updated. An empty cell keeps what is there,
  attributes are merged by name, as the owner spells them. Of two rows with equal addresses the last one wins, cell by
  cell, by the same rule.
- Blank rows are skipped. Cells missing at a row's end are empty; more cells than the header has are refused,
  unless the surplus is empty.
- A row that cannot be taken is refused with a sentence; the others are imported all the same. A file that cannot be
  read, or a failure half-way, changes nothing.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from vestnik import addresses, fields, homepage_hint, planner
from vestnik.accounts.models import User
from vestnik.clients import attributes, csv_files
from vestnik.clients.csv_files import ImportRefused, Row, Sheet
from vestnik.clients.headers import Columns, first_of
from vestnik.clients.models import COMMENT_LENGTH, NAME_LENGTH, ClientList, name_key
from vestnik.clients.remarks import remarks
from vestnik.clients.statuses import Statuses
from vestnik.clients.suppressions import suppress_incoming

__all__ = ["ImportRefused", "ImportReport", "import_clients"]

PROGRESS_EVERY = 5000

SEEN = 1_000
"""Rows from which on it matters by which index their clients are looked up."""

ROWS_FOR_NAMES = 50_000
"""Rows in which new attributes are searched for beforehand."""

FEW, FEW_CHARACTERS = 50, 1_000
"""Attributes of a row, and characters of them, that need no check of their size: most rows have no more."""

_LOST = "\ufffd"
"""Stands for letters that could not be read, here or by another program before."""

_as_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: clients created, updated and left as they were; rows refused; clients new on the list.

    `repeated` are the good rows whose address another one has, too; `remarks` are sentences that people should read.
    """

    created: int
    updated: int
    unchanged: int
    refused: int
    listed: int
    repeated: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def clients(self) -> int:
        """How many clients the good rows are about."""
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
    encoding: str = "",
    delimiter: str = "",
) -> ImportReport:
    """Import the seekable CSV file `source` into the owner's clients, and onto the list that `find_list` returns.

    `find_list` is called last, and only if a row is good, so that nobody waits for the list's row while the file is
    read. `on_header` gets the columns' names and the delimiter, `on_refused` each refused row's line number, cells and
    reason, `on_progress` now and then how many rows were read. None of them may use the database: a COPY is under way.
    Where `encoding` and `delimiter` are not given they are found out. Raises ImportRefused, also where the encoding is
    not certain.
    """
    with connection.cursor() as cursor, csv_files.opened(source, encoding, delimiter) as sheet:
        on_header(sheet.header, sheet.delimiter)
        cursor.execute(CREATE_INCOMING)
        incoming = _Incoming(owner, sheet)
        refused = 0
        with cursor.copy(COPY_INCOMING) as copy:
            for count, row in enumerate(sheet.rows(), 1):
                try:
                    copy.write_row((count, *incoming.client(row)))
                except (addresses.InvalidAddress, ValidationError) as fault:
                    refused += 1
                    on_refused(row.line, row.cells, _sentence(fault))
                if on_progress and count % PROGRESS_EVERY == 0:
                    on_progress(count)
        cursor.execute(COMBINE_EQUAL_ADDRESSES)
        cursor.execute(ANALYZE_INCOMING)
        incoming.settle_spellings(cursor)
        cursor.execute(OUTGROWN)
        if any(outgrown for (outgrown,) in cursor.fetchall()):
            cursor.execute(ANALYZE_CLIENTS)
        too_much = incoming.take_out_what_is_too_much(cursor)
        cursor.execute(MERGE_CLIENTS, [owner.pk])
        created, updated, total = cursor.fetchone()
        suppressed = suppress_incoming(cursor, owner.pk) if incoming.statuses.number else 0
        listed = 0
        if find_list and total:
            client_list = find_list()
            if client_list.owner_id != owner.pk:
                raise ValidationError(_("The list is not the owner's."))
            if total >= SEEN:
                cursor.execute(ANALYZE_CLIENTS)
            cursor.execute(MERGE_MEMBERSHIPS, [client_list.pk, owner.pk])
            listed = cursor.rowcount
        cursor.execute(DROP_INCOMING)
        # A page that counted a list of 100,000 compared each client with each, where the tables had been empty before.
        planner.tell({"clients_client": created, "clients_membership": listed}, wait=False)
    refused_late = _refuse(too_much, source, sheet, on_refused) if too_much else 0
    if created:
        homepage_hint.changed()
    return ImportReport(
        created=created,
        updated=updated,
        unchanged=total - created - updated,
        refused=refused + refused_late,
        listed=listed,
        repeated=incoming.good - refused_late - total,
        remarks=remarks(sheet.header, sheet.columns, incoming.addresses_elsewhere, incoming.statuses, suppressed),
    )


def learn_names(owner: User, source: BinaryIO, encoding: str, delimiter: str) -> None:
    """Have the owner spell the new attributes of a seekable file as it does, in a transaction of its own.

    So nobody who saves a client with one of them waits until the file is imported. Names that its first rows do not use
    are learnt with the import. Raises what `import_clients` does.
    """
    used: dict[str, None] = {}
    with csv_files.opened(source, encoding, delimiter) as sheet:
        known = attributes.spellings(owner.pk)
        new = {name for name in sheet.columns.attributes.values() if attributes.key(name) not in known}
        for row in islice(sheet.rows(), ROWS_FOR_NAMES if new else 0):
            with suppress(addresses.InvalidAddress, ValidationError):
                used |= dict.fromkeys(name for name in _client(sheet.columns, row)[-1] if name in new)
            if len(used) == len(new):
                break
    with transaction.atomic():
        attributes.learn(owner.pk, used)


class _Incoming:
    """Turns a sheet's good rows into clients, counts them, and does what needs all of them together."""

    def __init__(self, owner: User, sheet: Sheet) -> None:
        self.good = 0
        self.addresses_elsewhere = 0
        self._owner = owner
        known = attributes.spellings(owner.pk)
        columns = sheet.columns
        spelled = {index: known.get(attributes.key(name), name) for index, name in columns.attributes.items()}
        self._columns = replace(columns, attributes=spelled)
        self._used: set[str] = set()
        self.statuses = Statuses(sheet.header, columns.statuses)

    def client(self, row: Row) -> tuple[str, str, str, str, str, bool]:
        """Return the row's address, full name, name key, comment, attributes, and whether its client wants no letters.

        Raises what refuses it.
        """
        email, full_name, key, comment, own = _client(self._columns, row)
        self.good += 1
        if self._columns.other_emails and not _has_address(row.cells[self._columns.email : self._columns.email + 1]):
            self.addresses_elsewhere += 1
        self._used.update(own)
        return email, full_name, key, comment, _as_json(own) if own else "{}", self.statuses.stops(row.cells)

    def settle_spellings(self, cursor: Any) -> None:
        """Have the owner spell new attributes as the file does; rename what was spelled otherwise meanwhile."""
        spelled = attributes.learn(self._owner.pk, self._used)
        for name in sorted(self._used):
            if (now := spelled[attributes.key(name)]) != name:
                cursor.execute(RENAME_INCOMING, {"before": name, "now": now})

    def take_out_what_is_too_much(self, cursor: Any) -> set[str]:
        """Take out clients whose attributes would be too many or too large with those they have; return their
        addresses.
        """
        if not self._used:
            return set()
        cursor.execute(TAKE_OUT, {"owner": self._owner.pk, "most": attributes.MOST, "bytes": attributes.MOST_BYTES})
        return {email for (email,) in cursor.fetchall()}


def _refuse(emails: set[str], source: BinaryIO, sheet: Sheet, on_refused: Callable[[int, list[str], str], None]) -> int:
    """Refuse the rows with these addresses, for which the file is read once more; return how many there are."""
    reason = _("The client would have more than %(most)d attributes, or more than %(kilobytes)d kB of them.") % {
        "most": attributes.MOST,
        "kilobytes": attributes.MOST_BYTES >> 10,
    }
    number = 0
    with csv_files.opened(source, sheet.found.encoding, sheet.delimiter) as again:
        for row in again.rows():
            with suppress(addresses.InvalidAddress, ValidationError):
                if _client(again.columns, row)[0] in emails:
                    on_refused(row.line, row.cells, reason)
                    number += 1
    return number


def _client(columns: Columns, row: Row) -> tuple[str, str, str, str, dict[str, str]]:
    """Return the row's address, full name, name key, comment and attributes by name. Raises what refuses it."""
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
    written = cells[columns.email]
    if columns.other_emails and not _has_address([written]):
        written = next((cells[other] for other in columns.other_emails if "@" in cells[other]), written)
    if not written:
        raise ValidationError(_("There is no e-mail address."))
    full_name = " ".join([cells[index] for index in columns.full_name if cells[index]])
    if not full_name and columns.instead:
        full_name = " ".join([cells[index] for index in columns.instead if cells[index]])
    if len(full_name) > NAME_LENGTH:
        raise ValidationError(
            _("The name is too long: %(length)d characters, at most %(limit)d.")
            % {"length": len(full_name), "limit": NAME_LENGTH}
        )
    if not full_name.isprintable():  # most are, and that is soon seen
        fields.validate_one_line(full_name)
    if _LOST in full_name:
        raise ValidationError(_("Letters of the name are lost: “�” stands where they were."))
    comment = "" if columns.comment is None else cells[columns.comment]
    if len(comment) > COMMENT_LENGTH:
        raise ValidationError(
            _("The comment is too long: %(length)d characters, at most %(limit)d.")
            % {"length": len(comment), "limit": COMMENT_LENGTH}
        )
    if _LOST in comment:
        raise ValidationError(_("Letters of the comment are lost: “�” stands where they were."))
    own = {name: cells[index] for index, name in columns.attributes.items() if cells[index]}
    if len(own) > FEW or sum(map(len, own.values())) > FEW_CHARACTERS:
        attributes.validate(own)
    for name, text in own.items():
        if _LOST in text:
            raise ValidationError(
                _("Letters of the attribute “%(name)s” are lost: “�” stands where they were.") % {"name": name}
            )
    email = addresses.normalise(first_of(written))
    return email, full_name, name_key(full_name), comment, own


def _has_address(cells: list[str]) -> bool:
    """Say whether a cell is meant as an address, right or wrong, and not “no e-mail” or a dash."""
    return any("@" in cell or "." in cell for cell in cells)


def _sentence(fault: ValidationError | addresses.InvalidAddress) -> str:
    return " ".join(fault.messages) if isinstance(fault, ValidationError) else fault.reason


# `row` keeps the file's order. Dropped by hand as well, for a second import in one transaction.
CREATE_INCOMING = """
    CREATE TEMPORARY TABLE incoming_clients (
        row bigint, email text COLLATE "C", full_name text, name_key text, comment text, attributes jsonb,
        stopped boolean
    ) ON COMMIT DROP
"""
COPY_INCOMING = "COPY incoming_clients (row, email, full_name, name_key, comment, attributes, stopped) FROM STDIN"
ANALYZE_INCOMING = "ANALYZE incoming_clients"
RENAME_INCOMING = """
    UPDATE incoming_clients
    SET attributes = attributes - %(before)s::text || jsonb_build_object(%(now)s::text, attributes -> %(before)s::text)
    WHERE attributes ? %(before)s::text
"""
DROP_INCOMING = "DROP TABLE incoming_clients"

# All indexes of clients but the key begin with the owner. Where the statistics know of none of the owner's clients, the
# planner takes the smallest for as good as the one of addresses, and walks all of the owner's clients for each row.
OUTGROWN = """
    SELECT now_known.n_mod_since_analyze > greatest(relation.reltuples, 1000)
    FROM pg_class AS relation JOIN pg_stat_user_tables AS now_known ON now_known.relid = relation.oid
    WHERE relation.oid = 'clients_client'::regclass
"""
ANALYZE_CLIENTS = "ANALYZE (SKIP_LOCKED) clients_client"

# ON CONFLICT takes no row twice, so equal addresses become one row first: of each cell the last that is not empty.
# Only they are touched; a file without any is read once here. Rows are deleted by their place (ctid): found by their
# addresses, each would be compared with each, where the session does not hash (docs/decisions/0028).
COMBINE_EQUAL_ADDRESSES = """
    WITH taken AS (
        DELETE FROM incoming_clients WHERE ctid = ANY (ARRAY(
            SELECT place FROM (
                SELECT ctid AS place, count(*) OVER (PARTITION BY email) AS number FROM incoming_clients
            ) AS counted WHERE number > 1
        ))
        RETURNING *
    ), combined AS (
        SELECT
            email, max(row) AS row, array_agg(attributes ORDER BY row) AS attributes,
            (array_agg(full_name ORDER BY row DESC) FILTER (WHERE full_name <> ''))[1] AS full_name,
            (array_agg(name_key ORDER BY row DESC) FILTER (WHERE full_name <> ''))[1] AS name_key,
            (array_agg(comment ORDER BY row DESC) FILTER (WHERE comment <> ''))[1] AS comment,
            bool_or(stopped) AS stopped
        FROM taken GROUP BY email
    )
    INSERT INTO incoming_clients (row, email, full_name, name_key, comment, stopped, attributes)
    SELECT row, email, coalesce(full_name, ''), coalesce(name_key, ''), coalesce(comment, ''), stopped, coalesce((
        SELECT jsonb_object_agg(key, value ORDER BY place)
        FROM unnest(attributes) WITH ORDINALITY AS one (own, place), jsonb_each(own)
    ), '{}')
    FROM combined
"""

# Attributes that are small enough in any case, even compressed, are not counted; for a row without any, not even the
# client is looked up.
TAKE_OUT = """
    WITH united AS (
        SELECT incoming.ctid AS place, coalesce(client.attributes, '{}') || incoming.attributes AS attributes
        FROM incoming_clients AS incoming
        LEFT JOIN LATERAL (
            SELECT attributes FROM clients_client WHERE owner_id = %(owner)s AND email = incoming.email LIMIT 1
        ) AS client ON true
        WHERE incoming.attributes <> '{}'
            AND coalesce(pg_column_size(client.attributes), 0) + pg_column_size(incoming.attributes) > 300
            AND NOT coalesce(client.attributes @> incoming.attributes, false)
    )
    DELETE FROM incoming_clients WHERE ctid = ANY (ARRAY(
        SELECT place FROM united WHERE (
            SELECT count(*) > %(most)s OR sum(octet_length(key) + octet_length(value)) > %(bytes)s
            FROM jsonb_each_text(attributes)
        )
    ))
    RETURNING email
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
    SELECT %s, client.id FROM incoming_clients
    CROSS JOIN LATERAL (
        SELECT id FROM clients_client WHERE owner_id = %s AND email = incoming_clients.email LIMIT 1
    ) client
    ORDER BY client.id
    ON CONFLICT (client_list_id, client_id) DO NOTHING
"""
