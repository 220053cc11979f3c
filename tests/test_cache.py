"""A cache that does not answer keeps nobody waiting, in either service."""

import socket
import time

import pytest
from django.core.cache import cache

import dispatcher.settings
import web.settings
from vestnik.settings import impatient


def test_both_services_have_the_same_cache():
    assert dispatcher.settings.CACHES == web.settings.CACHES
    assert dispatcher.settings.CACHES["default"]["BACKEND"] == "vestnik.cache.ForgivingRedisCache"
    assert "socket_timeout=0.3" in dispatcher.settings.CACHES["default"]["LOCATION"]


@pytest.fixture
def silent_server():
    """Takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_cache_that_hangs_is_waited_for_once_and_briefly(settings, silent_server):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": impatient(silent_server)}}
    before = time.monotonic()
    for _ in range(20):
        cache.set("key", "value")
        assert cache.get("key") is None
    assert time.monotonic() - before < 2
