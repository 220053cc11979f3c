"""An installation of its own for a benchmark: durable embedded servers, migrated, with real dispatcher processes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from local.servers import PostgresServer, ValkeyServer
from tests.system.processes import ROOT, Dispatcher


@contextmanager
def installation(mail_service: str) -> Iterator[Path]:
    """Run servers and the dispatcher's processes, with Django set up in this process; yield where logs may go."""
    with (
        servers(MAIL_SERVICE_URL=mail_service) as directory,
        Dispatcher(dict(os.environ), directory, "control", "bulk"),
    ):
        yield directory


@contextmanager
def servers(**variables: str) -> Iterator[Path]:
    """Run servers as `make run` does, migrated, with Django set up in this process; yield a folder for all else."""
    with tempfile.TemporaryDirectory(prefix="vestnik-bench-") as name:
        directory = Path(name)
        with PostgresServer(directory / "postgres") as postgres, ValkeyServer(directory / "valkey") as valkey:
            postgres.create_database("vestnik")
            os.environ.update(
                MODE="local",
                SECRET_KEY="of a benchmark",
                DATABASE_URL=postgres.url("vestnik"),
                REDIS_URL=valkey.broker_url,
                CACHE_URL=valkey.cache_url,
                MAIL_FROM="herald@vestnik.test",
                DNS_RESOLVER="127.0.0.1:9",  # nobody: what a domain is said to have stays as it is
                MEDIA_ROOT=str(directory / "media"),
                DJANGO_SETTINGS_MODULE="web.settings",
            )
            os.environ.update(variables)
            migrate = [sys.executable, "services/web/manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, cwd=ROOT, check=True)
            django.setup()
            yield directory
            from django.db import connections

            connections.close_all()
