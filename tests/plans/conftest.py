from collections.abc import Iterator

import psycopg
import pytest

from tests.embedded import SERVERS
from tests.plans import scale
from tests.plans.scale import Connection, Scale

Known = list[tuple[Scale, Connection]]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of the tests' PostgreSQL; what is made of it here is gone afterwards."""
    url = SERVERS[0].url()  # type: ignore[call-arg]
    yield url
    scale.drop(url)


@pytest.fixture(scope="session")
def scales(server: str) -> list[Scale]:
    """Databases of all sizes, with all kinds of statistics."""
    return scale.scales(server)


@pytest.fixture(scope="session")
def dispatchers(scales: list[Scale]) -> Iterator[Known]:
    """A connection to each of them, as the dispatcher's are."""
    from dispatcher.settings import _options

    found = [(each, psycopg.connect(each.url, autocommit=True, options=_options["options"])) for each in scales]
    yield found
    for _, connection in found:
        connection.close()


@pytest.fixture(scope="session")
def webs(scales: list[Scale]) -> Iterator[Known]:
    """A connection to each of them, as the web's are."""
    found = [(each, psycopg.connect(each.url, autocommit=True)) for each in scales]
    yield found
    for _, connection in found:
        connection.close()
