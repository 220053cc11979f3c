"""What `make run` is told by the environment, and what it fills in where it is told nothing."""

import errno
import os
import secrets
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values, load_dotenv

from local import LocalError
from vestnik.mode import INBOX_BOUNCE_DOMAIN

INBOX_ADDRESS = "127.0.0.1"
DATABASE = "vestnik"
CHOSEN = "environment"
"""The file of what `make run` was not told and chose, for other terminals to read."""


@dataclass(frozen=True)
class Configuration:
    """The choices of one `make run`."""

    data: Path  # the folder everything is kept in
    web_port: int
    inbox_smtp_port: int
    inbox_port: int
    bounces_port: int
    bulk_processes: int
    demo: bool
    own_database: bool  # own: started here, because no URL names another
    own_queue: bool
    own_mail_service: bool

    @classmethod
    def read(cls, root: Path) -> "Configuration":
        """Read .env, for variables that are not set, and the environment."""
        if (mode := dotenv_values(root / ".env").get("MODE") or "local") == "local":
            load_dotenv(root / ".env", override=False)
        else:  # with a mail service that sends letters to people
            sys.stderr.write(f".env is not read: it is for containers (MODE={mode}).\n")
        data = Path(os.environ.get("LOCAL_DATA") or root / ".local").resolve()
        _forget_what_was_chosen(data / CHOSEN)
        return cls(
            data=data,
            web_port=_port("WEB_PORT", 8000),
            inbox_smtp_port=_port("INBOX_SMTP_PORT", 2525),
            inbox_port=_port("INBOX_PORT", 8025),
            bounces_port=_port("BOUNCES_PORT", 2526),
            bulk_processes=_whole("BULK_PROCESSES", 2, 1, 64),
            demo=os.environ.get("DEMO", "").strip().lower() not in ("0", "no", "false", "off"),
            own_database=not given("DATABASE_URL"),
            own_queue=not given("REDIS_URL"),
            own_mail_service=not given("MAIL_SERVICE_URL"),
        )

    @property
    def receives_bounces(self) -> bool:
        """Whether what comes back of letters is received: from the inbox, or at a domain of somebody's own."""
        return self.own_mail_service or given("BOUNCE_DOMAIN")

    def check_ports(self) -> None:
        """Raise LocalError if a port that will be listened on is taken."""
        wanted = {"WEB_PORT": self.web_port}
        if self.own_mail_service:
            wanted |= {"INBOX_SMTP_PORT": self.inbox_smtp_port, "INBOX_PORT": self.inbox_port}
        if self.receives_bounces:
            wanted["BOUNCES_PORT"] = self.bounces_port
        for name, port in wanted.items():
            others = [other for other in wanted if other != name and wanted[other] == port]
            if others:
                raise LocalError(f"{name} and {others[0]} are both {port}; choose another for one of them.")
            _check_port(name, port)

    def complete(self, defaults: dict[str, str]) -> None:
        """Set in the environment what it does not say: `defaults`, and what a local Vestnik is like."""
        defaults = {
            "DEBUG": "false",
            "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
            "SITE_URL": f"http://127.0.0.1:{self.web_port}",
            "MAIL_SERVICE_URL": f"smtp://{INBOX_ADDRESS}:{self.inbox_smtp_port}",
            **({"INBOX_URL": f"http://{INBOX_ADDRESS}:{self.inbox_port}/"} if self.own_mail_service else {}),
            **({"BOUNCE_DOMAIN": INBOX_BOUNCE_DOMAIN} if self.own_mail_service else {}),
            "BOUNCE_LISTEN": f"{INBOX_ADDRESS}:{self.bounces_port}",
            **defaults,
        }
        if not given("SECRET_KEY"):
            defaults["SECRET_KEY"] = _secret_key(self.data / "secret_key")
        defaults = {name: value for name, value in defaults.items() if not given(name)} | {"MODE": "local"}
        os.environ.update(defaults)
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in defaults.items()]
        write_privately(self.data / CHOSEN, "".join(lines))


def _forget_what_was_chosen(file: Path) -> None:
    """Forget what a terminal has read of the file: else an embedded database would pass for one of somebody's own."""
    if file.exists():
        for name, text in dotenv_values(file, interpolate=False).items():
            if text and os.environ.get(name) == text:
                del os.environ[name]


def given(name: str) -> bool:
    """Say whether a variable, or the file it may come from, is named."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def value(name: str) -> str:
    """Return a variable that is `given`, itself or by NAME_FILE. Raises LocalError for a file that cannot be read."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LocalError(f"{name}_FILE: {path!r} cannot be read ({error}).") from None
    return os.environ[name]


def write_privately(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    unfinished.write_text(text)
    unfinished.replace(path)


def _secret_key(path: Path) -> str:
    try:
        if key := path.read_text().strip():
            return key
    except FileNotFoundError:
        pass
    write_privately(path, secrets.token_urlsafe(48))
    return path.read_text()


def _port(name: str, default: int) -> int:
    return _whole(name, default, 1, 65535)


def _whole(name: str, default: int, least: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise LocalError(f"{name}: a number from {least} to {most} is wanted, not {text!r}.")
    return int(text)


def _check_port(name: str, port: int) -> None:
    another = f"{name} chooses another, for example: {name}={port + 1 if port < 65535 else 8001} make run"
    with socket.socket() as client:
        client.settimeout(1.0)
        if client.connect_ex((INBOX_ADDRESS, port)) == 0:
            raise LocalError(f"Port {port} is taken by another program. {another}")
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((INBOX_ADDRESS, port))
        except OSError as error:
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
            raise LocalError(f"Port {port} {why}. {another}") from None
