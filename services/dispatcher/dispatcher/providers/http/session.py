"""One connection that hands letters over, one after another: a POST each (docs/http_api.md).

What a broken connection means for the letter depends on one thing: was any of its content written? Before that it was
certainly not taken. aiohttp sends a POST once (it repeats only idempotent requests), and so do we: a service that
closes a kept connection just when a letter goes out on it leaves that letter UNKNOWN.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable
from dataclasses import replace

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from dispatcher.providers.base import Letter, Outcome, visible
from dispatcher.providers.errors import Misconfigured, Unavailable
from dispatcher.providers.http.answers import ANSWER_SIZE, TOKEN_REFUSED, judged
from dispatcher.providers.http.faults import FOREIGN, refusal, told
from dispatcher.providers.pool import STEPS, Pool
from dispatcher.providers.tasks import Broken, TaskConnection, Verdict
from dispatcher.providers.url import HttpConfig

PORTION = 16 * 1024
"""Bytes of a request that are written at once: each portion has the time of a step to go."""
SETTLING = 0.02
"""Seconds for which a new connection is watched: a proxy before a service that is away takes it and closes it at once,
and what is no HTTP service speaks first. A letter is not risked on such a one."""
SECRET = 8
"""A token of so many characters is hidden in the service's words; a shorter one hides nothing."""


async def connect(config: HttpConfig, tls: ssl.SSLContext | None, pool: Pool) -> "Session":
    """A connection that is open. Raises Unavailable or Misconfigured; nothing stays open then."""
    session = None
    try:
        async with asyncio.timeout(2 * config.timeout + SETTLING):
            session = Session(config, tls, pool)
            await session.open(SETTLING)
    except BaseException as error:
        if session is not None:
            await session.close()
        if isinstance(error, FOREIGN):
            raise refusal(error, config.name) from error
        raise
    return session


class Body(aiohttp.Payload):
    """The JSON of one letter; tells when its first bytes are written."""

    def __init__(self, letter: Letter, timeout: float, begun: Callable[[], None]) -> None:
        fields = {"id": letter.key, "sender": letter.sender, "recipient": letter.recipient}
        self._json = json.dumps({**fields, "message": base64.b64encode(letter.content).decode()}).encode()
        super().__init__(self._json, content_type="application/json")
        self._size = len(self._json)
        self._timeout = timeout
        self._begun = begun
        self.whole = False
        """Is all of it written?"""

    async def write(self, writer: AbstractStreamWriter) -> None:
        for start in range(0, len(self._json), PORTION):
            async with asyncio.timeout(self._timeout):
                await writer.write(self._json[start : start + PORTION])  # the first is written whole, or raises
                self._begun()
                await writer.drain()
        self.whole = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._json.decode(encoding, errors)


class Session(TaskConnection):
    """A session of aiohttp that keeps one connection."""

    def __init__(self, config: HttpConfig, tls: ssl.SSLContext | None, pool: Pool) -> None:
        super().__init__(pool)
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._url = URL(config.url, encoded=True)
        self._knock = aiohttp.ClientRequest("POST", self._url, loop=self._loop)
        self._connector = aiohttp.TCPConnector(ssl=tls or True, limit=1, keepalive_timeout=None)
        self._transport: asyncio.Transport | None = None
        self._steps = aiohttp.ClientTimeout(total=None, sock_connect=config.timeout, sock_read=config.timeout)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._steps,
            auto_decompress=False,
            trust_env=False,
            headers={
                "Authorization": f"Bearer {config.token}",
                "User-Agent": "Vestnik",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def open(self, watched: float = 0) -> None:
        """See that a usable connection is kept; a new one where it was closed, or something came unasked. Raises what
        aiohttp raises; also where one that is `watched` for so many seconds does not stay usable."""
        connection = await self._connector.connect(self._knock, [], self._steps)
        self._transport = connection.transport
        try:
            if watched:
                await asyncio.sleep(watched)
                if connection.protocol is None or not connection.protocol.is_connected():
                    raise aiohttp.ServerDisconnectedError
                if connection.protocol.should_close:
                    raise Unavailable(f"{self._config.name} speaks unasked: it is no HTTP service")
        finally:
            connection.release()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()  # aiohttp waits for ever until what a hanging service does not read is written
        await self._session.close()

    async def hand_over(self, letter: Letter) -> Verdict:
        """See `TaskConnection.hand_over`."""
        ends = self._loop.time() + STEPS * self._config.timeout
        body = Body(letter, self._config.timeout, self._note_begun)
        try:
            async with asyncio.timeout_at(ends):
                await self.open()
                headers = {"Idempotency-Key": letter.key}
                response = await self._session.post(self._url, data=body, headers=headers, allow_redirects=False)
            async with response:
                answer, trouble = await _read(response, ends)
        except FOREIGN as error:
            raise Broken(told(error)) from error
        verdict = judged(response.status, response.reason or "", response.headers, answer, trouble)
        return self._for_us(replace(verdict, usable=not trouble and body.whole))

    def _note_begun(self) -> None:
        self.begun = True

    def _for_us(self, verdict: Verdict) -> Verdict:
        """Without our token in it, and with what it says of our settings."""
        words, token = verdict.words, self._config.token
        if len(token) >= SECRET:
            words = words.replace(token, "***")
        if verdict.outcome is not Outcome.RETURNED:
            return replace(verdict, words=words)
        what = "refuses the token" if verdict.code in TOKEN_REFUSED else "says that letters go to another address"
        error = Misconfigured(f"{self._config.name} {what}: {verdict.code} {visible(words)}")
        return replace(verdict, words=words, refusal=error, usable=False)


async def _read(response: aiohttp.ClientResponse, ends: float) -> tuple[bytes, str]:
    """The body as far as it is read, and what is wrong with it."""
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
