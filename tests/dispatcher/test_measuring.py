"""What a sending process counts for Prometheus."""

import time

import pytest

from dispatcher.runs import launching
from dispatcher.sending import slices
from tests.dispatcher.test_pace import engine_with
from tests.test_metrics import counted
from vestnik.testing.factories import make_mailing


def test_each_attempt_is_counted_by_its_outcome_and_how_long_it_took(alice, engine):
    before = counted("attempt_seconds_count", outcome="accepted")

    launching.launch(make_mailing(alice, 3).pk)
    slices.send_slice(engine, alice.pk, time.monotonic() + 10)

    assert counted("attempt_seconds_count", outcome="accepted") == before + 3
    assert counted("attempt_seconds_bucket", outcome="accepted", le="60.0") >= 3


__all__ = ["engine_with"]

LIMITS = ("service", "installation", "owner", "domain")


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("RATE_LIMITS", "3/min", "installation"),
        ("OWNER_RATE_LIMITS", "3/min", "owner"),
        ("DOMAIN_RATE_LIMITS", "*=3/min", "domain"),
    ],
)
def test_a_limit_that_stands_in_the_way_is_counted(name, text, limit, alice, engine_with):
    engine = engine_with(**{name: text})
    launching.launch(make_mailing(alice, 5).pk)
    before = {each: counted("limit_wait_seconds_sum", limit=each) for each in LIMITS}
    times = counted("limit_wait_seconds_count", limit=limit)

    slices.send_slice(engine, alice.pk, time.monotonic() + 1)

    waited = {each: counted("limit_wait_seconds_sum", limit=each) - before[each] for each in LIMITS}
    assert counted("limit_wait_seconds_count", limit=limit) > times
    assert waited.pop(limit) > 30
    assert sum(waited.values()) < 5  # while it is looked for what was sent lately
