"""Letters and servers for the tests of the providers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dispatcher.providers import pool
from dispatcher.providers.base import Letter, Receipt
from dispatcher.providers.errors import Unavailable
from dispatcher.providers.loop_provider import LoopProvider
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import SmtpConfig
from tests import needs
from tests.scripted_servers import Certificate, SmtpServer
from tests.timing import NotInTime

TIMEOUT = 10
"""Seconds for each step, more than a busy machine needs; a test that waits until they are over says a short limit."""


def letter(number: int = 1, recipient: str = "", content: bytes | None = None) -> Letter:
    key = f"{number}@letters.example"
    text = f"Message-ID: <{key}>\r\nSubject: {number}\r\n\r\nHello.\r\n".encode()
    return Letter(
        delivery_id=number,
        claim=1,
        key=key,
        sender="sender@example.org",
        recipient=recipient or f"client{number}@example.org",
        content=text if content is None else content,
    )


def letters(count: int) -> list[Letter]:
    return [letter(number) for number in range(1, count + 1)]


def drain(source: Iterator[Receipt], into: list[Receipt]) -> None:
    """Receipt by receipt, so that those before an error are kept."""
    for receipt in source:
        into.append(receipt)  # noqa: PERF402


def connected(provider: LoopProvider) -> int:
    """How many connections the provider knows of: it learns a little after the service that one is lost."""
    return len(provider._pool()._connections)


@contextmanager
def dialled_in_time() -> Iterator[None]:
    """A short limit is meant for the letter: where the dial does not keep to it, the machine is busy."""
    try:
        yield
    except Unavailable as error:
        if "in time" in str(error):
            raise NotInTime(str(error)) from error
        raise


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter whose connection is given up is tried once more however long another takes to come about here."""
    monkeypatch.setattr(pool, "SECOND_TRY", 5.0)


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A well-behaved server that offers PIPELINING; whatever a test does, the client must keep to the protocol."""
    with SmtpServer() as running:
        yield running
    assert running.violations == []


@pytest.fixture
def provider_of() -> Iterator[Callable[..., SmtpProvider]]:
    """Makes providers for a server; they are closed at the end."""
    made: list[SmtpProvider] = []

    def make(server: SmtpServer, certificate: Certificate | None = None, **options: object) -> SmtpProvider:
        config = SmtpConfig("127.0.0.1", server.port, connections=3, timeout=TIMEOUT)
        made.append(SmtpProvider(replace(config, **options), tls=certificate and certificate.trusted()))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def provider(server: SmtpServer, provider_of: Callable[..., SmtpProvider]) -> SmtpProvider:
    return provider_of(server)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    needs.program("openssl", "openssl", "version")
    return Certificate.make(tmp_path_factory.mktemp("certificate"))
