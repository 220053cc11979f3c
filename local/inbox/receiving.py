"""The SMTP side: takes letters, and answers 250 when they are kept.

Two domains are not taken, so that refusals can be seen as a real service makes them: RCPT TO somebody at
`refused.example` is answered 550 (for good: there is no such mailbox), at `busy.example` 451 (for now, every time). Of
three more letters are taken, and something comes back of them afterwards (returning.py).
"""

import asyncio
import contextlib
import logging
import sqlite3

from aiosmtpd.smtp import SMTP, Envelope, Session

from local.inbox.returning import ORDERS, Returns
from local.inbox.store import Received, Store

LARGEST_LETTER = 25 * 1024 * 1024
CONNECTIONS = 200
BATCH = 200  # letters a commit
ANSWERS = {
    "refused.example": "550 5.1.1 There is no such mailbox here",
    "busy.example": "451 4.3.0 Too busy to take letters now, try again later",
}

log = logging.getLogger(__name__)


class Inbox:
    """Gathers the letters that come while a commit is on its way, and keeps them by the next."""

    def __init__(self, store: Store, returns: Returns | None = None) -> None:
        """Keep letters in the store. `returns` sends what comes back of them; without it nothing does."""
        self.store = store
        self.returns = returns
        self.version = 0  # grows when the letters change
        self._changed = asyncio.Event()
        self._waiting: asyncio.Queue[tuple[Received, asyncio.Future[None]]] = asyncio.Queue()

    async def keep(self, letter: Received) -> None:
        """Keep the letter; return when it is committed. Raises sqlite3.Error if it cannot be."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((letter, done))
        await done

    async def clear(self) -> None:
        """Let go of all letters."""
        await asyncio.to_thread(self.store.clear)
        self._tell()

    async def commit_forever(self) -> None:
        """Commit the letters that `keep` was given, those that came meanwhile together, without end."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            error: sqlite3.Error | None = None
            try:
                await asyncio.to_thread(self.store.add, [letter for letter, _ in batch])
            except sqlite3.Error as raised:
                log.error("%d letters cannot be kept: %s", len(batch), raised)
                error = raised
            for _, done in batch:
                if done.done():
                    continue
                if error:
                    done.set_exception(error)
                else:
                    done.set_result(None)
            self._tell()

    async def change(self, seconds: float) -> None:
        """Wait until the letters change, or somebody calls `wake`, or so many seconds are over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def wake(self) -> None:
        """Let everybody return from `change`."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _tell(self) -> None:
        self.version += 1
        self.wake()


class Handler:
    """What aiosmtpd asks."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer one recipient of a letter."""
        if refusal := ANSWERS.get(address.rpartition("@")[2].lower()):
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient taken"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a letter, and answer whether it is kept."""
        content = envelope.content or b""
        source = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
        try:
            await self._inbox.keep(Received(envelope.mail_from or "", tuple(envelope.rcpt_tos), source))
        except sqlite3.Error:
            return "452 4.3.1 The letter cannot be kept now"
        for recipient in envelope.rcpt_tos:
            order = ORDERS.get(recipient.rpartition("@")[2].lower())
            if order and self._inbox.returns:
                self._inbox.returns.send_soon(order, envelope.mail_from or "", recipient, source)
        return "250 2.0.0 Kept"


class Connection(SMTP):
    """One SMTP connection, or the refusal of one too many."""

    line_length_limit = 1024 * 1024  # more than RFC 5321's: what others forgive is shown, not refused

    def __init__(self, inbox: Inbox, open_connections: "set[Connection]", limit: int = CONNECTIONS) -> None:
        super().__init__(
            Handler(inbox),
            hostname="inbox.localhost",
            ident="Vestnik's inbox",
            data_size_limit=LARGEST_LETTER,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )
        self._open = open_connections
        self._limit = limit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, unless there are too many."""
        if len(self._open) >= self._limit:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"421 4.7.0 Too many connections\r\n")
            transport.close()
            return
        self._open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for another."""
        if self in self._open:
            self._open.discard(self)
            super().connection_lost(error)


async def listen(inbox: Inbox, host: str, port: int, limit: int = CONNECTIONS) -> asyncio.Server:
    """Start the SMTP server."""
    open_connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(inbox, open_connections, limit), host, port)
