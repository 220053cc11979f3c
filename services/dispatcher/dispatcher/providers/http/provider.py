"""The HTTP provider."""

import ssl

from dispatcher.providers.base import Slots
from dispatcher.providers.http.session import Session, connect
from dispatcher.providers.loop_provider import LoopProvider
from dispatcher.providers.pool import Pool
from dispatcher.providers.url import HttpConfig


class HttpProvider(LoopProvider):
    """Hands letters over to one service that speaks the HTTP API of docs/http_api.md, or another dialect."""

    def __init__(self, config: HttpConfig, tls: ssl.SSLContext | None = None, slots: Slots | None = None) -> None:
        """Use `tls` instead of the default context, which trusts what the system trusts and checks the host's name."""
        if tls is None and config.scheme == "https":
            tls = ssl.create_default_context()

        async def dial(pool: Pool) -> Session:
            return await connect(config, tls, pool)

        super().__init__(config.name, config, dial, slots)
