from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scripted_servers import SmtpServer
from tests.system.processes import Dispatcher, of_tests


@pytest.fixture
def post(transactional_db: None, valkey: None) -> Iterator[SmtpServer]:
    """The external service: a real SMTP server that checks and records what it receives."""
    with SmtpServer() as server:
        yield server
    assert server.violations == []


@pytest.fixture
def run_dispatcher(post: SmtpServer, tmp_path: Path) -> Iterator[Callable[..., Dispatcher]]:
    """Start (parts of) the dispatcher; stopped at the end of the test."""
    with ExitStack() as stack:

        def run(*parts: str, **variables: str) -> Dispatcher:
            return stack.enter_context(Dispatcher(of_tests(post.port, **variables), tmp_path, *parts))

        yield run
