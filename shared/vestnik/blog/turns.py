"""Posts are changed by one at a time: which pages a change touches depends on all the others."""

from django.db import connection

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('vestnik.blog', 0))"


def wait() -> None:
    """Wait until nobody else is at it; whoever comes now waits until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
