"""docker compose, asked for one installation."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ops import OpsError

ROOT = Path(__file__).resolve().parents[1]

# Compose prefers a variable of the shell to one of .env, and a shell may be full of those of `make run`: nothing that
# an installation is told comes from there.
KEPT = ("PATH", "HOME", "USER", "LANG", "TERM", "TMPDIR", "XDG_RUNTIME_DIR", "NO_COLOR", "SSH_AUTH_SOCK")
KEPT_PREFIXES = ("DOCKER_", "COMPOSE_", "BUILDX_", "BUILDKIT_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class Compose:
    """One installation: the project that compose finds in this folder, or another of this name."""

    def __init__(self, project: str | None = None, env_file: Path | None = None) -> None:
        self.project = project
        self._start = ["docker", "compose", *(["-p", project] if project else [])]
        self._start += ["--env-file", str(env_file)] if env_file else []

    def __call__(self, *arguments: str, **options: Any) -> str:
        """Return what `docker compose` says on its standard output; `options` are those of subprocess.run.

        Raises OpsError where it fails, with what it said.
        """
        return run([*self._start, *arguments], **options)

    def shown(self, *arguments: str) -> None:
        """Run `docker compose`, whose words go to the terminal. Raises OpsError where it fails."""
        with _started([*self._start, *arguments]) as process:
            pass
        if process.returncode:
            raise OpsError(f"docker compose {arguments[0]} failed (exit code {process.returncode}); it says above why.")

    def open(self, *arguments: str, stdin: "IO[bytes] | int" = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        """Start a command of compose, whose output the caller reads."""
        return _started([*self._start, *arguments], stdin=stdin, stdout=subprocess.PIPE)

    def sql(self, statement: str, database: str = "vestnik") -> str:
        """Return what psql answers to a statement: rows by lines, columns by |."""
        psql = ("psql", "-v", "ON_ERROR_STOP=1", "-U", "vestnik", "-d", database, "-Atq", "-c", statement)
        return self("exec", "-T", "postgres", *psql)

    def mode(self) -> str:
        """Say what the installation is for, as .env does; a trial, where it says nothing."""
        return self._told("MODE") or "trial"

    def refuse_a_database_elsewhere(self) -> None:
        """Raise OpsError where DATABASE_URL names another PostgreSQL than the container, which stands idle then."""
        if self._told("DATABASE_URL"):
            raise OpsError(
                "DATABASE_URL names a PostgreSQL elsewhere: back up and restore the database there (pg_dump,"
                " pg_restore), and the pictures in the volume media."
            )

    def _told(self, name: str) -> str:
        """Return a variable as the first service of all is told it; empty where it is not."""
        services = json.loads(self("config", "--format", "json"))["services"]
        return str(services["secrets"]["environment"].get(name) or "")


def run(command: list[str], **options: Any) -> str:
    """Return what a command says on its standard output, without the last line end. Raises OpsError where it fails."""
    options = {"stdin": subprocess.DEVNULL, **options} if "input" not in options else options
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, **options)
    except FileNotFoundError:
        raise OpsError(f"There is no {command[0]} on this machine.") from None
    if done.returncode:
        raise OpsError(f"{' '.join(command)[:200]}\nfailed (exit code {done.returncode}):\n{done.stderr[-3000:]}")
    return str(done.stdout).removesuffix("\n")


def _started(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(command, cwd=ROOT, env=environment(), **options)
    except FileNotFoundError:
        raise OpsError(f"There is no {command[0]} on this machine.") from None


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what of this process's environment docker is told."""
    return {
        name: value
        for name, value in given.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES) or name.upper() in PROXIES
    }
