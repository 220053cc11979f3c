"""Redis refuses writes, hangs, dies and comes back, while letters go out: they go on within seconds of its return."""

import re
import time
from collections import Counter
from contextlib import contextmanager

import pytest
import redis
from django.conf import settings

from tests import embedded
from tests.redis_in_trouble import memory_full, read_only
from tests.timing import wait_until
from vestnik.testing.factories import make_mailing

AGAIN_WITHIN = 10
"""Seconds from the queue's taking writes again to the next letter. (The trial found 600.)"""


@contextmanager
def away():
    """It dies, and comes back empty."""
    embedded.SERVERS[1].crash()
    try:
        yield
    finally:
        embedded.SERVERS[1].start()


@contextmanager
def hanging():
    """It takes connections and answers nobody."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    until = time.monotonic() + 6
    client.execute_command("CLIENT", "PAUSE", "6000", "ALL")
    yield
    time.sleep(max(0, until - time.monotonic()))


@pytest.mark.parametrize("trouble", [memory_full, read_only, away, hanging], ids=lambda trouble: trouble.__name__)
def test_letters_go_on_within_seconds_after_the_queue_takes_writes_again(
    alice, post, run_dispatcher, tmp_path, trouble
):
    post.letters_per_second = 150
    run_dispatcher("control", "bulk", "scheduler", TICK_CRON="0 0 1 1 *")  # no tick comes to help
    mailing = make_mailing(alice, 1500)
    post.wait_for(100, 30)
    with trouble():
        time.sleep(6)
    at_return = time.monotonic()
    before = len(post.letters)
    assert before < 1500
    wait_until(lambda: len(post.letters) > before + 50, AGAIN_WITHIN)
    print(f"{trouble.__name__}: again after {time.monotonic() - at_return:.1f} s")
    wait_until(lambda: mailing.runs.filter(state="finished").exists(), 40)
    received = Counter(letter.recipient for letter in post.letters)
    assert received == Counter(mailing.runs.get().deliveries.values_list("address", flat=True))
    for part in ("control", "bulk", "scheduler"):
        log = (tmp_path / f"{part}.log").read_text()
        assert "Traceback" not in log, part
        assert "Please file an issue" not in log, part
        lines = [line for line in log.splitlines() if re.search(r"Error|CRITICAL|WARNING", line)]
        assert len(lines) < 40, part
