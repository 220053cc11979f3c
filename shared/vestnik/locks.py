"""Locks of PostgreSQL that several processes see."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def alone(name: str, number: int = 0) -> Iterator[bool]:
    """Whether nobody else in the installation does this, with this number; and nobody will while it lasts.

    The lock is the connection's and not a transaction's: none has to be open meanwhile. It ends with the process.
    """
    taken = _ask("SELECT pg_try_advisory_lock(hashtextextended(%s, %s))", name, number)
    try:
        yield taken
    finally:
        if taken:
            _ask("SELECT pg_advisory_unlock(hashtextextended(%s, %s))", name, number)


def _ask(query: str, name: str, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(query, [name, number])
        return bool(cursor.fetchone()[0])
