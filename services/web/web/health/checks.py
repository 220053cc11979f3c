"""What the web needs to serve, each part asked by itself. Words for operators, and nothing secret in them."""

import time
from functools import cache

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from vestnik import redis_client
from vestnik.bounded_calls import BoundedCall
from vestnik.redis_client import impatient_redis

SECONDS = 1.0
"""How long the parts are waited for, all together."""

OK = "ok"


def ready() -> dict[str, str]:
    """Return the parts by their names, each with "ok" or with what is wrong with it."""
    until = time.monotonic() + SECONDS
    waiting = [(names, question.start()) for names, question in QUESTIONS.items()]
    parts: dict[str, str] = {}
    for names, wait in waiting:
        parts |= wait(until) or dict.fromkeys(names, redis_client.SILENT)
    return parts


def _ask_database() -> dict[str, str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return {"database": OK, "migrations": _migrations()}
    except Error:
        return {"database": redis_client.SILENT, "migrations": "unknown"}
    finally:
        connection.close()


_migrated = False


def _migrations() -> str:
    """Say which are not applied, or “ok”. Once all are they stay so: other code comes with other processes."""
    global _migrated
    if not _migrated:
        applied = MigrationRecorder(connection).applied_migrations()
        missing = [leaf for leaf in _newest_migrations() if leaf not in applied]
        if missing:
            return f"not applied: {', '.join(sorted(app for app, _ in missing))}"
        _migrated = True
    return OK


@cache
def _newest_migrations() -> list[tuple[str, str]]:
    return list(MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes())


def _ask_queue() -> dict[str, str]:
    return {"queue": redis_client.fault(impatient_redis(settings.REDIS_URL)) or OK}


def _ask_cache() -> dict[str, str]:
    return {"cache": redis_client.fault(impatient_redis(settings.CACHE_URL)) or OK}


QUESTIONS = {
    ("database", "migrations"): BoundedCall("ready-database", _ask_database),
    ("queue",): BoundedCall("ready-queue", _ask_queue),
    ("cache",): BoundedCall("ready-cache", _ask_cache),
}
