"""The one boundary at which the errors of aiohttp, of sockets and of TLS become ours.

While connecting they become Unavailable, or Misconfigured where a person must act. While a letter is handed over they
become a text for its receipt; what they mean for the letter depends on how far it got (session.py). aiohttp's own texts
name whole addresses, and a path may hold a key: they are not used.
"""

import os
import ssl
from collections.abc import Iterator

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from dispatcher.providers.base import visible
from dispatcher.providers.errors import Crowded, Misconfigured, ProviderError, Unavailable

FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, EOFError)
"""Errors that are not ours; TimeoutError, ssl.SSLError and UnicodeError are among them."""


def refusal(error: Exception, name: str) -> ProviderError:
    """Return the error of ours for a failed connection to the service of this name."""
    untrusted = [each for each in _causes(error) if isinstance(each, ssl.SSLCertVerificationError)]
    if untrusted:
        why = getattr(untrusted[-1], "verify_message", "its check failed")
        return Misconfigured(f"the certificate of {name} is not trusted: {visible(why)}")
    if isinstance(error, (ValueError, aiohttp.NonHttpUrlClientError)):
        return Misconfigured(f"{name} is not an address")
    if isinstance(error, TimeoutError):
        return Unavailable(f"{name} did not answer in time")
    refused = any(isinstance(each, ConnectionRefusedError | ConnectionResetError) for each in _causes(error))
    kind = Crowded if refused or isinstance(error, aiohttp.ServerDisconnectedError) else Unavailable
    return kind(f"{name} cannot be reached: {visible(told(error))}")


def told(error: Exception) -> str:
    """Return what happened; a text of the service's in it is whole, and may hold what must be hidden."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorDNSError():
            return f"its name is not found ({visible(str(error.os_error.strerror))})"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return f"what came is not HTTP ({' '.join(str(error.message).split())})"
        case aiohttp.ClientPayloadError():
            return "the answer broke off, or is not framed as HTTP demands"
    for each in _causes(error):
        if isinstance(each, ssl.SSLError):
            return visible(f"TLS failed ({getattr(each, 'reason', None) or type(each).__name__})")
        if isinstance(each, OSError) and each.errno is not None:
            return f"the connection broke ({os.strerror(each.errno)})"
    return f"the connection broke ({type(error).__name__})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
