"""One connection that hands letters over, one after another: a POST each, in the dialect of its service.

What a broken connection means for the letter depends on whether any of its content was written: before that it was
certainly not accepted. aiohttp sends a POST once (it repeats only idempotent requests), and so do we: a service that
closes a kept connection just when a letter goes out on it leaves that letter UNKNOWN. A connection that was closed is
never opened again: the pool dials another, which is watched before a letter goes out on it.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from dispatcher.providers.base import About, Letter, Outcome, visible
from dispatcher.providers.errors import Unavailable
from dispatcher.providers.http.answers import ANSWER_SIZE, judged
from dispatcher.providers.http.connection import CLOSED, OneConnection
from dispatcher.providers.http.dialects import DIALECTS, Request, Unfit
from dispatcher.providers.http.faults import FOREIGN, refusal, told
from dispatcher.providers.pool import STEPS, Pool
from dispatcher.providers.redaction import redactor
from dispatcher.providers.task_connection import Broken, TaskConnection, Verdict
from dispatcher.providers.url import HttpConfig

PORTION = 16 * 1024
"""Bytes of a request that are written at once: each portion has the time of a step to go."""
SETTLING = 0.02
"""Seconds for which a new connection is watched: a proxy before a service that is away accepts it and closes it at
once, and a service that is not HTTP speaks first. No letter is risked on such a connection."""
NOT_SENT = 422
"""The code of a letter that is not posted since the service could not take it: as if it had said so."""
KEY = 12
"""Characters from which on a part of the path may be a key. The whole path is hidden in any case."""


async def connect(config: HttpConfig, tls: ssl.SSLContext | None, pool: Pool) -> "Session":
    """Return an open connection. Raises Unavailable or Misconfigured; nothing stays open then."""
    session = None
    try:
        async with asyncio.timeout(2 * config.timeout + SETTLING):
            session = Session(config, tls, pool)
            await session.open()
    except BaseException as error:
        if session is not None:
            await session.close()
        if isinstance(error, FOREIGN):
            raise refusal(error, config.name) from None  # aiohttp's own name whole addresses: not for a log
        raise
    return session


class Body(aiohttp.Payload):
    """What is posted for one letter; it reports when its first bytes are written."""

    def __init__(self, request: Request, timeout: float, begun: Callable[[], None]) -> None:
        self._bytes = request.body
        super().__init__(self._bytes, content_type=request.content_type)
        self._size = len(self._bytes)
        self._timeout = timeout
        self._begun = begun
        self.whole = False
        """Whether all of it is written."""

    async def write(self, writer: AbstractStreamWriter) -> None:
        for start in range(0, len(self._bytes), PORTION):
            async with asyncio.timeout(self._timeout):
                await writer.write(self._bytes[start : start + PORTION])  # the first is written whole, or raises
                self._begun()
                await writer.drain()
        self.whole = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._bytes.decode(encoding, errors)


class Session(TaskConnection):
    """A session of aiohttp, and its one connection."""

    def __init__(self, config: HttpConfig, tls: ssl.SSLContext | None, pool: Pool) -> None:
        super().__init__(pool)
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._url = URL(config.url, encoded=True)
        self._knock = aiohttp.ClientRequest("POST", self._url, loop=self._loop)
        self._connector = OneConnection(tls)
        self._transport: asyncio.Transport | None = None
        self._protocol: ResponseHandler | None = None
        self._dialect = DIALECTS[config.dialect]
        credentials = self._dialect.credentials(config.token)
        self._hidden = redactor(config.token, credentials.rpartition(" ")[2], *_secret_in(config))
        self._steps = aiohttp.ClientTimeout(total=None, sock_connect=config.timeout, sock_read=config.timeout)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._steps,
            auto_decompress=False,
            trust_env=False,
            headers={
                self._dialect.token_header: credentials,
                "User-Agent": "Vestnik",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def open(self) -> None:
        """Connect, once. Raises what aiohttp raises, also if the connection does not stay usable while watched."""
        connection = await self._connector.connect(self._knock, [], self._steps)
        self._transport, self._protocol = connection.transport, connection.protocol
        try:
            await asyncio.sleep(SETTLING)
            if self._protocol is None or not self._protocol.is_connected():
                raise aiohttp.ServerDisconnectedError
            if self._protocol.should_close:
                raise Unavailable(f"{self._config.name} speaks unasked: it is no HTTP service")
            if self._protocol.closed is not None:
                self._protocol.closed.add_done_callback(self._closed)
        finally:
            connection.release()

    async def close(self) -> None:
        """Disconnect at once, whatever is still to be written."""
        if self._transport is not None:
            self._transport.abort()  # aiohttp waits for ever until what a hanging service does not read is written
        await self._session.close()

    async def hand_over(self, letter: Letter) -> Verdict:
        """Hand the letter over as `TaskConnection.hand_over` says."""
        if not self._usable:
            raise Broken(CLOSED)
        ends = self._loop.time() + STEPS * self._config.timeout
        try:
            request = self._dialect.request(letter)
        except Unfit as error:
            return Verdict(Outcome.PERMANENT, NOT_SENT, str(error), about=About.LETTER)
        body = Body(request, self._config.timeout, self._note_begun)
        try:
            async with asyncio.timeout_at(ends):
                headers = dict(request.headers)
                response = await self._session.post(self._url, data=body, headers=headers, allow_redirects=False)
            async with response:
                answer, trouble = await _read(response, ends)
        except FOREIGN as error:
            raise Broken(self._hidden(told(error))) from error
        reason = response.reason or ""
        verdict = judged(response.status, reason, response.headers, answer, trouble, self._dialect)
        return self._for_us(replace(verdict, usable=not trouble and body.whole and self._usable))

    @property
    def _usable(self) -> bool:
        """Whether it is open, and nothing has come unasked."""
        return self._protocol is not None and self._protocol.is_connected() and not self._protocol.should_close

    def _closed(self, closed: "asyncio.Future[None]") -> None:
        """Keep letters from a connection that was closed."""
        closed.exception()  # asked for, so that asyncio does not log it
        if not self.busy:
            self.end("the service closed the connection")

    def _note_begun(self) -> None:
        self.begun = True

    def _for_us(self, verdict: Verdict) -> Verdict:
        """Return the verdict without our secrets in it, and with what it says about our settings."""
        answer = self._hidden(verdict.answer)
        if verdict.refusal is None:
            return replace(verdict, answer=answer)
        told = f"{self._config.name} {verdict.refusal}: {verdict.code} {visible(answer)}"
        return replace(verdict, answer=answer, refusal=type(verdict.refusal)(told), usable=False)


def _secret_in(config: HttpConfig) -> list[str]:
    """Return what of the path may be a key: nothing, where the path is that of a service everybody knows."""
    if config.dialect:
        return []
    parts = [config.path, *(part for part in config.path.split("/") if len(part) >= KEY)]
    return [*parts, *map(unquote, parts)]


async def _read(response: aiohttp.ClientResponse, ends: float) -> tuple[bytes, str]:
    """Return the body as far as it is read, and what is wrong with it."""
    body = b""
    try:
        async with asyncio.timeout_at(ends):
            while len(body) <= ANSWER_SIZE and (portion := await response.content.readany()):
                body += portion
    except FOREIGN as error:
        return body, f"its body did not come whole: {told(error)}"
    if len(body) > ANSWER_SIZE:
        response.close()
        return body, f"with more than {ANSWER_SIZE // 1024} kB"
    return body, ""
