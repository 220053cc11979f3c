from collections.abc import Callable, Iterator

import pytest

from tests.scripted_servers.dns import DnsServer
from vestnik.senders import dns
from vestnik.senders.answers import Answer, Ask, Kind, Trouble

HASTY = dns.Patience(query=0.3, tries=2, name=1.0, together=2.0)
"""For servers that do not answer. A busy machine answers from loopback in that time."""
PATIENT = dns.Patience(query=20, tries=2, name=40, together=60)
"""For those that do."""


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer({}) as server:
        yield server


@pytest.fixture
def ask(server: DnsServer) -> Ask:
    def asked(name: str, kind: Kind) -> Answer:
        return dns.ask(name, kind, servers=[server.address], patience=PATIENT)

    return asked


def known(zones: dict[str, dict[str, list[str]]], away: tuple[str, ...] = ()) -> Callable[[str, Kind], Answer]:
    """Answer out of a table, as the DNS would; names that are `away` cannot be asked for."""

    def asked(name: str, kind: Kind) -> Answer:
        if name in away:
            return Answer(trouble=Trouble.UNREACHABLE)
        return Answer(tuple(zones.get(name, {}).get(kind, ())))

    return asked
