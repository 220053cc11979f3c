from collections.abc import Iterator

import pytest

from dispatcher.engine import Engine
from dispatcher.providers.memory import MemoryProvider


@pytest.fixture
def provider() -> MemoryProvider:
    return MemoryProvider(connections=10)


@pytest.fixture
def engine(transactional_db: None, valkey: None, provider: MemoryProvider) -> Iterator[Engine]:
    engine = Engine(provider).start()
    yield engine
    engine.stop()
