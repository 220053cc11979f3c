"""`python -m vestnik.first_start FOLDER`: the secrets of an installation, made at its first start and kept.

What the environment gives (SECRET_KEY, FRONT_SECRET, POSTGRES_PASSWORD) is written as it is; what it does not give
stays as it was, or is made. The services read them by NAME_FILE.
"""

import os
import re
import secrets
import sys
from pathlib import Path

MADE = ("SECRET_KEY", "FRONT_SECRET", "POSTGRES_PASSWORD")
PLAIN = re.compile(r"[-\w]{16,200}", re.ASCII)  # they stand in URLs and between quotes in nginx's configuration


def write(folder: Path) -> list[str]:
    """Write what is to be known; the names of what was made. Raises ValueError with a sentence for a bad value."""
    made = []
    for name in MADE:
        path = folder / name.lower()
        given = os.environ.get(name, "")
        if given and not PLAIN.fullmatch(given):
            raise ValueError(f"{name}: 16 to 200 letters, digits, hyphens and underscores are wanted.")
        if not given and path.exists():
            continue
        _write(path, given or secrets.token_urlsafe(48))
        if not given:
            made.append(name)
    password = (folder / "postgres_password").read_text()
    _write(
        folder / "database_url", os.environ.get("DATABASE_URL") or f"postgresql://vestnik:{password}@postgres/vestnik"
    )
    return made


def _write(path: Path, text: str) -> None:
    """As a whole or not at all. Only containers of this installation see the folder; each runs as a user of its own."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.chmod(0o444)
    unfinished.replace(path)


def main() -> int:
    """Writes the secrets; returns the exit status."""
    try:
        made = write(Path(sys.argv[1]))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"made: {', '.join(made)}\n" if made else "nothing was missing\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
