"""`python -m dispatcher bounces`: an SMTP server (RFC 5321) for what comes back of letters, and for nothing else.

A mail is answered with 250 when what it says is written down, and with 451 while that cannot be: mail servers keep it
and come again, so that none is lost. Nothing is ever written in answer. What cannot be meant for us is refused before
its content comes.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from imaplib import IMAP4
from typing import Any

import django.db
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.db import close_old_connections, connections
from imap_tools import ImapToolsError

from dispatcher.bounces import mailbox, receiving
from dispatcher.bounces.mailbox_url import Mailbox
from dispatcher.bounces.reading import LOOKED_AT
from vestnik.mailings import return_addresses
from vestnik.mailings.letter_tokens import Purpose

logger = logging.getLogger(__name__)

LARGEST_MAIL = 100 * 1024 * 1024
"""Bytes that are waited for: some servers send back all of a letter, and of several. LOOKED_AT of them are kept."""
LONGEST_PIECE = 64 * 1024
"""Bytes of a line that are in memory at once."""
CONNECTIONS = 30
CONNECTIONS_OF_ONE = 10
"""Of one peer's address; behind a proxy that is everybody's."""
WRITERS = 4
SECONDS = 120.0
"""For which a connection may say nothing."""
LIFETIME = 900.0
"""Seconds after which a connection ends, whatever it says."""
RECIPIENTS = 20
"""Of one mail."""
LATER = "451 4.3.0 This cannot be written down now, try again later"
BY_MAIL = "mail"
COLLECTED_EVERY, BETWEEN_FULL_ROUNDS = 60.0, 2.0
"""Seconds between looks into a mailbox; and where there is more than one look takes."""


class Trouble:
    """Something that fails for a while: operators are told when it begins, and when it is over."""

    def __init__(self, begun: str, over: str) -> None:
        self._begun, self._over = begun, over
        self._lasts = False

    def begins(self, error: Exception) -> None:
        """Note a failure."""
        logger.log(logging.INFO if self._lasts else logging.ERROR, "%s: %s", self._begun, error)
        self._lasts = True

    def ends(self) -> None:
        """Note that it works."""
        if self._lasts:
            logger.info("%s", self._over)
        self._lasts = False


class Writers:
    """Threads that write down what comes, each with a connection to the database, made again where it broke."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="bounces")
        self._trouble = Trouble("what comes back is not written down", "what comes back is written down again")

    async def ask(self, work: Callable[[], Any]) -> Any:
        """Return what the work does. Raises django.db.Error; the first of a row is told to operators."""
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self.alone, work)
        except django.db.Error as error:
            self._trouble.begins(error)
            raise
        self._trouble.ends()
        return answer

    def close(self) -> None:
        """Wait for what is being written, and end the threads."""
        for _ in range(WRITERS):
            self._threads.submit(connections.close_all)
        self._threads.shutdown()

    @staticmethod
    def alone(work: Callable[[], Any]) -> Any:
        """Return what the work does, with a connection to the database that holds."""
        close_old_connections()
        try:
            return work()
        finally:
            close_old_connections()


class Handler:
    """What aiosmtpd asks."""

    def __init__(self, domain: str, writers: Writers) -> None:
        self._domain = domain
        self._writers = writers

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient that is ours."""
        of_a_letter = any(return_addresses.taken_apart(address, purpose) for purpose in Purpose)
        if address.lower().rpartition("@")[2] != self._domain and not of_a_letter:
            return "550 5.7.1 Mail for others is not taken here"
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        try:
            ours = await self._writers.ask(partial(receiving.is_ours, address, self._domain))
        except django.db.Error:
            return LATER
        if not ours:
            return "550 5.1.1 Only what comes back of letters is taken here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient taken"

    async def take(self, addresses: list[str], source: bytes) -> str:
        """Write down what a mail says, and return the answer to it. Raises nothing: the mail would be refused."""
        try:
            await self._writers.ask(partial(receiving.take, addresses, self._domain, source, BY_MAIL))
        except django.db.Error:
            return LATER
        except Exception:
            logger.exception("a mail of %d bytes could not be taken", len(source))
            return LATER
        return "250 2.0.0 Taken"

    async def handle_exception(self, error: Exception) -> str:
        """Answer a fault of our own: the mail comes again, and operators know."""
        logger.error("a mail could not be taken", exc_info=error)
        return LATER


class Connection(SMTP):
    """One connection, or the refusal of one too many."""

    line_length_limit = LONGEST_PIECE

    def __init__(self, handler: Handler, domain: str, others: dict[Connection, str]) -> None:
        super().__init__(
            handler,
            hostname=domain,
            ident="ready",
            data_size_limit=LARGEST_MAIL,
            enable_SMTPUTF8=True,
            timeout=SECONDS,
            loop=asyncio.get_running_loop(),
        )
        self._taker = handler
        self._others = others
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, unless there are too many, of all or of this peer."""
        assert isinstance(transport, asyncio.Transport)
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        if len(self._others) >= CONNECTIONS or list(self._others.values()).count(peer) >= CONNECTIONS_OF_ONE:
            transport.write(b"421 4.7.0 Too many connections\r\n")
            transport.close()
            return
        self._others[self] = peer
        self._end = asyncio.get_running_loop().call_later(LIFETIME, transport.abort)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for another."""
        if self._end:
            self._end.cancel()
        if self._others.pop(self, None) is not None:
            super().connection_lost(error)

    def _timeout_cb(self) -> None:
        """End a connection that says nothing, also one that does not read what is said to it."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Take a mail: of a long one what is read of it is kept, and its end waited for.

        The library's own keeps every line, and refuses mail with long ones.
        """
        if await self.check_helo_needed():
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 RCPT comes first")
            return
        if arg:
            await self.push("501 5.5.4 DATA has no argument")
            return
        await self.push("354 Go on, and end with a dot on a line by itself")
        source = await self._content()
        if source is None:
            await self.push("552 5.3.4 The mail is too large")
            if self.transport:
                self.transport.close()
            return
        answer = await self._taker.take(self.envelope.rcpt_tos, source)
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(answer)

    async def _content(self) -> bytes | None:
        """Return the beginning of the content that comes now, when all of it has; None if there is no end of it."""
        kept, size, begins = bytearray(), 0, True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as more:  # a part of a long line
                piece = await self._reader.read(more.consumed)
            if begins and piece == b".\r\n":
                return bytes(kept)
            if size // LONGEST_PIECE != (size + len(piece)) // LONGEST_PIECE:
                self._reset_timeout()
            size += len(piece)
            if size > LARGEST_MAIL:
                return None
            kept += (piece[1:] if begins and piece.startswith(b".") else piece)[: max(LOOKED_AT - len(kept), 0)]
            begins = piece.endswith(b"\r\n")


async def listen(domain: str, host: str, port: int, writers: Writers) -> asyncio.Server:
    """Start the server. Raises OSError if it cannot listen there."""
    handler, others = Handler(domain, writers), dict[Connection, str]()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(handler, domain, others), host, port)


def run() -> int:
    """Serve until told to stop; return the exit status. Without BOUNCE_DOMAIN there is nothing to do but to wait."""
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's own, a line for each command
    try:
        asyncio.run(_serve(settings.BOUNCE_DOMAIN, *where()))
    except OSError as error:
        logger.error("what comes back cannot be received at %s: %s", settings.BOUNCE_LISTEN, error)
        return 1
    return 0


def where() -> tuple[str, int]:
    """Return host and port of BOUNCE_LISTEN."""
    host, _colon, port = settings.BOUNCE_LISTEN.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104


async def _serve(domain: str, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if not domain:
        logger.info("BOUNCE_DOMAIN is not set: bounces are not received")
        await stop.wait()
        return
    writers = Writers()
    server = await listen(domain, host, port, writers)
    logger.info("takes what comes back to %s, on %s:%d", domain, host, port)
    where = settings.BOUNCE_MAILBOX
    collecting = asyncio.create_task(keep_collecting(where, domain)) if where else None
    await stop.wait()
    server.close()
    if collecting:
        collecting.cancel()
    writers.close()


async def keep_collecting(where: Mailbox, domain: str, pause: float = COLLECTED_EVERY) -> None:
    """Take what comes into the mailbox, without end."""
    trouble = Trouble("the mailbox of what comes back cannot be read", "the mailbox of what comes back is read again")
    while True:
        try:
            taken = await asyncio.to_thread(Writers.alone, partial(mailbox.collect, where, domain))
        except (OSError, IMAP4.error, ImapToolsError, django.db.Error) as error:
            trouble.begins(error)
            taken = 0
        except Exception:
            logger.exception("the mailbox of what comes back could not be read, for a fault of ours")
            taken = 0
        else:
            trouble.ends()
        await asyncio.sleep(pause if taken < mailbox.AT_ONCE else BETWEEN_FULL_ROUNDS)
