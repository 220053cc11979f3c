"""Which provider serves which kind of address. A new kind is one more entry in `BUILDERS`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dispatcher.providers.base import Provider, Slots, Unlimited
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import HttpConfig, SmtpConfig, parse

BUILDERS: dict[type, Callable[[Any, Slots], Provider]] = {
    SmtpConfig: lambda config, slots: SmtpProvider(config, slots=slots),
    HttpConfig: lambda config, slots: HttpProvider(config, slots=slots),
}


def provider_from(
    url: str, connections: int | None = None, slots: Slots | None = None, ehlo_name: str = ""
) -> Provider:
    """Make the provider that this address names, with at most so many `connections` if given. Nothing is connected yet.

    `ehlo_name` is our name towards an SMTP server. Raises WrongUrl.
    """
    config = parse(url)
    if isinstance(config, SmtpConfig):
        config = replace(config, ehlo_name=ehlo_name)
    if connections is not None:
        config = replace(config, connections=min(connections, config.connections))
    return BUILDERS[type(config)](config, slots or Unlimited())
