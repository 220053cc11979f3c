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

logger = logging.getLogger(__name__)

LARGEST_MAIL = 12 * 1024 * 1024
"""Bytes: a letter of ours and a report on it; some servers send all of it back."""
CONNECTIONS = 30
WRITERS = 4
SECONDS = 120.0
"""For which a connection may say nothing."""
RECIPIENTS = 20
"""Of one mail."""
LATER = "451 4.3.0 This cannot be written down now, try again later"
BY_MAIL = "mail"
COLLECTED_EVERY = 60.0
"""Seconds between looks into a mailbox in which nothing was new."""


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
        if address.lower().rpartition("@")[2] != self._domain:
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

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Write down what a mail says, and answer whether it is."""
        content = envelope.content or b""
        source = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
        try:
            for address in envelope.rcpt_tos:
                await self._writers.ask(partial(receiving.take, address, self._domain, source, BY_MAIL))
        except django.db.Error:
            return LATER
        return "250 2.0.0 Taken"

    async def handle_exception(self, error: Exception) -> str:
        """Answer a fault of our own: the mail comes again, and operators know."""
        logger.error("a mail could not be taken", exc_info=error)
        return LATER


class Connection(SMTP):
    """One connection, or the refusal of one too many."""

    def __init__(self, handler: Handler, domain: str, others: set[Connection]) -> None:
        super().__init__(
            handler,
            hostname=domain,
            ident="ready",
            data_size_limit=LARGEST_MAIL,
            enable_SMTPUTF8=True,
            timeout=SECONDS,
            loop=asyncio.get_running_loop(),
        )
        self._others = others

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, unless there are too many."""
        if len(self._others) >= CONNECTIONS:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"421 4.7.0 Too many connections\r\n")
            transport.close()
            return
        self._others.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for another."""
        if self in self._others:
            self._others.discard(self)
            super().connection_lost(error)


async def listen(domain: str, host: str, port: int, writers: Writers) -> asyncio.Server:
    """Start the server. Raises OSError if it cannot listen there."""
    handler, others = Handler(domain, writers), set[Connection]()
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
    collecting = asyncio.create_task(collect(settings.BOUNCE_MAILBOX, domain)) if settings.BOUNCE_MAILBOX else None
    await stop.wait()
    server.close()
    if collecting:
        collecting.cancel()
    writers.close()


async def collect(where: Mailbox, domain: str, pause: float = COLLECTED_EVERY) -> None:
    """Take what comes into the mailbox, without end."""
    trouble = Trouble("the mailbox of what comes back cannot be read", "the mailbox of what comes back is read again")
    while True:
        try:
            taken = await asyncio.to_thread(Writers.alone, partial(mailbox.collect, where, domain))
        except (OSError, IMAP4.error, ImapToolsError, django.db.Error) as error:
            trouble.begins(error)
            taken = 0
        else:
            trouble.ends()
        if not taken:
            await asyncio.sleep(pause)
