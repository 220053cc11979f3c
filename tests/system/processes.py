"""The dispatcher's real processes."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from django.conf import settings
from django.db import connection

from tests import starting
from tests.timing import wait_until

ROOT = Path(__file__).parents[2]
WORKERS = {"control": 1, "bulk": 2}
"""Of the parts that say when they are ready, how many processes do."""


def of_tests(port: int, **variables: str) -> dict[str, str]:
    """The environment in which the services work on the tests' own database and queue."""
    return {
        **os.environ,
        "DATABASE_URL": os.environ["DATABASE_URL"].replace("/vestnik?", f"/{connection.settings_dict['NAME']}?"),
        "REDIS_URL": settings.REDIS_URL,
        "CACHE_URL": settings.CACHE_URL,
        "MAIL_SERVICE_URL": f"smtp://127.0.0.1:{port}?connections=10&timeout=60",
        **variables,
    }


class Dispatcher:
    """Some parts of the dispatcher, running."""

    def __init__(self, environment: dict[str, str], logs: Path, *parts: str) -> None:
        self._environment = environment
        self._logs = logs
        self._parts = parts or ("control", "bulk")
        self._masters: dict[str, starting.Started] = {}

    def __enter__(self) -> Self:
        for part in self._parts:
            self.start(part)
        for part in self._parts:
            self._wait_until_ready(part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._masters:  # how they end when they are asked to is for tests of that to see
            self.kill(part)
        if error is not None:
            for part in self._masters:
                print(f"--- {part}", self._log_of(part).read_text(), sep="\n")

    def restart(self, part: str) -> None:
        """Start the part again, and wait until it works."""
        self.start(part)
        self._wait_until_ready(part)

    def start(self, part: str) -> None:
        """Start the part; it is ready some time later."""
        self._masters[part] = starting.start(
            "-m", "dispatcher", part, environment=self._environment, log=self._log_of(part)
        )

    def stop(self, part: str) -> None:
        """SIGTERM to the part's master, as an operator would; wait until it is gone."""
        self._masters[part].send_signal(signal.SIGTERM)
        self._masters[part].wait(30)

    def kill(self, part: str) -> None:
        """kill -9 the part's master and every one of its workers, the workers first."""
        family = []
        with suppress(psutil.NoSuchProcess):
            master = psutil.Process(self._masters[part].pid)
            family = [*master.children(recursive=True), master]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # the master ends by itself when its workers are gone
                process.kill()
        self._masters[part].wait(10)

    def master(self, part: str) -> int:
        """The pid of the part's master."""
        return self._masters[part].pid

    def _wait_until_ready(self, part: str) -> None:
        """Until all the part's workers have said that they are; each part writes a log of its own."""
        if workers := WORKERS.get(part):
            log = self._log_of(part)
            wait_until(lambda: log.read_text().count("Worker process is ready for action") >= workers)
        elif part == "bounces":
            wait_until(lambda: "takes what comes back" in self._log_of(part).read_text())

    def _log_of(self, part: str) -> Path:
        return self._logs / f"{part}.log"
