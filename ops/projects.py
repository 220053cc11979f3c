"""Which of this machine's installations is this folder's: what compose calls it, and whose volumes are whose."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops import OpsError
from ops.compose import ROOT, Compose, run

MADE = ("SECRET_KEY", "FRONT_SECRET", "POSTGRES_PASSWORD")
BEFORE = "vestnik"
"""What every installation was called before each had a name of its own."""
NAME = re.compile(r"[a-z0-9][-_a-z0-9]{0,62}")

LOST = (
    "{project} is in real use on this machine, and no .env here says so; nothing was changed. If it is this folder's,"
    " put its .env back. If that is lost for good, say all that it said, its name first:"
    " make up COMPOSE_PROJECT_NAME={project} SITE_URL=… MAIL_SERVICE_URL=… (docs/operations.md, “Lost .env”)."
    " An installation beside it wants a name of its own: make up COMPOSE_PROJECT_NAME=another …"
)
ELSEWHERE = (
    "{project} was started from {folder}; nothing was changed. Go on there; or stop it there (make down) and bring its"
    " .env here. An installation beside it wants a name of its own: make up COMPOSE_PROJECT_NAME=another …"
)


@dataclass(frozen=True)
class Kept:
    """What the volume of a project's secrets holds."""

    project: str
    secrets: Mapping[str, str]
    real_use: bool


@dataclass(frozen=True)
class Place:
    """Where an installation for real use goes on, or begins."""

    project: str
    there: Kept | None = None  # what it has there already
    trial: Kept | None = None  # what a trial of this folder has that becomes it


def of_folder(folder: Path | None = None) -> str:
    """Return what compose calls a trial in a folder; in this one, if none is named."""
    return "".join(re.findall(r"[-a-z0-9_]", (folder or ROOT).name.lower())).lstrip("_-") or BEFORE


def made_before(env: Mapping[str, str]) -> Kept | None:
    """Return what the installation has that the version before made by this .env; None where there is none.

    It is known by its secrets, wherever its folder lies by now.
    """
    if env.get("MODE") != "production" or not all(env.get(name) for name in MADE):
        return None
    found = kept(BEFORE)
    return found if found and any(found.secrets.get(name) == env[name] for name in MADE) else None


def place(project: str, is_known: bool, is_meant: bool) -> Place:
    """Look at what there is by this name. `is_known`: .env says it; `is_meant`: the operator does.

    Raises OpsError where it is somebody else's, or this folder's that has lost its .env.
    """
    if not NAME.fullmatch(project):
        raise OpsError("COMPOSE_PROJECT_NAME: small letters, digits, hyphens and underscores are wanted.")
    there = kept(project)
    if is_known:
        return Place(project, there)
    if others := folders(project) - {ROOT}:
        raise OpsError(ELSEWHERE.format(project=project, folder=min(others)))
    if there and not is_meant:
        raise OpsError(LOST.format(project=project))
    return Place(project, there, None if there else _trial(project))


def _trial(project: str) -> Kept | None:
    """Find the trial that runs or ran in this folder; None if there is none. Raises OpsError if it is in real use."""
    for name in dict.fromkeys((of_folder(), BEFORE)):
        started_from = folders(name)
        if name == project or started_from - {ROOT} or (name == BEFORE != of_folder() and not started_from):
            continue
        if found := kept(name):
            if found.real_use:
                raise OpsError(LOST.format(project=name))
            return found
    return None


def folders(project: str) -> set[Path]:
    """Return the folders from which its containers were started, be they running or not."""
    label = "com.docker.compose.project"
    told = ["--filter", f"label={label}={project}", "--format", f'{{{{.Label "{label}.working_dir"}}}}']
    return {Path(line).resolve() for line in run(["docker", "ps", "--all", *told]).splitlines() if line}


def running(project: str) -> set[str]:
    """Return the services of which a container runs."""
    label = "com.docker.compose."
    told = ["--filter", f"label={label}project={project}", "--format", f'{{{{.Label "{label}service"}}}}']
    return set(run(["docker", "ps", *told]).split())


def volumes(project: str) -> dict[str, str]:
    """Return the names of its volumes that there are, whoever made them, by what docker-compose.yml calls them."""
    known = json.loads(Compose(project)("config", "--format", "json"))["volumes"]
    there = set(run(["docker", "volume", "ls", "--quiet"]).split())
    return {each: volume["name"] for each, volume in known.items() if volume["name"] in there}


def kept(project: str) -> Kept | None:
    """Return what its first start made; None where it never came so far."""
    if "secrets" not in volumes(project):
        return None
    compose = Compose(project)
    files = " ".join(f"/run/vestnik/{name.lower()}" for name in MADE)
    look = f'for file in {files}; do cat "$file" 2>/dev/null; echo; done; test ! -e /run/vestnik/real_use || echo yes'
    compose.shown("build", "secrets")
    said = compose("run", "--rm", "-T", "--no-deps", "secrets", "sh", "-c", look).split("\n")
    secrets = {name: value for name, value in zip(MADE, said, strict=False) if value}
    real_use = len(said) > len(MADE) and said[len(MADE)] == "yes"
    return Kept(project, secrets, real_use) if secrets or real_use else None
