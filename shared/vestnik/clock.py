"""The time, by the one clock that all hosts share: PostgreSQL's."""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """The database's clock_timestamp(), aware."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
