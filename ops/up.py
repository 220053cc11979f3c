"""`make up`: an installation for real use. Its .env is made once, and started from ever after.

Nothing of what runs is replaced, no secret and no .env written before all of it was tried that can be tried beside it.
"""

import errno
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ops import OpsError, env_file, projects, run_command
from ops.compose import ROOT, Compose, run
from ops.projects import MADE, Kept, Place

WANTED = ("SITE_URL", "MAIL_SERVICE_URL")
ROTATED = ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "FRONT_SECRET")
KEYS_BEFORE = 2  # that stay good
MAIL_SCHEMES = (
    *("smtp", "smtps", "smtp+starttls", "https", "http"),
    *("mailgun", "postal", "sendgrid", "postmark", "brevo", "unisendergo"),
)
HEADING = "Written by `make up`. It writes nothing a second time: change it here, and run `make up` again."
USAGE = (
    "For real use {missing} wanted, once:\n\n"
    "    make up SITE_URL=https://vestnik.example.org MAIL_SERVICE_URL='smtp+starttls://user:password@host:587'\n\n"
    "or the same lines in a file .env (docs/operations.md). To have a look without any of it: docker compose up"
)
BEHIND_NGINX = ("web", "dispatcher", "control", "scheduler")
AS_IT_WAS = "what ran runs, and .env is as it was."
BUILT = "its images: containers that are made from now on are of this version"
MIGRATED = "its database may be brought to this version in part, which the version before can live with"
FIRST_ADMINISTRATOR = "docker compose exec web python -m django createsuperuser"

FROM_ENV = ("-e", "SECRET_KEY_FILE=", "-e", "FRONT_SECRET_FILE=", "-e", "DATABASE_URL_FILE=")
"""Has a container read what .env says of the secrets, and not what their volume has kept."""
FIRST_START = "mkdir /tmp/secrets /tmp/front && python first_start.py /tmp/secrets /tmp/front"
TRIED = {
    "secrets": ("sh", "-c", FIRST_START),  # what it writes goes with the container
    "web": ("python", "-m", "vestnik", "check"),
    "dispatcher": ("python", "-m", "vestnik", "check"),
    "control": ("python", "-m", "vestnik", "check"),
    "nginx": ("nginx", "-p", "/etc/nginx", "-t", "-g", "pid /tmp/nginx.pid;"),
}
DATA = {"postgres": "/var/lib/postgresql/data", "web": "/srv/media"}
"""What of a trial's volumes goes along, as the services see it: the database and the pictures."""


def completed(there: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return what has to be added to a .env that says `there`, where the command line says `given`.

    Raises OpsError if something is missing, contradicts what is there, or cannot be right.
    """
    for name, value in given.items():
        if there.get(name) and there[name] != value:
            raise OpsError(f"{name} has another value in .env; change it there.")
    known = {**there, **{name: value for name, value in given.items() if not there.get(name)}}
    if missing := [name for name in WANTED if not known.get(name)]:
        raise OpsError(USAGE.format(missing=f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'}"))
    if known.get("MODE") not in (None, "", "production"):
        raise OpsError(f"MODE is {known['MODE']} in .env; take the line out, or say production.")
    host = _host(known["SITE_URL"])
    if urlsplit(known["MAIL_SERVICE_URL"]).scheme not in MAIL_SCHEMES:
        raise OpsError(
            "MAIL_SERVICE_URL: smtp://, smtps://, smtp+starttls://, https:// or a service's own (docs/providers.md) is"
            " wanted."
        )
    defaults = {
        "COMPOSE_PROJECT_NAME": f"{projects.of_folder()}-production",
        "MODE": "production",
        "SITE_URL": known["SITE_URL"],
        "ALLOWED_HOSTS": host,
        "MAIL_SERVICE_URL": known["MAIL_SERVICE_URL"],
        "MAIL_FROM": f"vestnik@{host}",
        **{name: secrets.token_urlsafe(48) for name in MADE},
        "BIND": "127.0.0.1",
        "PORT": "8080",
        "TRUSTED_PROXIES": "2",  # nginx, and what speaks HTTPS before it
        "INBOX_REPLICAS": "0",
    }
    added = {name: known.get(name) or default for name, default in defaults.items() if not there.get(name)}
    added |= {name: value for name, value in given.items() if not there.get(name)}
    if "INBOX_UPSTREAM" not in known:
        added["INBOX_UPSTREAM"] = ""
    return added


def _host(site_url: str) -> str:
    parts = urlsplit(site_url)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise OpsError(f"SITE_URL: https://host is wanted, as people will call the installation, not {site_url!r}.")
    try:
        return parts.hostname.encode("idna").decode()  # as browsers send it
    except UnicodeError:
        raise OpsError(f"SITE_URL: {parts.hostname!r} is no name of a host.") from None


def given(names: list[str]) -> dict[str, str]:
    """Return what make's command line says by these variables. Raises OpsError for one that containers are not told."""
    known = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    names = [name for name in names if name != "PYTHON"]
    if unknown := [name for name in names if name not in known]:
        raise OpsError(f"{unknown[0]}: an installation in containers is not told this by .env.")
    return {name: os.environ[name] for name in names}


def rotated(there: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that the command line changes. What the old SECRET_KEY signed stays good: it is a fallback."""
    changed = {
        name: given[name]
        for name in ROTATED
        if name in given and given[name] != there.get(name, "") and (there.get(name) or name == "SECRET_KEY_FALLBACKS")
    }
    if "SECRET_KEY" in changed and "SECRET_KEY_FALLBACKS" not in given:
        keys = [there["SECRET_KEY"], *filter(None, there.get("SECRET_KEY_FALLBACKS", "").split(","))]
        changed["SECRET_KEY_FALLBACKS"] = ",".join(keys[:KEYS_BEFORE])
    return changed


def engine_is_here() -> bool:
    """Say whether containers run on this machine, as far as Docker is told."""
    return os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


def refuse_a_taken_port(settings: Mapping[str, str], ours: set[str]) -> None:
    """Raise OpsError where nginx could not listen, unless a container of `ours`, projects, does: it makes room."""
    bind, port = settings.get("BIND") or "127.0.0.1", settings.get("PORT") or "8080"
    if not engine_is_here():
        return
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise OpsError(f"PORT: a number from 1 to 65535 is wanted, not {port!r}.")
    try:
        family = socket.getaddrinfo(bind, int(port), type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((bind, int(port)))
    except socket.gaierror:
        raise OpsError(f"BIND: an address of this machine is wanted, not {bind!r}.") from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise OpsError(f"BIND: {bind} is no address of this machine.") from None
        if error.errno != errno.EADDRINUSE:
            return  # Docker may listen where this person may not
        label = '{{.Label "com.docker.compose.project"}}'
        holders = set(run(["docker", "ps", "--filter", f"publish={port}", "--format", label]).split())
        if holders & ours:
            return
        who = f" by {min(holders)}" if holders else ""
        raise OpsError(f"PORT: {bind}:{port} is taken{who}; say another, in .env or as make up PORT=8081 …") from None


def refuse_what_is_no_file(settings: Mapping[str, str]) -> None:
    """Raise OpsError where SSL_CERT_FILE names no file of this machine's."""
    name = settings.get("SSL_CERT_FILE")
    if not name:
        return
    if not name.startswith(("/", "./", "../")):
        raise OpsError(f"SSL_CERT_FILE: the path of a file is wanted that begins with /, not {name!r}.")
    if engine_is_here() and not (ROOT / name).is_file():
        raise OpsError(f"SSL_CERT_FILE: there is no file {name}.")


def refuse_another_password(settings: Mapping[str, str], at: Place) -> None:
    """Raise OpsError where the trial's database, which goes along, has another password than these variables say."""
    known = at.trial and not settings.get("DATABASE_URL") and at.trial.secrets.get("POSTGRES_PASSWORD")
    if at.trial and known and settings["POSTGRES_PASSWORD"] != known:
        raise OpsError(
            f"POSTGRES_PASSWORD: the database of the trial {at.trial.project} goes along, and has another one. Leave"
            " POSTGRES_PASSWORD out, and that one is taken."
        )


def prepare(compose: Compose) -> None:
    """Try what can be tried with these variables without a database: images and settings. Raises OpsError."""
    compose.shown("build")
    for service, command in TRIED.items():
        compose("run", "--rm", "-T", "--no-deps", *FROM_ENV, service, *command)


def has_database(compose: Compose) -> bool:
    """Say whether PostgreSQL has made a database in its volume, which is there."""
    look = "test ! -e /var/lib/postgresql/data/PG_VERSION || echo yes"
    return compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "", "postgres", "sh", "-c", look) == "yes"


def bring_database(compose: Compose, is_there: bool) -> None:
    """Connect to the database that is there with these variables, and bring it to this version. What runs serves
    meanwhile, and goes on where something fails. Raises OpsError.
    """
    if not is_there:
        compose.shown("run", "--rm", "-T", "secrets")  # PostgreSQL does not start without
    compose.shown("up", "--detach", "--wait", "--no-recreate", "--no-deps", "postgres", "redis")
    try:
        # In sight: what it refuses it says in a sentence.
        compose.shown("run", "--rm", "-T", "--no-deps", *FROM_ENV, "migrate")
    except OpsError as error:
        if is_there:
            raise
        raise OpsError(f"{error} POSTGRES_PASSWORD has to be the one that the database was made with.") from None


@contextmanager
def taken_along(project: str, compose: Compose) -> Iterator[None]:
    """Copy what a trial, this project, has kept, so that this installation begins with it; the trial is stopped. Where
    that fails, or what is done with it, what ran of it goes on. Raises OpsError.
    """
    trial, running = Compose(project), projects.running(project)
    trial.shown("stop")
    try:
        for service, folder in DATA.items():
            volume = f"{project}_{'media' if service == 'web' else service}:/from:ro"
            copy = ("--volume", volume, "--entrypoint", "", service, "cp", "-a", "/from/.", folder)
            compose("run", "--rm", "-T", "--no-deps", *copy)
        yield
    except (OpsError, KeyboardInterrupt):
        if running:
            trial.shown("start", *sorted(running))
        raise


def start(compose: Compose, has_database: bool) -> None:
    """Start this version, which was prepared. One that runs already serves meanwhile: compose by itself stops all that
    it replaces before it starts anything.
    """
    for once in ("secrets",) if has_database else ("secrets", "migrate"):
        compose.shown("run", "--rm", "-T", *(("--no-deps",) if has_database else ()), once)
    compose.shown("up", "--detach", "--wait", *BEHIND_NGINX)  # nginx shows its copies meanwhile
    compose.shown("up", "--detach", "--wait", "--remove-orphans")


@contextmanager
def undone_where_it_fails(compose: Compose, at: Place, before: Mapping[str, str]) -> Iterator[list[str]]:
    """Undo what was begun if the block fails, and say what stays of it: the yielded list is for that. `before`: the
    project's volumes that there were.
    """
    running, stays = projects.running(at.project), list[str]()
    try:
        yield stays
    except (OpsError, KeyboardInterrupt) as error:
        try:
            _undo(compose, at, before, running)
        except OpsError as another:
            stays.append(f"what was begun, for that could not be undone: {another}")
        if isinstance(error, OpsError):
            so = "Nothing was changed" if not stays else f"This was changed: {'; '.join(stays)}.\nNothing else"
            raise OpsError(f"{error}\n{so}: {AS_IT_WAS}") from None
        raise


def _undo(compose: Compose, at: Place, before: Mapping[str, str], running: set[str]) -> None:
    """Stop what was started, and take away what was made."""
    if at.there:
        if begun := projects.running(at.project) - running:
            compose("stop", *sorted(begun))
        return
    compose("down", *(() if before else ("--volumes",)))
    if before and (made := projects.volumes(at.project).items() - before.items()):
        run(["docker", "volume", "rm", *sorted(name for _each, name in made)])


def where(there: Mapping[str, str], said: dict[str, str]) -> Place:
    """Say which installation is meant. `said` gets the name of one that the version before made."""
    known, meant = there.get("COMPOSE_PROJECT_NAME"), said.get("COMPOSE_PROJECT_NAME")
    if not known and not meant and (before := projects.made_before(there)):
        said["COMPOSE_PROJECT_NAME"] = before.project
        return Place(before.project, before)
    name = known or meant or f"{projects.of_folder()}-production"
    return projects.place(name, is_known=bool(known), is_meant=bool(meant))


def main(names: list[str]) -> None:
    """Bring the installation up; `names`: the variables that the command line of make sets."""
    file = ROOT / ".env"
    there, said = env_file.read(file), given(names)
    changed = rotated(there, said)
    told = {name: value for name, value in said.items() if name not in changed}
    completed(there, told)  # refuses what cannot be right, before anything is looked at
    at = where(there, told)
    added = completed(there, told)
    for name, value in _secrets(at.there or at.trial).items():
        if name in added and name not in said:
            added[name] = value
    settings = {**there, **added, **changed}
    refuse_what_is_no_file(settings)
    refuse_another_password(settings, at)
    refuse_a_taken_port(settings, {at.project, *([at.trial.project] if at.trial else [])})
    before = projects.volumes(at.project)
    with tempfile.TemporaryDirectory(prefix="vestnik-") as folder:
        candidate = Path(folder, "env")
        if file.exists():
            shutil.copyfile(file, candidate)
        env_file.write(candidate, added, changed, HEADING)
        compose = Compose(at.project, candidate)
        with undone_where_it_fails(compose, at, before) as stays, ExitStack() as trial:
            if at.there:
                stays.append(BUILT)
            prepare(compose)
            goes_on = bool(at.there or at.trial or ("postgres" in before and has_database(compose)))
            if at.trial:
                trial.enter_context(taken_along(at.trial.project, compose))
            if goes_on:
                if not at.trial:
                    stays.append(MIGRATED)
                bring_database(compose, is_there=bool(at.there))
    if added or changed:
        env_file.write(file, added, changed, HEADING)
        sys.stdout.write(f"{file.name}: wrote {', '.join([*added, *changed])}\n")
    start(Compose(at.project), goes_on)
    _say_where(settings, at)


def _secrets(kept: Kept | None) -> Mapping[str, str]:
    return kept.secrets if kept else {}


def _say_where(settings: Mapping[str, str], at: Place) -> None:
    sys.stdout.write(
        f"\nVestnik runs as {at.project}. nginx listens on http://{settings['BIND']}:{settings['PORT']};"
        f" what speaks HTTPS for {settings['SITE_URL']} passes requests on to there.\n"
        f"The first administrator: {FIRST_ADMINISTRATOR}\n"
    )
    if at.trial:
        trial = at.trial.project
        sys.stdout.write(
            f"It began with what the trial {trial} had, which was stopped. What that has kept stays until\n"
            f"    docker compose -p {trial} down --volumes\n"
        )


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
