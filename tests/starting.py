"""Starting programs of ours as often as tests want: in processes forked from one that has loaded the libraries, which
is most of what a start takes. Our own modules, and the environment, each of them reads for itself.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

ROOT = Path(__file__).parents[1]
SECONDS = 60
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *(
            "aiohttp",
            "aiosmtplib",
            "asgiref.sync",
            "charset_normalizer",
            "dj_database_url",
            "email_validator",
            "environs",
        ),
        *("django.contrib.auth.password_validation", "django.core.mail", "django.core.management"),
        *("django.core.serializers", "django.core.validators", "django.db", "django.db.backends.postgresql.base"),
        *("django.db.migrations", "django.forms", "django.template", "django.utils.html", "django.utils.translation"),
        *("django.views.generic", "fastjsonschema", "idna", "nh3", "pendulum", "psycopg", "redis.asyncio"),
        *("sentry_sdk", "smtplib", "uvloop"),
    ]  # not dramatiq and prometheus_client, which read variables as they are loaded
)


class Started:
    """A process that runs on its own; what subprocess.Popen has, as far as tests want it."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait for its end, and return its exit code; raise TimeoutExpired if it lives longer than so many seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired(str(self.pid), timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is over."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)


def start(*argv: str, environment: Mapping[str, str], log: Path) -> Started:
    """Start what `python` would run, as `python` below does, in a session of its own; what it says goes to the log."""
    log.write_bytes(b"")
    process = PROCESSES.Process(target=_run, args=(argv, dict(environment), log, log))
    process.start()
    return Started(process)


def python(*argv: str, environment: Mapping[str, str]) -> "CompletedProcess[str]":
    """Run a program of the project (`services/web/manage.py`, `check`) or a script (`-c`, `import this`) as `python`
    would in the project's folder, with nothing but this environment. Return its exit code, and what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = PROCESSES.Process(target=_run, args=(argv, dict(environment), out, err))
        process.start()
        process.join(SECONDS)
        code = process.exitcode
        process.kill()
        said = [file.read_text() if file.exists() else "" for file in (out, err)]
        return CompletedProcess(argv, -1 if code is None else code, *said)


def _run(argv: Sequence[str], environment: Mapping[str, str], out: Path, err: Path) -> None:
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # the program chooses its own
    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    os.chdir(ROOT)
    if argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        sys.path[0] = ""
        exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    elif argv[0] == "-m":
        sys.argv = list(argv[1:])
        sys.path[0] = str(ROOT)
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(argv)
        sys.path[0] = str((ROOT / argv[0]).parent)
        runpy.run_path(argv[0], run_name="__main__")
