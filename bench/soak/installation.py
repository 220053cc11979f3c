"""`make run` itself in a folder of its own, and Django set up in this process to look at it."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from local import leftovers
from local.attached import attached
from local.processes import RECORDS
from tests.local.helpers import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
STOP_SECONDS = 60.0
READY = "Ctrl-C stops it"
BOUNCE_DOMAIN = "bounces.example.org"
OWN = ("DATABASE_URL", "REDIS_URL", "CACHE_URL", "DJANGO_SETTINGS_MODULE")


@contextmanager
def make_run(mail_service: str, log: Path | None = None) -> Iterator[Path]:
    """Run all parts as `make run` starts them and starts them again; yield the folder of their data. All is gone after.

    What they say goes to `log`, if one is named.
    """
    with tempfile.TemporaryDirectory(prefix="vestnik-soak-") as name:
        data = Path(name, "data")
        log = log or Path(name, "log")
        environment = {name: value for name, value in os.environ.items() if name not in OWN} | {
            "LOCAL_DATA": str(data),
            "WEB_PORT": str(free_port()),
            "BOUNCES_PORT": str(free_port()),
            "BOUNCE_DOMAIN": BOUNCE_DOMAIN,
            "MAIL_SERVICE_URL": mail_service,
            "BULK_PROCESSES": "2",
            "PYTHON_DOTENV_DISABLED": "1",
        }
        with log.open("wb") as said:
            process = subprocess.Popen(
                attached([sys.executable, "-m", "bench.soak.parts"], signal.SIGTERM),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, log)
            yield data
        finally:
            _stop(process, data)


def set_django_up(data: Path) -> None:
    """Set Django up in this process, on the database and the queue of the installation."""
    for line in (data / "environment").read_text().splitlines():
        name, _, value = line.partition("=")
        os.environ[name] = shlex.split(value)[0]
    os.environ["DJANGO_SETTINGS_MODULE"] = "web.settings"
    os.environ["LOG_LEVEL"] = "CRITICAL"  # that the queue is away now and then is the point of it
    django.setup()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while READY not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"The installation did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes], data: Path) -> None:
    try:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
            leftovers.end_all(data / RECORDS)
