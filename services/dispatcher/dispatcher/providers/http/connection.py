"""Where aiohttp does not do what we need: it opens connections as it likes, and reads interim answers without end."""

import asyncio
import functools
import ssl
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage

from dispatcher.providers.task_connection import Broken

INTERIM = 10
"""1xx answers to one letter that are accepted (RFC 9110, 15.2, sets no bound)."""
CLOSED = "the connection was closed before the letter"


class OneConnection(aiohttp.TCPConnector):
    """Opens one connection, and never another: nobody would have watched that one."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(ssl=tls or True, limit=1, keepalive_timeout=None)
        conversation: type[ResponseHandler] = _Conversation
        self._factory = functools.partial(conversation, loop=asyncio.get_running_loop())
        self._opened = False

    async def _create_connection(self, *args: Any, **options: Any) -> ResponseHandler:
        if self._opened:
            raise Broken(CLOSED)
        self._opened = True
        return await super()._create_connection(*args, **options)


class _Conversation(ResponseHandler):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._interim = 0

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of an answer."""
        interim = data[0].code < 200
        self._interim = self._interim + 1 if interim else 0
        if self._interim <= INTERIM:
            super().feed_data(data, size)
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
            self.set_exception(BadHttpMessage(f"more than {INTERIM} interim answers"))
