"""Django's `flush`, which ends each test that commits, at a fiftieth of its time.

Django truncates all tables, and makes types, permissions and groups again. Here what a test wrote is deleted, and those
stay, unless the test changed them or filled tables with more than is soon deleted: then Django's own way is taken.
"""

from typing import Any, ClassVar

from django.core.management.commands import flush
from django.db import connection, transaction

KEPT = ("django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions")
"""What migrations leave rows in."""

LARGE = 2**20
"""Bytes of a table that are rather truncated, with what was deleted in it before."""

STATE = "SELECT " + ", ".join(f"(SELECT md5(string_agg(it::text, ' ' ORDER BY id)) FROM {table} it)" for table in KEPT)

OTHERS = """
    SELECT string_agg(oid::regclass::text, ', '), max(pg_relation_size(oid)) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL (%s)
"""

# Whoever still writes is waited for, as by TRUNCATE. Keys between tables are not looked at: all of them are emptied.
EMPTY = """
    LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE;
    SET LOCAL session_replication_role = replica;
    {deletes}
"""


class Command(flush.Command):
    migrated: ClassVar[Any] = None
    """What is in the tables that are kept, as soon as Django's way was taken once."""

    def handle(self, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(OTHERS, [list(KEPT)])
            tables, size = cursor.fetchone()
            if size > LARGE or self.state() != Command.migrated:
                super().handle(**options)
                Command.migrated = self.state()
                return
            deletes = ";".join(f"DELETE FROM {table}" for table in tables.split(", "))
            with transaction.atomic():
                cursor.execute(EMPTY.format(tables=tables, deletes=deletes))

    def state(self) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(STATE)
            return cursor.fetchone()
