"""`make restore FILE=…`: makes an empty installation what a backup has kept."""

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO

from ops import OpsError
from ops.backup import ABOUT, DUMP, MEDIA
from ops.compose import Compose

RESTORED = "vestnik_restored"
BEFORE = "vestnik_before"
SERVICES = ("nginx", "web", "scheduler", "control", "dispatcher")
# Rows that no migration makes.
FILLED = (
    "SELECT EXISTS (SELECT FROM accounts_user) OR EXISTS (SELECT FROM mailings_run) OR EXISTS (SELECT FROM blog_post)"
)
TABLES = "SELECT to_regclass('accounts_user') IS NOT NULL AND to_regclass('blog_post') IS NOT NULL"
APPLIED = "SELECT app || '.' || name FROM django_migrations"
KNOWN = """
import django; django.setup()
from django.db.migrations.loader import MigrationLoader
print(*(f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations))
"""
# What would go out, though it may have gone out already after the backup was made.
DUE = (
    "SELECT (SELECT count(*) FROM mailings_run WHERE state = 'open'),"
    " (SELECT count(*) FROM mailings_mailing WHERE next_at <= now())"
)


def restore(compose: Compose, path: Path, force: bool = False) -> tuple[int, int]:
    """Restore the file into the installation, and start what may start; how many runs are under way, and how many
    mailings due, by the backup. If there are any, nothing that sends is started.

    Raises OpsError; before the database was read as a whole, nothing of the installation has changed.
    """
    try:
        with tarfile.open(path) as archive:
            about = json.load(_member(archive, ABOUT))
            compose("up", "--detach", "--build", "--wait", "postgres", "redis", "cache")
            _refuse_newer(compose, about["migrations"])
            if not force and _is_filled(compose):
                raise OpsError("This installation is not empty. FORCE=1 replaces all it has with what the file has.")
            compose("stop", *SERVICES)
            _read_database(compose, _member(archive, DUMP))
            _change_databases(compose)
            _read_media(compose, archive)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise OpsError(f"{path} cannot be read: {error}") from None
    for service in ("redis", "cache"):
        compose("exec", "-T", service, "redis-cli", "FLUSHALL")
    clear = ("sh", "-c", "rm -rf /var/cache/vestnik/copies")
    compose("run", "--rm", "-T", "--no-deps", "--build", "--entrypoint", "", "nginx", *clear)
    runs, mailings = map(int, compose.sql(DUE).split("|"))
    compose("up", "--detach", "--build", "--wait", *(("nginx",) if runs or mailings else ()))
    return runs, mailings


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise OpsError(f"{archive.name!s} is no backup: there is no {name} in it.")
    return found


def _refuse_newer(compose: Compose, applied: list[str]) -> None:
    known = compose("run", "--rm", "-T", "--no-deps", "web", "python", "-c", KNOWN).split()
    if newer := set(applied) - set(known):
        raise OpsError(f"The backup is of a newer version, which has {sorted(newer)[0]}; restore it there.")


def _is_filled(compose: Compose) -> bool:
    return compose.sql(TABLES) == "t" and compose.sql(FILLED) == "t"


def _read_database(compose: Compose, dump: IO[bytes]) -> None:
    """Into a database beside the other: a dump that is damaged has done nothing."""
    compose.sql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)", "postgres")
    compose.sql(f"CREATE DATABASE {RESTORED} TEMPLATE template0", "postgres")
    options = ("-U", "vestnik", "--exit-on-error", "--no-owner", "--no-privileges", "--dbname", RESTORED)
    _feed(compose, dump, "exec", "-T", "postgres", "pg_restore", *options)
    compose.sql("ANALYZE", RESTORED)


def _change_databases(compose: Compose) -> None:
    compose.sql(f"DROP DATABASE IF EXISTS {BEFORE} WITH (FORCE)", "postgres")
    compose.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'vestnik'", "postgres")
    # Both in one transaction.
    rename = f"ALTER DATABASE vestnik RENAME TO {BEFORE}; ALTER DATABASE {RESTORED} RENAME TO vestnik"
    compose.sql(rename, "postgres")
    compose.sql(f"DROP DATABASE {BEFORE} WITH (FORCE)", "postgres")


def _read_media(compose: Compose, archive: tarfile.TarFile) -> None:
    command = ("sh", "-c", "find /srv/media -mindepth 1 -delete && tar -C /srv/media --no-same-owner -xf -")
    process = compose.open("run", "--rm", "-T", "--no-deps", "web", *command, stdin=subprocess.PIPE)
    assert process.stdin
    with process, tarfile.open(fileobj=process.stdin, mode="w|") as files:
        for entry in archive:
            if entry.isfile() and entry.name.startswith(f"{MEDIA}/"):
                content = archive.extractfile(entry)
                entry.name = entry.name.removeprefix(f"{MEDIA}/")
                files.addfile(entry, content)
        files.close()
        process.stdin.close()
    if process.returncode:
        raise OpsError("The pictures could not be written; the database is restored. Try again with FORCE=1.")


def _feed(compose: Compose, content: IO[bytes], *command: str) -> None:
    process = compose.open(*command, stdin=subprocess.PIPE)
    assert process.stdin
    try:
        with process:
            shutil.copyfileobj(content, process.stdin, 1 << 20)
            process.stdin.close()
    except BrokenPipeError:
        process.wait()
    if process.returncode:
        raise OpsError(
            f"{command[3]} failed (exit code {process.returncode}); nothing of the installation has changed."
        )


def main() -> None:
    """Read the command line, restore, and say what is left to do."""
    parser = argparse.ArgumentParser(prog="make restore", description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--force", action="store_true")
    chosen = parser.parse_args()
    if not chosen.file:
        raise OpsError("Which backup? make restore FILE=backups/vestnik-….tar")
    runs, mailings = restore(Compose(), Path(chosen.file), chosen.force)
    if runs or mailings:
        sys.stdout.write(
            f"Restored, and nothing is sent yet. When the backup was made {runs} runs were under way, and {mailings}"
            " mailings are due since: what was sent after the backup would be sent again. Look at them, cancel or pause"
            " what has gone out, then `make up` (a trial: docker compose up -d).\n"
        )
    else:
        sys.stdout.write("Restored; everything runs.\n")


if __name__ == "__main__":
    try:
        main()
    except OpsError as error:
        sys.exit(str(error))
