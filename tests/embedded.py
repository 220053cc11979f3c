"""A plugin that starts the embedded servers once for the whole run, before Django's settings read where they are."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from local.servers import PostgresServer, ValkeyServer
from tests import migrated

_directory = Path(tempfile.gettempdir())
SERVERS: list[PostgresServer | ValkeyServer] = []
"""PostgreSQL, then Valkey. Tests of crashes may crash and start them."""


OURS = (
    *("MAIL_", "TICK_", "RETRY_", "LANES_", "UNKNOWN_", "MAX_ATTEMPTS", "SLICE_", "PROBE_BACKOFF", "BULK_", "DEBUG"),
    *("LOGIN_", "EHLO_", "INBOX_", "BOUNCE", "EXTRA_HEADERS", "WEBHOOKS", "DNS_", "SENDER", "SPF_"),
    *("IMPORT_", "TRUSTED_", "SENTRY_", "RATE_", "OWNER_RATE", "DOMAIN_RATE", "BREAKER_"),
    *("LOG_", "METRICS_", "SITE_", "FRONT_", "MEDIA_", "STATIC_", "ALLOWED_", "COOKIES_", "HSTS_"),
)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    global _directory
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a shell has in the background: tests interrupt
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _directory = Path(tempfile.mkdtemp(prefix="vestnik-tests-"))
    postgres = PostgresServer(_directory / "postgres", durable=False)
    valkey = ValkeyServer(_directory / "valkey", durable=False)
    # Whatever the shell or an .env says: tests have their own everything, and the hundreds of processes that they start
    # do not compile the same files again and again.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in [name for name in os.environ if name.startswith(OURS) or name.endswith("_FILE")]:
        del os.environ[name]
    os.environ.update(
        MODE="local",
        SECRET_KEY="only for tests",
        DATABASE_URL=postgres.url("vestnik"),
        REDIS_URL=valkey.url(0),
        CACHE_URL=valkey.url(1),
        MAIL_SERVICE_URL="smtp://127.0.0.1:9",
        MAIL_FROM="herald@vestnik.test",
        MEDIA_ROOT=str(_directory / "media"),
        LOG_LEVEL="INFO",
    )
    migrated.copy_to(postgres.directory)
    for server in (postgres, valkey):
        server.start()
        SERVERS.append(server)
    return (yield)


def pytest_unconfigure() -> None:
    for server in reversed(SERVERS):
        server.stop()
    shutil.rmtree(_directory, ignore_errors=True)
