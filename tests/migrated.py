"""A database as the migrations leave it, made once and copied: they take longer than most of what is tested."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.servers import PostgresServer

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".local/tests"
DATABASE = "test_vestnik"


def copy_to(directory: Path) -> None:
    """Make `directory`, the data of a PostgreSQL that is yet to be started, with `test_vestnik` migrated in it.

    The first call after a migration has changed migrates; whoever calls meanwhile waits. Settings come from the
    environment.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = PLACE / _state()
        if not made.exists():
            _make(made)
        subprocess.run(["cp", "-a", made, directory], check=True)  # with owners, which shutil leaves out


def _state() -> str:
    """What the database follows from: the migrations, those of libraries, and the server's version."""
    files = [ROOT / "requirements/local.txt", *sorted(ROOT.glob("shared/vestnik/*/migrations/*.py"))]
    state = hashlib.sha256(repr((os.getuid(), sys.version_info[:2])).encode())
    for file in files:
        state.update(file.read_bytes())
    return f"postgres-{state.hexdigest()[:16]}"


def _make(made: Path) -> None:
    for old in PLACE.glob("postgres*"):
        if old.is_dir():
            shutil.rmtree(old)
    server = PostgresServer(PLACE / "postgres", durable=False)
    with server:
        server.create_database(DATABASE)
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--settings", "tests.settings", "--verbosity", "0"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": server.url(DATABASE)},
            check=True,
        )
    server.directory.rename(made)
