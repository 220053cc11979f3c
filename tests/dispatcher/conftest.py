from collections.abc import Iterator

import pytest

from dispatcher.providers.memory import MemoryProvider
from dispatcher.sending.engine import Engine


@pytest.fixture
def provider() -> MemoryProvider:
    return MemoryProvider(connections=10)


@pytest.fixture
def engine(transactional_db: None, valkey: None, provider: MemoryProvider) -> Iterator[Engine]:
    engine = Engine(provider).start()
    yield engine
    engine.stop()
