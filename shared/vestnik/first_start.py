"""`first_start.py FOLDER FRONT [NAME …]`: an installation's secrets in containers, made at its first start and kept.

What the environment gives (SECRET_KEY, FRONT_SECRET, POSTGRES_PASSWORD) is written as it is; what it does not give
stays as it was, or is made. With NAMEs, only those. The services read them by NAME_FILE. nginx, which faces the
network, sees the folder FRONT alone. Real use is recorded beside them, so that whoever has lost the .env of an
installation does not run it as a trial.

Only Python's standard library is available here.
"""

import os
import re
import secrets
import sys
from pathlib import Path

MADE = ("SECRET_KEY", "FRONT_SECRET", "POSTGRES_PASSWORD")
PLAIN = re.compile(r"[-\w]{16,200}", re.ASCII)  # they stand in URLs and between quotes in nginx's configuration
REAL_USE = "real_use"

A_TRIAL_OF_REAL_DATA = (
    "MODE: these volumes belong to an installation in real use, and a trial may not run on them. Put its .env back"
    " beside docker-compose.yml (docs/operations.md, “Lost .env”) and start it by `make up`; a trial runs beside it as"
    " COMPOSE_PROJECT_NAME=another docker compose up."
)
LOCAL = (
    "MODE: the variables of `make run` (.local/environment) are set in this terminal; containers want one without them."
)


def write(folder: Path, front: Path, names: tuple[str, ...] = MADE) -> list[str]:
    """Write the secrets, and return the names of those that were made.

    Raises ValueError with a sentence for a bad value, and for a trial where real use is recorded; nothing is written
    then.
    """
    mode = os.environ.get("MODE", "")
    if mode == "local":
        raise ValueError(LOCAL)
    if mode != "production" and (folder / REAL_USE).exists():
        raise ValueError(A_TRIAL_OF_REAL_DATA)
    given = {name: os.environ.get(name, "") for name in names}
    for name, value in given.items():
        if value and not PLAIN.fullmatch(value):
            raise ValueError(f"{name}: 16 to 200 letters, digits, hyphens and underscores are wanted.")
    if mode == "production":
        _write(folder / REAL_USE, "")
    made = [name for name in names if not given[name] and not _read(folder / name.lower())]
    for name in names:
        if given[name] or name in made:
            _write(folder / name.lower(), given[name] or secrets.token_urlsafe(48))
    if names == MADE:
        _write(front / "front_secret", _read(folder / "front_secret"))
        own = f"postgresql://vestnik:{_read(folder / 'postgres_password')}@postgres/vestnik"
        _write(folder / "database_url", os.environ.get("DATABASE_URL") or own)
    return made


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write(path: Path, text: str) -> None:
    """Write the file as a whole or not at all.

    Only this installation's containers see the folder, each as a user of its own.
    """
    unfinished = path.with_suffix(".new")
    with unfinished.open("w") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o444)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def main() -> int:
    """Write the secrets; return the exit status."""
    folder, front, *names = sys.argv[1:]
    try:
        made = write(Path(folder), Path(front), tuple(names) or MADE)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"made: {', '.join(made)}\n" if made else "nothing was missing\n")
    port = os.environ.get("PORT")
    if port and os.environ.get("MODE") != "production":  # who attached sees it before nginx finds that port taken
        another = int(port) + 1 if port.isdecimal() and int(port) < 65535 else 8081
        sys.stdout.write(f"Port {port}: where it is taken, PORT={another} docker compose up chooses another.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
