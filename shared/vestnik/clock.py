"""The time, by the one clock that all hosts share: PostgreSQL's."""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """Return the database's clock_timestamp(), an aware datetime in UTC."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
