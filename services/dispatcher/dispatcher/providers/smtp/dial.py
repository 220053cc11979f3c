"""From nothing to a connection that is ready for letters: connect, EHLO, STARTTLS, AUTH, by aiosmtplib.

The one boundary at which aiosmtplib's errors become ours.
"""

import asyncio
import re
import socket
import ssl
from typing import NamedTuple, cast

import aiosmtplib

from dispatcher.providers.base import visible
from dispatcher.providers.errors import Crowded, LoginRefused, Misconfigured, ProviderError, Unavailable
from dispatcher.providers.pool import STEPS
from dispatcher.providers.redaction import redactor
from dispatcher.providers.smtp.wire import Offers
from dispatcher.providers.url import Security, SmtpConfig

LOGIN_NEEDED = frozenset({530, 534, 535, 538})
"""Refusals of the login or its encryption, not of a letter (RFC 4954, 6; RFC 3207, 4)."""

METHOD_UNKNOWN = frozenset({500, 501, 502, 503, 504, 534})
"""Refusals of the login's method, not of user and password (RFC 4954, 4)."""

CLOSING = 421
CROWDED = re.compile(r"too many|connections|\bbusy\b|(?:at|over) capacity|max(?:imum)? .{0,20}(?:reached|exceeded)")
"""Text of a greeting that refuses one connection more."""

FOREIGN = (aiosmtplib.SMTPException, OSError, ValueError, EOFError)
"""Errors of a dial that are not ours; TimeoutError, ssl.SSLError and UnicodeError are among them."""

_LOGINS = {"plain": "auth_plain", "login": "auth_login", "cram-md5": "auth_crammd5"}
_LOGINS_IN_THE_CLEAR = ("cram-md5", "plain", "login")
"""Methods where anybody could read the password: first the one that does not show it. Under TLS that comes last:
servers (Cyrus SASL) offer it by default, and refuse everybody if they do not store passwords in the form it needs."""
_EHLO_UNKNOWN = {500, 502, 504}
_FULL_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z][A-Za-z0-9-]*")
_NOBODYS = re.compile(r"(?:^|\.)(?:localhost|localdomain|arpa)$", re.IGNORECASE)

LOOK_UP = 2.0
"""Seconds that asking for this host's full name may take."""
_looked_up: str | None = None


class Dialled(NamedTuple):
    """A connection that is ready for letters."""

    transport: asyncio.Transport
    offers: Offers
    """What the service offers on it."""


async def dial(config: SmtpConfig, tls: ssl.SSLContext | None) -> Dialled:
    """Return a greeted and, if a user is given, authenticated connection.

    Raises Unavailable or Misconfigured; nothing stays open then.
    """
    client = aiosmtplib.SMTP(
        hostname=config.host,
        port=config.port,
        timeout=config.timeout,
        use_tls=config.security == Security.TLS,
        start_tls=False,
        tls_context=tls,
        local_hostname="localhost",  # never sent: _greet names us
    )
    try:
        async with asyncio.timeout(STEPS * config.timeout):
            await client.connect()
            await _greet(client, config.ehlo_name)
            if config.security == Security.STARTTLS:
                await _start_tls(client, config)
            if config.user is not None:
                await _log_in(client, config.user, config.password or "", config.security != Security.NONE)
        transport = client.transport
        if transport is None or transport.is_closing():
            raise Unavailable(f"{config.name} closed the connection before the first letter")
        return Dialled(cast(asyncio.Transport, transport), Offers.from_extensions(client.esmtp_extensions))
    except BaseException as error:
        client.close()
        if isinstance(error, FOREIGN):
            raise _translated(error, config) from None  # it may hold the login, as the service repeats it
        raise


async def _greet(client: aiosmtplib.SMTP, name: str) -> None:
    """Send EHLO, or HELO to a service that does not know EHLO (RFC 5321, 3.2)."""
    name = name or await _full_name() or _literal(client.get_transport_info("sockname"))
    try:
        await client.ehlo(hostname=name)
    except aiosmtplib.SMTPHeloError as error:
        if error.code not in _EHLO_UNKNOWN:
            raise
        await client.helo(hostname=name)


async def _start_tls(client: aiosmtplib.SMTP, config: SmtpConfig) -> None:
    if not client.supports_extension("starttls"):
        raise Misconfigured("the service does not offer STARTTLS, and the address demands it")
    await client.starttls(server_hostname=config.host)
    await _greet(client, config.ehlo_name)


async def _log_in(client: aiosmtplib.SMTP, user: str, password: str, encrypted: bool) -> None:
    """Log in by the first method that works: some services offer one that they do not have.

    A refused password is not tried by another method, for services shut out whoever guesses.
    """
    known = _LOGINS if encrypted else _LOGINS_IN_THE_CLEAR
    methods = [method for method in known if method in client.server_auth_methods]
    if not methods:
        raise Misconfigured("a user is given, but the service offers no login here that we know (perhaps only by TLS)")
    refusal: aiosmtplib.SMTPAuthenticationError | None = None
    for method in methods:
        try:
            await getattr(client, _LOGINS[method])(user, password)
        except aiosmtplib.SMTPAuthenticationError as error:
            refusal = error
            if error.code not in METHOD_UNKNOWN:
                break
        except aiosmtplib.SMTPServerDisconnected:
            if refusal is None:
                raise
            break
        else:
            return
    assert refusal is not None
    raise refusal


def _translated(error: Exception, config: SmtpConfig) -> ProviderError:
    user, password = config.user or "", config.password or ""
    hidden = redactor(password, f"\0{user}\0{password}", encoded=user)
    untrusted = next(
        (cause for cause in (error, error.__cause__) if isinstance(cause, ssl.SSLCertVerificationError)), None
    )
    if untrusted is not None:
        why = visible(getattr(untrusted, "verify_message", "its check failed"))
        return Misconfigured(f"the certificate of {config.name} is not trusted: {why}")
    if isinstance(error, UnicodeError):
        return Misconfigured(f"{config.host} is not a host name")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        code = f"{error.code} " if error.code > 0 else ""  # below zero are aiosmtplib's own
        said = visible(hidden(f"{code}{' / '.join(str(error.message).split(chr(10)))}"))
        refused_login = isinstance(error, aiosmtplib.SMTPAuthenticationError) and 500 <= error.code < 600
        if refused_login or error.code in LOGIN_NEEDED:
            return LoginRefused(f"{config.name} refused the login: {said}")
        kind = Crowded if error.code == CLOSING or CROWDED.search(said.lower()) else Unavailable
        return kind(f"{config.name} takes no letters now: {said}")
    if isinstance(error, TimeoutError):
        said = visible(hidden(str(error))) or "the whole dial took too long"
        return Unavailable(f"{config.name} did not answer in time: {said}")
    refused = any(isinstance(each, ConnectionRefusedError | ConnectionResetError) for each in (error, error.__cause__))
    kind = Crowded if refused or isinstance(error, aiosmtplib.SMTPServerDisconnected) else Unavailable
    return kind(f"{config.name} cannot be reached: {visible(hidden(str(error.__cause__ or error)))}")


async def _full_name() -> str:
    """Return this host's full name (RFC 5321, 4.1.1.1), or nothing if others could not know it; looked up once."""
    global _looked_up
    if _looked_up is None:
        name = socket.gethostname()
        if not _FULL_NAME.fullmatch(name):  # only then ask, for that may take long
            try:
                async with asyncio.timeout(LOOK_UP):
                    name = await asyncio.to_thread(socket.getfqdn)
            except TimeoutError:
                name = ""
        _looked_up = name if _FULL_NAME.fullmatch(name) and not _NOBODYS.search(name) else ""
    return _looked_up


def _literal(address: tuple[str, int]) -> str:
    """Return an address literal (RFC 5321, 4.1.3)."""
    ip = address[0].partition("%")[0]
    return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"
