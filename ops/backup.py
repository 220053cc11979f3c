"""`make backup`: the database and the blog's pictures in one file.

Redis is not in it: what it keeps are hints of what the database says, and copies. Neither are secrets.
"""

import io
import json
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import IO

from ops import OpsError
from ops.compose import ROOT, Compose

FOLDER = ROOT / "backups"
DUMP = "database.dump"
ABOUT = "about.json"
MEDIA = "media"
MIGRATIONS = "SELECT json_agg(app || '.' || name ORDER BY id) FROM django_migrations"


def write(compose: Compose, folder: Path = FOLDER) -> Path:
    """Back the running installation up; the file. Half a file is never left. Raises OpsError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    path = folder / f"vestnik-{moment}.tar"
    unfinished = folder / f".{path.name}"
    about = {"made_at": moment, "migrations": json.loads(compose.sql(MIGRATIONS))}
    try:
        with (
            open(unfinished, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            _add(archive, ABOUT, io.BytesIO(json.dumps(about, indent=1).encode()))
            # The database first: a picture that it knows is there before, and may be there for longer.
            with tempfile.TemporaryFile(dir=folder) as dump:
                command = ("exec", "-T", "postgres", "pg_dump", "-U", "vestnik", "--format", "custom", "vestnik")
                _pour(compose, command, dump)
                _add(archive, DUMP, dump)
            _add_media(compose, archive)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _pour(compose: Compose, command: tuple[str, ...], into: IO[bytes]) -> None:
    with compose.open(*command) as process:
        assert process.stdout
        while piece := process.stdout.read(1 << 20):
            into.write(piece)
    if process.returncode:
        raise OpsError(f"docker compose {' '.join(command[:5])} … failed (exit code {process.returncode}).")


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, os.SEEK_END)
    entry.mtime = int(time.time())
    entry.mode = 0o600
    content.seek(0)
    archive.addfile(entry, content)


def _add_media(compose: Compose, archive: tarfile.TarFile) -> None:
    # A file that goes while it is read is one that the dump may name: tar says so, and there is no backup.
    command = ("run", "--rm", "-T", "--no-deps", "web", "tar", "-C", "/srv/media", "-cf", "-", ".")
    with compose.open(*command) as process:
        assert process.stdout
        with tarfile.open(fileobj=process.stdout, mode="r|") as files:
            for entry in files:
                entry.name = f"{MEDIA}/{entry.name.removeprefix('./')}"
                if entry.isfile():
                    archive.addfile(entry, files.extractfile(entry))
        process.stdout.read()
    if process.returncode:
        raise OpsError(f"The pictures could not be read (tar's exit code {process.returncode}).")


def main() -> None:
    """Say where the backup is, and how large."""
    path = write(Compose())
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    try:
        main()
    except OpsError as error:
        sys.exit(str(error))
