"""What a release wants: `python -m tools.release check v1.2.3` before it, `notes v1.2.3` for its text.

A version stands in vestnik/__init__.py, in the three packages' pyproject.toml, and behind the images' names in
docker-compose.yml; the CHANGELOG has a section of it. `check` exits with 1 where one of them says something else.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

PLACES = {
    "shared/vestnik/__init__.py": r'^__version__ = "(.+)"$',
    "shared/pyproject.toml": r'^version = "(.+)"$',
    "services/web/pyproject.toml": r'^version = "(.+)"$',
    "services/dispatcher/pyproject.toml": r'^version = "(.+)"$',
    "docker-compose.yml": r"^ +image: \$\{COMPOSE_PROJECT_NAME\}-\w+:(.+)$",
}
"""Files that name the version, and by what line."""


def versions() -> dict[str, set[str]]:
    """Return each file that names the version, with what it says."""
    return {name: set(re.findall(pattern, (ROOT / name).read_text(), re.MULTILINE)) for name, pattern in PLACES.items()}


def notes(version: str) -> str:
    """Return what the CHANGELOG says of the version; empty if it has no such section."""
    found = re.search(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)",
        (ROOT / "CHANGELOG.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return found[1].strip() if found else ""


def faults(version: str) -> list[str]:
    """Return what keeps the version from being released, a sentence each."""
    found = [
        f"{name} says {', '.join(sorted(said)) or 'nothing'}." for name, said in versions().items() if said != {version}
    ]
    return found if notes(version) else [*found, f"CHANGELOG.md has no section [{version}]."]


def main() -> None:
    """Check or print, as the command line says; exit with 1 if something is wrong, with 2 for bad usage."""
    match sys.argv[1:]:
        case ["check", tag] if tag.startswith("v"):
            if found := faults(tag[1:]):
                sys.exit("\n".join(found))
        case ["notes", tag] if tag.startswith("v"):
            print(notes(tag[1:]))
        case _:
            sys.stderr.write("usage: python -m tools.release check|notes v1.2.3\n")
            sys.exit(2)


if __name__ == "__main__":
    main()
