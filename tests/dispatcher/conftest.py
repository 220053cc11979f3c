import secrets
from collections.abc import Iterator

import pytest

from dispatcher.providers.memory import MemoryProvider
from dispatcher.sending import doubts, lanes
from dispatcher.sending import engine as engines
from dispatcher.sending.engine import Engine
from vestnik.redis_client import impatient_redis


@pytest.fixture
def provider() -> MemoryProvider:
    return MemoryProvider(connections=10)


@pytest.fixture
def engine(transactional_db: None, valkey: None, provider: MemoryProvider) -> Iterator[Engine]:
    engine = Engine(provider).start()
    yield engine
    engine.stop()


@pytest.fixture
def quick(settings, monkeypatch):
    """All waiting is short, but what other processes have time for."""
    settings.PROBE_BACKOFF = [0.1, 0.2]
    settings.RETRY_BASE_SECONDS = 0.2
    monkeypatch.setattr(doubts, "LEAST_WAIT", 1.5)
    monkeypatch.setattr(doubts, "QUIET", 0.5)


@pytest.fixture
def lane(engine, monkeypatch, quick):
    """Works for an owner in the background, slice after slice, as workers do."""
    monkeypatch.setattr(engines, "_engine", engine)

    def run_slice(owner):
        lanes.run_slice(owner.pk, 0, secrets.token_hex(8))
        impatient_redis().delete(lanes._slot(owner.pk, 0))

    return run_slice
