"""`make restore FILE=…`: makes an empty installation what a backup has kept.

Everything that may take long or go wrong comes first, beside what is there: the dump is read into a database of its own
and brought to this version, the pictures are gathered in a folder of their own. Then the services stop, and both take
their places at once. Pictures are named by their content: those of both may lie together.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ops import OpsError, run_command
from ops.backup import ABOUT, DUMP, MEDIA, STAGED, alone
from ops.compose import Compose

RESTORED = "vestnik_restored"
BEFORE = "vestnik_before"
SERVICES = ("nginx", "web", "scheduler", "control", "dispatcher")
UNREADABLE = (OSError, tarfile.TarError, ValueError)
# Rows that no migration makes.
FILLED = (
    "SELECT EXISTS (SELECT FROM accounts_user) OR EXISTS (SELECT FROM mailings_run) OR EXISTS (SELECT FROM blog_post)"
)
TABLES = "SELECT to_regclass('accounts_user') IS NOT NULL AND to_regclass('blog_post') IS NOT NULL"
# What vestnik.installation notes; a backup of a version before it has no such table.
NOTES = "SELECT to_regclass('installation_realuse') IS NOT NULL"
IN_REAL_USE = "SELECT count(*) FROM installation_realuse"
A_REAL_ONE = (
    "The backup is of an installation in real use, and no .env here says that this is one: put its .env beside"
    " docker-compose.yml, and restore again. TRIAL=1 makes a trial of it, whose letters go to its own inbox and"
    " count as sent."
)
KNOWN = """
import django; django.setup()
from django.db.migrations.loader import MigrationLoader
for key, migration in MigrationLoader(None).disk_migrations.items():
    print(*(f"{app}.{name}" for app, name in [key, *migration.replaces]))
"""
# The address of the database, which ends with its name.
MIGRATE = (
    f'DATABASE_URL="$(cat "$DATABASE_URL_FILE"){RESTORED.removeprefix("vestnik")}" && export DATABASE_URL'
    " && unset DATABASE_URL_FILE && exec python -m vestnik migrate --no-input"
)
# What would go out, though it may have gone out already after the backup was made.
DUE = (
    "SELECT (SELECT count(*) FROM mailings_run WHERE state = 'open'),"
    " (SELECT count(*) FROM mailings_mailing WHERE next_at <= now())"
)
FOLDER = f"/srv/media/{STAGED}"
GATHER = f"rm -rf {FOLDER} && mkdir {FOLDER} && tar -C {FOLDER} --no-same-owner -xf -"
PLACE = f"cp -alf {FOLDER}/. /srv/media && rm -rf {FOLDER}"

UNTOUCHED = "Nothing of the installation has changed."
STOPPED = "The data is what it was, but services are stopped: `make up` (a trial: docker compose up -d) starts them."
CHANGED = "The database and the pictures are the backup's; what serves and sends has still to be started."


def restore(
    compose: Compose,
    path: Path,
    force: bool = False,
    say: Callable[[str], object] = lambda _: None,
    as_a_trial: bool = False,
) -> tuple[int, int]:
    """Restore the file into the installation, and start what may start; return how many runs are under way, and how
    many mailings due, by the backup. If there are any, nothing that sends is started.

    What was in real use becomes a trial only where that is said (`as_a_trial`). By force what was there is replaced,
    and stays as the database BEFORE. Raises OpsError, which says how things stand.
    """
    with _readable(path), tarfile.open(path, "r:") as archive:
        applied, dump = _contents(archive)
        compose.refuse_a_database_elsewhere()
        say("Building the images, starting PostgreSQL and Redis")
        compose("build")
        compose("run", "--rm", "-T", "secrets")  # PostgreSQL waits for its own alone
        compose("up", "--detach", "--wait", "postgres", "redis", "cache")
        _refuse_newer(compose, applied)
        if not force and _is_filled(compose):
            raise OpsError("This installation is not empty. FORCE=1 replaces all it has with what the file has.")
        stands = UNTOUCHED
        try:
            say("Reading the database")
            _read_database(compose, dump, may_be_real=compose.mode() == "production" or as_a_trial)
            say("Reading the pictures")
            _read_media(compose, archive)
            runs, mailings = map(int, compose.sql(DUE, RESTORED).split("|"))
            stands = STOPPED
            say("Putting both in their places")
            compose("stop", *SERVICES)
            _empty_copies(compose)
            _in_web(compose, "sh", "-c", PLACE)
            with _uninterrupted():
                _change_databases(compose, keep=force)
                stands = f"{CHANGED} {left_to_do(runs, mailings)}"
            say("Starting")
            compose("up", "--detach", "--wait", *(("nginx",) if runs or mailings else ()))
        except (OpsError, KeyboardInterrupt, *UNREADABLE) as error:
            if stands in (UNTOUCHED, STOPPED):
                _clean_up(compose)
            raise OpsError(f"{_reason(error, path)}\n{stands}") from None
    return runs, mailings


def _reason(error: BaseException, path: Path) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    return f"{path} cannot be read: {error}" if isinstance(error, UNREADABLE) else str(error)


def left_to_do(runs: int, mailings: int) -> str:
    """Say what the operator does after a restore, where so many runs are under way and mailings due."""
    start = "`make up` (a trial: docker compose up -d)"
    if not (runs or mailings):
        return f"Then: {start}."
    return (
        f"Nothing may be sent yet. By the backup {runs} run(s) are under way, and {mailings} mailing(s) due since: what"
        " was sent after the backup would be sent again. Look at them, cancel or pause what has gone out, then"
        f" {start}."
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise OpsError(f"{path} cannot be read: {error}") from None


def _contents(archive: tarfile.TarFile) -> tuple[list[str], IO[bytes]]:
    """Return the migrations that its database has, and the dump. Every header is read: of a file that is cut the last,
    which is ABOUT, is not there. Raises OpsError for what is no backup.
    """
    found = {entry.name: entry for entry in archive if entry.isfile()}
    for name in (ABOUT, DUMP):
        if name not in found:
            raise OpsError(f"{archive.name!s} is no backup, or not a whole one: there is no {name} in it.")
    about, dump = (archive.extractfile(found[name]) for name in (ABOUT, DUMP))
    assert about
    assert dump
    match json.load(about):
        case {"migrations": [*applied]} if all(isinstance(name, str) for name in applied):
            return applied, dump
    raise OpsError(f"{archive.name!s} is no backup: its {ABOUT} does not say of what.")


def _in_web(compose: Compose, *command: str) -> str:
    return compose("run", "--rm", "-T", "--no-deps", "web", *command)


def _refuse_newer(compose: Compose, applied: list[str]) -> None:
    known = _in_web(compose, "python", "-c", KNOWN).split()
    if newer := set(applied) - set(known):
        raise OpsError(f"The backup is of a newer version, which has {sorted(newer)[0]}; restore it there.")


def _is_filled(compose: Compose) -> bool:
    return compose.sql(TABLES) == "t" and compose.sql(FILLED) == "t"


def _read_database(compose: Compose, dump: IO[bytes], may_be_real: bool) -> None:
    """Read the dump into a database beside the other, and bring that to this version. Its note of real use is taken
    out: an installation in real use writes one itself. Raises OpsError where what was in real use may not be read.
    """
    compose.sql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)", "postgres")
    compose.sql(f"CREATE DATABASE {RESTORED} TEMPLATE template0", "postgres")
    options = ("-U", "vestnik", "--exit-on-error", "--no-owner", "--no-privileges", "--dbname", RESTORED)
    with _into(compose, "exec", "-T", "postgres", "pg_restore", *options, what="pg_restore") as stdin:
        shutil.copyfileobj(dump, stdin, 1 << 20)
    if compose.sql(NOTES, RESTORED) == "t":
        if not may_be_real and compose.sql(IN_REAL_USE, RESTORED) != "0":
            raise OpsError(A_REAL_ONE)
        compose.sql("DELETE FROM installation_realuse", RESTORED)
    _in_web(compose, "sh", "-c", MIGRATE)
    compose.sql("ANALYZE", RESTORED)


def _read_media(compose: Compose, archive: tarfile.TarFile) -> None:
    command = ("run", "--rm", "-T", "--no-deps", "web", "sh", "-c", GATHER)
    writing = _into(compose, *command, what="Writing the pictures")
    with writing as stdin, tarfile.open(fileobj=stdin, mode="w|") as files:
        for entry in archive:
            if entry.isfile() and entry.name.startswith(f"{MEDIA}/"):
                content = archive.extractfile(entry)
                entry.name = entry.name.removeprefix(f"{MEDIA}/")
                files.addfile(entry, content)


@contextmanager
def _into(compose: Compose, *command: str, what: str) -> Iterator[IO[bytes]]:
    """Yield the standard input of a command. Raises OpsError where the command fails; it says itself why."""
    process = compose.open(*command, stdin=subprocess.PIPE)
    assert process.stdin
    try:
        with process:
            yield process.stdin
            process.stdin.close()
    except BrokenPipeError:
        process.wait()
    if process.returncode:
        raise OpsError(f"{what} failed (exit code {process.returncode}); it says above why.")


def _empty_copies(compose: Compose) -> None:
    """Empty hints and copies: they are of what was there before, and are made again."""
    for service in ("redis", "cache"):
        compose("exec", "-T", service, "redis-cli", "-e", "FLUSHALL")
    clear = ("sh", "-c", "rm -rf /var/cache/vestnik/copies")
    compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "", "nginx", *clear)


def _change_databases(compose: Compose, keep: bool) -> None:
    compose.sql(f"DROP DATABASE IF EXISTS {BEFORE} WITH (FORCE)", "postgres")
    # All in one transaction.
    compose.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'vestnik';"
        f" ALTER DATABASE vestnik RENAME TO {BEFORE}; ALTER DATABASE {RESTORED} RENAME TO vestnik",
        "postgres",
    )
    if not keep:
        with suppress(OpsError):  # the next restore removes it
            compose.sql(f"DROP DATABASE {BEFORE} WITH (FORCE)", "postgres")


def _clean_up(compose: Compose) -> None:
    """Give the room back that half a restore takes; where that fails the next one does it."""
    with suppress(OpsError):
        compose.sql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)", "postgres")
    with suppress(OpsError):
        _in_web(compose, "rm", "-rf", FOLDER)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Have signals that end the program wait, whichever thread they come to; so do they for what it starts."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    waiting: list[int] = []
    handlers = [(number, signal.signal(number, lambda number, _: waiting.append(number))) for number in ending]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers:
            signal.signal(number, handler)
        for came in waiting:
            signal.raise_signal(came)


def _say(words: str) -> None:
    sys.stdout.write(f"{words} …\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line, restore, and say what is left to do."""
    parser = argparse.ArgumentParser(prog="make restore", description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--trial", action="store_true")
    chosen = parser.parse_args()
    if not chosen.file:
        raise OpsError("Which backup? make restore FILE=backups/vestnik-….tar")
    compose = Compose()
    with alone():
        runs, mailings = restore(compose, Path(chosen.file), chosen.force, _say, as_a_trial=chosen.trial)
    if runs or mailings:
        sys.stdout.write(f"Restored. {left_to_do(runs, mailings)}\n")
    else:
        sys.stdout.write("Restored; everything runs.\n")
    if compose.mode() != "production":
        sys.stdout.write("It runs as a trial: there is no .env that says MODE=production.\n")
    if compose.sql(f"SELECT datname FROM pg_database WHERE datname = '{BEFORE}'", "postgres"):
        sys.stdout.write(
            f"What was here before is kept as the database {BEFORE}, until the next restore, or until:\n"
            f"    docker compose exec postgres dropdb -U vestnik {BEFORE}\n"
        )


if __name__ == "__main__":
    run_command(main)
