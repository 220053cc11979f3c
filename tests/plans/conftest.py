from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import dispatcher.settings as dispatching
import web.settings as serving
from tests.embedded import SERVERS
from tests.plans import scale
from tests.plans.scale import Connection, Scale

Known = list[tuple[Scale, Connection]]


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    """The URL of the tests' PostgreSQL; what is made in it here is gone when these tests are over."""
    url = SERVERS[0].url()
    yield url
    scale.drop(url)


@pytest.fixture(scope="package")
def scales(server: str) -> list[Scale]:
    """Databases of all sizes, with all kinds of statistics."""
    return scale.scales(server)


@pytest.fixture(scope="package")
def dispatchers(scales: list[Scale]) -> Iterator[Known]:
    """A connection to each of them, as the dispatcher's are."""
    found = [(each, psycopg.connect(each.url, autocommit=True, options=dispatching.PLANNING)) for each in scales]
    yield found
    for _, connection in found:
        connection.close()


@pytest.fixture(scope="package")
def webs(scales: list[Scale]) -> Iterator[Known]:
    """A connection to each of them, as the web's are."""
    found = [(each, psycopg.connect(each.url, autocommit=True, options=serving.PLANNING)) for each in scales]
    yield found
    for _, connection in found:
        connection.close()


@pytest.fixture(scope="module")
def on_the_sample(scales: list[Scale], django_db_blocker: Any) -> Iterator[None]:
    """Django works on the sample, at its own size."""
    from django.contrib.contenttypes.models import ContentType
    from django.db import connection

    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["NAME"] = scale.SMALLEST
        ContentType.objects.clear_cache()  # each database has ids of its own
        yield
        connection.close()
        connection.settings_dict["NAME"] = name
        ContentType.objects.clear_cache()
