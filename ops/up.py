"""`make up`: an installation for real use. Its .env is made once, and started from ever after."""

import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

from ops import OpsError, env_file, run_command
from ops.compose import ROOT, Compose, run

WANTED = ("SITE_URL", "MAIL_SERVICE_URL")
MADE = ("SECRET_KEY", "FRONT_SECRET", "POSTGRES_PASSWORD")
MAIL_SCHEMES = ("smtp", "smtps", "smtp+starttls", "https", "http")
HEADING = "Written by `make up`. It writes nothing a second time: change it here, and run `make up` again."
USAGE = (
    "For real use {missing} wanted, once:\n\n"
    "    make up SITE_URL=https://vestnik.example.org MAIL_SERVICE_URL='smtp+starttls://user:password@host:587'\n\n"
    "or the same lines in a file .env (docs/operations.md). To have a look without any of it: docker compose up"
)
BEHIND_NGINX = ("web", "dispatcher", "control", "scheduler")
FIRST_ADMINISTRATOR = "docker compose exec web python -m django createsuperuser"


def completed(there: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What has to be added to a .env that says `there`, where the command line says `given`.

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
        raise OpsError("MAIL_SERVICE_URL: smtp://, smtps://, smtp+starttls:// or https:// is wanted (README.md).")
    defaults = {
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
    """What the command line of make says by these variables. Raises OpsError for one that containers are not told."""
    known = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    names = [name for name in names if name != "PYTHON"]
    if unknown := [name for name in names if name not in known]:
        raise OpsError(f"{unknown[0]}: an installation in containers is not told this by .env.")
    return {name: os.environ[name] for name in names}


def kept_by_a_trial(compose: Compose) -> dict[str, str]:
    """The secrets that were made here when `docker compose up` ran without a .env; none where it never came so far."""
    volume = json.loads(compose("config", "--format", "json"))["volumes"]["secrets"]["name"]
    if not run(["docker", "volume", "ls", "--quiet", "--filter", f"name=^{volume}$"]):
        return {}
    files = " ".join(f"/run/vestnik/{name.lower()}" for name in MADE)
    shell = ("sh", "-c", f'for file in {files}; do cat "$file" 2>/dev/null; echo; done')
    compose.shown("build", "secrets")
    said = compose("run", "--rm", "-T", "--no-deps", "secrets", *shell)
    return {name: value for name, value in zip(MADE, f"{said}\n".splitlines(), strict=True) if value}


def start(compose: Compose) -> None:
    """Start this version. One that runs already serves until the database is ready for this one, and goes on where that
    fails: compose by itself stops all that it replaces before it starts anything.
    """
    compose.shown("build")
    for once in ("secrets", "migrate"):  # in sight: what they refuse they say in a sentence
        compose.shown("run", "--rm", "-T", once)
    compose.shown("up", "--detach", "--wait", *BEHIND_NGINX)  # nginx shows its copies meanwhile
    compose.shown("up", "--detach", "--wait", "--remove-orphans")


def main(names: list[str]) -> None:
    """`names`: the variables that the command line of make sets."""
    file = ROOT / ".env"
    compose = Compose()
    there = env_file.read(file)
    added = completed(there, given(names))
    if added:
        if not added.keys().isdisjoint(MADE):
            added |= {name: value for name, value in kept_by_a_trial(compose).items() if name in added}
        env_file.add(file, added, HEADING)
        sys.stdout.write(f"{file.name}: wrote {', '.join(added)}\n")
    settings = {**there, **added}
    start(compose)
    sys.stdout.write(
        f"\nVestnik runs. nginx listens on http://{settings['BIND']}:{settings['PORT']}; what speaks HTTPS for"
        f" {settings['SITE_URL']} passes requests on to there.\n"
        f"The first administrator: {FIRST_ADMINISTRATOR}\n"
    )


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
