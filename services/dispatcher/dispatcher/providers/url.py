"""`MAIL_SERVICE_URL`: how addresses of services are read (registry.py makes a provider of what was read).

    smtp://user:password@host:port?connections=20&timeout=30&total=60
    smtps://…                 TLS from the first byte (RFC 8314)
    smtp+starttls://…         TLS by STARTTLS, demanded (RFC 3207)
    https://token@host/path   the HTTP API of docs/http_api.md; http:// without TLS
    mailgun://key@host/domain postal://key@host, sendgrid://… and so on: the HTTPS API of that service (SERVICES)

User, password and token are percent-encoded. A new kind of address is one more entry in `PARSERS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

CONNECTIONS = range(1, 1001)
TIMEOUT = range(1, 601)
TOTAL = range(1, 10_001)

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+(%25[A-Za-z0-9_.-]+)?\]")
EHLO = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+|\[(IPv6:[0-9A-Fa-f:.]+|[0-9.]+)\]")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)+")


class WrongUrl(ValueError):
    """The address of the mail service is wrong; `str(error)` is one sentence that never holds the password."""


class Security(StrEnum):
    """How an SMTP connection is encrypted; the values are the schemes."""

    NONE = "smtp"
    TLS = "smtps"
    STARTTLS = "smtp+starttls"


PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """Options that every kind of service has."""

    connections: int = 20
    """Most connections at once, per process."""
    timeout: float = 30
    """Seconds for each step: connecting, every reply; a whole letter gets five times as long."""
    total: int | None = None
    """Most connections at once, of all processes together; None is as many as there are processes for."""


@dataclass(frozen=True, slots=True)
class SmtpConfig(ConnectionOptions):
    """Where and how to reach an SMTP service."""

    host: str
    port: int
    security: Security = Security.NONE
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ehlo_name: str = ""
    """What we call ourselves; empty: this host's full name, or its address."""

    @property
    def name(self) -> str:
        """The address without user and password."""
        return f"{self.security}://{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpConfig(ConnectionOptions):
    """Where and how to reach an HTTP API."""

    scheme: str
    host: str
    port: int
    path: str
    token: str = field(repr=False)
    dialect: str = ""
    """Which service's API it is, one of `SERVICES`; empty: our own (docs/http_api.md)."""

    @property
    def name(self) -> str:
        """The address without the token, and without the path, which may hold a key."""
        return f"{self.dialect or self.scheme}://{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The address to which letters are posted."""
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}{self.path}"


Config = SmtpConfig | HttpConfig


def parse(url: str) -> Config:
    """Read the address of a service; raises WrongUrl for anything that is not exactly one."""
    if not url.isprintable() or " " in url:
        raise WrongUrl("there is a space or a control character in it: percent-encode it (a space is %20)")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in PARSERS:
        raise WrongUrl(f"it must begin with one of {', '.join(f'{known}://' for known in PARSERS)}")
    if "#" in rest:
        raise WrongUrl("there is a # in it: percent-encode it as %23")
    return PARSERS[scheme](scheme, rest)


def in_the_clear(url: str) -> bool:
    """Say whether a password or token goes over the network where everybody on the way can read it."""
    config = parse(url)
    if config.host == "localhost" or config.host.startswith("127.") or config.host == "::1":
        return False
    if isinstance(config, HttpConfig):
        return config.scheme == "http"
    return config.security == Security.NONE and config.password is not None


def _parse_smtp(scheme: str, rest: str) -> SmtpConfig:
    authority, _, query = rest.partition("?")
    authority = authority.removesuffix("/")
    if "/" in authority:
        raise WrongUrl("there is a / before the options: write it as %2F in a user or password; there is no path")
    credentials, at, place = authority.rpartition("@")
    user, password = _credentials(credentials) if at else (None, None)
    host, port = _place(place, PORTS[scheme])
    return SmtpConfig(host, port, Security(scheme), user, password, **options(query))


def _parse_http(scheme: str, rest: str) -> HttpConfig:
    token, host, port, path, query = _with_token(rest, "https://token@host/path", PORTS[scheme])
    path = path or "/"
    if not _PATH.fullmatch(path) or _PERCENT.search(path):
        raise WrongUrl("the path is not percent-encoded")
    return HttpConfig(scheme, host, port, path, token, **options(query))


def _parse_service(service: str, rest: str) -> HttpConfig:
    example, posted = SERVICES[service]
    token, host, port, path, query = _with_token(rest, f"{service}://KEY@{example}", PORTS["https"])
    domain = path.strip("/")
    if "{domain}" in posted and not _DOMAIN.fullmatch(domain):
        raise WrongUrl(f"the domain that letters are sent from is missing: write {service}://KEY@{example}")
    if "{domain}" not in posted and domain:
        raise WrongUrl(f"there is a path: write {service}://KEY@{example}")
    return HttpConfig("https", host, port, posted.format(domain=domain), token, service, **options(query))


def _with_token(rest: str, example: str, default_port: int) -> tuple[str, str, int, str, str]:
    """Return token, host, port, path and options of `token@host:port/path?options`."""
    address, _, query = rest.partition("?")
    authority, slash, path = address.partition("/")
    credentials, at, place = authority.rpartition("@")
    if not at or not credentials:
        raise WrongUrl(f"the token is missing: write {example} (a / in it is %2F)")
    if ":" in credentials:
        raise WrongUrl("there is a : in the token: percent-encode it as %3A; there is no user and password")
    token = _decoded(credentials)
    if not token.isascii() or " " in token:
        raise WrongUrl("the token holds a space or something that is not ASCII")
    return token, *_place(place, default_port), slash + path, query


SERVICES = {
    "mailgun": ("api.mailgun.net/example.org", "/v3/{domain}/messages.mime"),
    "postal": ("postal.example.org", "/api/v1/send/raw"),
    "sendgrid": ("api.sendgrid.com", "/v3/mail/send"),
    "postmark": ("api.postmarkapp.com", "/email"),
    "brevo": ("api.brevo.com", "/v3/smtp/email"),
    "unisendergo": ("go1.unisender.ru", "/ru/transactional/api/v1/email/send.json"),
}
"""Of each mail service whose HTTPS API is spoken (http/dialects/): what follows the @ in its address, and the path that
letters are posted to."""

PARSERS: dict[str, Callable[[str, str], Config]] = {
    **dict.fromkeys((str(each) for each in Security), _parse_smtp),
    **dict.fromkeys(("https", "http"), _parse_http),
    **dict.fromkeys(SERVICES, _parse_service),
}
"""Of each scheme: what reads scheme and rest of an address, and raises WrongUrl."""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _credentials(text: str) -> tuple[str, str]:
    user, _, password = (_decoded(part) for part in text.partition(":"))
    if not user:
        raise WrongUrl("there is an @ but no user before it")
    if not password:
        raise WrongUrl("there is a user but no password: write user:password@host")
    return user, password


def _decoded(text: str) -> str:
    if "@" in text or _PERCENT.search(text):
        raise WrongUrl("user, password or token is not percent-encoded: write @ as %40 and % as %25")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise WrongUrl("user, password or token is not percent-encoded UTF-8") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in decoded):
        raise WrongUrl("user, password or token holds a control character")
    return decoded


def _place(text: str, default_port: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(default_port)
    if not host:
        raise WrongUrl("the host is missing")
    if not _HOST.fullmatch(host):
        raise WrongUrl("the host is not a host name or an address (an IPv6 address goes in square brackets)")
    return host.strip("[]").replace("%25", "%"), _number("the port", port, range(1, 65536))


def options(query: str) -> dict[str, Any]:
    """Read the options after an address's `?`: the fields of ConnectionOptions. Raises WrongUrl."""
    known = {"connections": CONNECTIONS, "timeout": TIMEOUT, "total": TOTAL}
    chosen: dict[str, int] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in known:
            raise WrongUrl(f"it has an option that is not one of {', '.join(known)}")
        if name in chosen:
            raise WrongUrl(f"the option {name} is given twice")
        chosen[name] = _number(f"the option {name}", value, known[name])
    return chosen


def _number(what: str, text: str, allowed: range) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in allowed:
        return int(text)
    raise WrongUrl(f"{what} must be a whole number from {allowed.start} to {allowed.stop - 1}")
