"""`first_start.py FOLDER FRONT`: the secrets of an installation in containers, made at its first start and kept.

What the environment gives (SECRET_KEY, FRONT_SECRET, POSTGRES_PASSWORD) is written as it is; what it does not give
stays as it was, or is made. The services read them by NAME_FILE. nginx, the door, is shown the folder FRONT alone.
Nothing but Python's own library is at hand here.
"""

import os
import re
import secrets
import sys
from pathlib import Path

MADE = ("SECRET_KEY", "FRONT_SECRET", "POSTGRES_PASSWORD")
PLAIN = re.compile(r"[-\w]{16,200}", re.ASCII)  # they stand in URLs and between quotes in nginx's configuration


def write(folder: Path, front: Path) -> list[str]:
    """Write what is to be known; the names of what was made. Raises ValueError with a sentence for a bad value."""
    given = {name: os.environ.get(name, "") for name in MADE}
    for name, value in given.items():
        if value and not PLAIN.fullmatch(value):
            raise ValueError(f"{name}: 16 to 200 letters, digits, hyphens and underscores are wanted.")
    made = [name for name in MADE if not given[name] and not _read(folder / name.lower())]
    for name in MADE:
        if given[name] or name in made:
            _write(folder / name.lower(), given[name] or secrets.token_urlsafe(48))
    _write(front / "front_secret", _read(folder / "front_secret"))
    own = f"postgresql://vestnik:{_read(folder / 'postgres_password')}@postgres/vestnik"
    _write(folder / "database_url", os.environ.get("DATABASE_URL") or own)
    return made


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write(path: Path, text: str) -> None:
    """As a whole or not at all. Only containers of this installation see the folder; each runs as a user of its own."""
    unfinished = path.with_suffix(".new")
    with unfinished.open("w") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o444)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def main() -> int:
    """Writes the secrets; returns the exit status."""
    try:
        made = write(Path(sys.argv[1]), Path(sys.argv[2]))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"made: {', '.join(made)}\n" if made else "nothing was missing\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
