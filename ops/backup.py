"""`make backup`: the database and the blog's pictures in one file.

Redis is not in it: what it keeps are hints of what the database says, and copies. Neither are secrets.
"""

import fcntl
import io
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ops import OpsError, run_command
from ops.compose import ROOT, Compose

FOLDER = ROOT / "backups"
DUMP = "database.dump"
ABOUT = "about.json"
MEDIA = "media"
STAGED = ".restored"  # where a restore gathers pictures, within their folder
MIGRATIONS = "SELECT json_agg(app || '.' || name ORDER BY id) FROM django_migrations"


@contextmanager
def alone() -> Iterator[None]:
    """Keep other backups and restores from beginning here meanwhile. Raises OpsError if one is under way."""
    with (ROOT / "docker-compose.yml").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OpsError("Another backup or restore is under way here; wait for its end.") from None
        yield


def write(compose: Compose, folder: Path = FOLDER) -> Path:
    """Back the running installation up; return the file. Half a file never has its name. Raises OpsError."""
    compose.refuse_a_database_elsewhere()
    moment = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    path = folder / f"vestnik-{moment}.tar"
    unfinished = folder / f"{path.name}.part"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(unfinished, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            try:
                _fill(compose, file, moment)
                file.flush()
                os.fsync(file.fileno())
                unfinished.rename(path)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OpsError(f"{path} cannot be written: {error.strerror or error}.") from None
    return path


def _fill(compose: Compose, file: IO[bytes], moment: str) -> None:
    about: dict[str, Any] = {"made_at": moment, "migrations": json.loads(compose.sql(MIGRATIONS))}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        # The database first: a picture that it knows is there before, and may be there for longer.
        with tempfile.TemporaryFile(dir=Path(file.name).parent) as dump:
            _dump(compose, dump)
            _add(archive, DUMP, dump)
        _add_media(compose, archive)
        if json.loads(compose.sql(MIGRATIONS)) != about["migrations"]:
            raise OpsError("The database was upgraded meanwhile: make a backup again.")
        # Last, so that whoever finds it knows that the file is whole.
        _add(archive, ABOUT, io.BytesIO(json.dumps(about, indent=1).encode()))


def _dump(compose: Compose, into: IO[bytes]) -> None:
    command = ("exec", "-T", "postgres", "pg_dump", "-U", "vestnik", "--format", "custom", "vestnik")
    with compose.open(*command) as process:
        assert process.stdout
        while piece := process.stdout.read(1 << 20):
            into.write(piece)
    if process.returncode:
        raise OpsError(f"The database could not be read: pg_dump's exit code is {process.returncode}.")


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, os.SEEK_END)
    entry.mtime = int(time.time())
    entry.mode = 0o600
    content.seek(0)
    archive.addfile(entry, content)


def _add_media(compose: Compose, archive: tarfile.TarFile) -> None:
    # A file that goes while it is read is one that the dump may name: tar says so, and there is no backup.
    tar = ("tar", "-C", "/srv/media", f"--exclude=./{STAGED}", "-cf", "-", ".")
    whole = True
    with compose.open("run", "--rm", "-T", "--no-deps", "web", *tar) as process:
        assert process.stdout
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as files:
                for entry in files:
                    entry.name = f"{MEDIA}/{entry.name.removeprefix('./')}"
                    if entry.isfile():
                        archive.addfile(entry, files.extractfile(entry))
            process.stdout.read()
        except tarfile.TarError:
            whole = False
    if process.returncode or not whole:
        raise OpsError(f"The pictures could not be read (exit code {process.returncode}): make a backup again.")


def main() -> None:
    """Say where the backup is, and how large."""
    with alone():
        path = write(Compose())
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    run_command(main)
