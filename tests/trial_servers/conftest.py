from collections.abc import Iterator

import pytest

from tests.scripted_servers import SmtpServer
from tests.system.conftest import run_dispatcher

__all__ = ["run_dispatcher"]


@pytest.fixture
def post(transactional_db: None, valkey: None) -> Iterator[SmtpServer]:
    """Where everything arrives in the end. Its client is another's server, whose manners are not ours to check."""
    with SmtpServer() as server:
        yield server
