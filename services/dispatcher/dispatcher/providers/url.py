"""`MAIL_SERVICE_URL`: from an address to a provider.

    smtp://user:password@host:port?connections=20&timeout=30
    smtps://…            TLS from the first byte (RFC 8314)
    smtp+starttls://…    TLS by STARTTLS, demanded (RFC 3207)

User and password are percent-encoded. A new kind of provider is one more entry in `BUILDERS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

from dispatcher.providers.base import Provider

CONNECTIONS = range(1, 1001)
TIMEOUT = range(1, 601)

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+(%25[A-Za-z0-9_.-]+)?\]")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class WrongUrl(ValueError):
    """The address of the mail service is wrong; `str(error)` is one sentence that never holds the password."""


class Security(StrEnum):
    """How the connection is encrypted; the values are the schemes."""

    NONE = "smtp"
    TLS = "smtps"
    STARTTLS = "smtp+starttls"


PORTS = {Security.NONE: 25, Security.TLS: 465, Security.STARTTLS: 587}


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """Where and how to reach an SMTP service."""

    host: str
    port: int
    security: Security = Security.NONE
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    connections: int = 20
    """Most connections at once, per process."""
    timeout: float = 30
    """Seconds for each step: connecting, every reply; a whole letter gets five times as long."""

    @property
    def name(self) -> str:
        """The address without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.security}://{host}:{self.port}"


def parse(url: str) -> SmtpConfig:
    """Read an smtp, smtps or smtp+starttls address; raises WrongUrl for anything that is not exactly one."""
    if not url.isprintable() or " " in url:
        raise WrongUrl("there is a space or a control character in it: percent-encode it (a space is %20)")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in BUILDERS:
        raise WrongUrl(f"it must begin with one of {', '.join(f'{known}://' for known in BUILDERS)}")
    security = Security(scheme.lower())
    authority, _, query = rest.partition("?")
    if "#" in rest:
        raise WrongUrl("there is a # in it: percent-encode it as %23")
    if authority.endswith("/"):
        authority = authority[:-1]
    if "/" in authority:
        raise WrongUrl("there is a / before the options: write it as %2F in a user or password; there is no path")
    credentials, at, place = authority.rpartition("@")
    user, password = _credentials(credentials) if at else (None, None)
    host, port = _place(place, PORTS[security])
    options = _options(query)
    return SmtpConfig(host, port, security, user, password, **options)


def provider_from(url: str) -> Provider:
    """The provider that this address names; raises WrongUrl. Nothing is connected yet."""
    config = parse(url)
    return BUILDERS[config.security](config)


def _smtp(config: SmtpConfig) -> Provider:
    from dispatcher.providers.smtp import SmtpProvider

    return SmtpProvider(config)


BUILDERS: dict[str, Callable[[SmtpConfig], Provider]] = dict.fromkeys(Security, _smtp)


def _credentials(text: str) -> tuple[str, str]:
    user, _, password = (_decoded(part) for part in text.partition(":"))
    if not user:
        raise WrongUrl("there is an @ but no user before it")
    if not password:
        raise WrongUrl("there is a user but no password: write user:password@host")
    return user, password


def _decoded(text: str) -> str:
    if "@" in text or _PERCENT.search(text):
        raise WrongUrl("user or password is not percent-encoded: write @ as %40 and % as %25")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise WrongUrl("user or password is not percent-encoded UTF-8") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in decoded):
        raise WrongUrl("user or password holds a control character")
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


def _options(query: str) -> dict[str, int]:
    known = {"connections": CONNECTIONS, "timeout": TIMEOUT}
    options: dict[str, int] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in known:
            raise WrongUrl(f"it has an option that is not one of {', '.join(known)}")
        if name in options:
            raise WrongUrl(f"the option {name} is given twice")
        options[name] = _number(f"the option {name}", value, known[name])
    return options


def _number(what: str, text: str, allowed: range) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in allowed:
        return int(text)
    raise WrongUrl(f"{what} must be a whole number from {allowed.start} to {allowed.stop - 1}")
