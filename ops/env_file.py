"""The .env of an installation: read as docker compose does; added to, and secrets changed in their places."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ops import OpsError

ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*", re.ASCII)
QUOTED = re.compile(r"(['\"])(.*?)\1\s*(?:#.*)?")
COMMENT = re.compile(r"(?:^|\s+)#.*")


def read(path: Path) -> dict[str, str]:
    """Read a file's variables, empty ones too; none where there is no file. Values over several lines are not known."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines():
        if assigned := ASSIGNMENT.fullmatch(line):
            name, value = assigned.groups()
            quoted = QUOTED.fullmatch(value)
            found[name] = quoted[2] if quoted else COMMENT.sub("", value)
    return found


def write(path: Path, added: Mapping[str, str], changed: Mapping[str, str], heading: str) -> None:
    """Write what was added below what the file has, and what was changed in its place; its owner alone can read it.

    Compose, python-dotenv and a shell all take what stands in single quotes as it is. Raises OpsError for what cannot.
    """
    for name, value in {**added, **changed}.items():
        if re.search(r"['\\\n\r]", value):
            raise OpsError(f"{name}: quotes, backslashes and line ends cannot be written; percent-encode them.")
    path = path.resolve()  # a link stays one
    before = _with(changed, path.read_text() if path.exists() else "")
    added = {**added, **{name: value for name, value in changed.items() if name not in read(path)}}
    lines = "".join(f"{name}='{value}'\n" for name, value in added.items())
    if lines:
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        lines = f"{gap}# {heading}\n{lines}"
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    with unfinished.open("w") as file:
        file.write(f"{before}{lines}")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _with(changed: Mapping[str, str], text: str) -> str:
    """Return the text with the new values of what was changed in their lines; `export` before a name stays."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        assigned = ASSIGNMENT.fullmatch(line.rstrip("\n"))
        if assigned and assigned[1] in changed:
            lines[number] = f"{line[: assigned.start(1)]}{assigned[1]}='{changed[assigned[1]]}'\n"
    return "".join(lines)
