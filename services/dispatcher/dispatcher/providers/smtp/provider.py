"""The SMTP provider."""

import ssl

from dispatcher.providers.base import Slots
from dispatcher.providers.loop_provider import LoopProvider
from dispatcher.providers.pool import Pool
from dispatcher.providers.smtp.dial import dial
from dispatcher.providers.smtp.session import Session
from dispatcher.providers.url import Security, SmtpConfig


class SmtpProvider(LoopProvider):
    """Hands letters over to one SMTP service."""

    def __init__(self, config: SmtpConfig, tls: ssl.SSLContext | None = None, slots: Slots | None = None) -> None:
        """Use `tls` instead of the default context, which trusts what the system trusts and checks the host's name."""
        if tls is None and config.security != Security.NONE:
            tls = ssl.create_default_context()

        async def connect(pool: Pool) -> Session:
            transport, offers = await dial(config, tls)
            return Session(transport, offers, config.timeout, pool)

        super().__init__(config.name, config, connect, slots)
