"""Telling PostgreSQL's planner of rows that were written at once, and not when autovacuum comes around."""

from collections.abc import Mapping

from django.db import connection

MANY = 10_000
"""Rows of which the planner is told whatever it knows."""

SOME = 1_000
"""Rows of which it is told where it knows of fewer: fewer than these are gone through in no time."""

# Of a table that was found empty with its pages still there, the planner expects no rows however many are written then:
# walking a whole index looks as cheap as looking one of its keys up (docs/decisions/0037).
KNOWN = "SELECT relname, reltuples FROM pg_class WHERE oid = ANY (%(tables)s::text[]::regclass[])"


def tell(written: Mapping[str, int], *, wait: bool) -> None:
    """ANALYZE the tables into which so many rows were written, if that changes what the planner should expect.

    It takes some tenths of a second, however large a table is. With `wait` for whoever else analyses one; a transaction
    that goes on may not.
    """
    many = [table for table, rows in written.items() if rows >= MANY]
    some = {table: rows for table, rows in written.items() if SOME <= rows < MANY}
    with connection.cursor() as cursor:
        if some:
            cursor.execute(KNOWN, {"tables": list(some)})
            many += [table for table, known in cursor.fetchall() if some[table] > known]
        if many:
            cursor.execute(f"ANALYZE {'' if wait else '(SKIP_LOCKED) '}{', '.join(many)}")
