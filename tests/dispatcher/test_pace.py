"""Limits in the way of letters: tokens before claims, given back unused; domains that take no more now."""

import time
from datetime import timedelta
from itertools import pairwise

import pytest
import redis
from django.utils import timezone

from dispatcher.pace.limits import refill, rules
from dispatcher.providers.memory import MemoryProvider
from dispatcher.sending import slices
from dispatcher.sending.engine import Engine
from tests.dispatcher.test_sending import launched, states
from tests.timing import in_time
from vestnik.clients.models import Client
from vestnik.mailings import outages
from vestnik.mailings.ledger import statistics
from vestnik.mailings.ledger.models import Attempt, Delivery
from vestnik.testing.factories import make_mailing


@pytest.fixture
def engine_with(transactional_db, valkey, settings, monkeypatch):
    """Makes an engine under limits."""
    monkeypatch.setattr(refill, "PAUSE", 0.0)  # there is nobody else to wait for
    made = []

    def make(**limits):
        for name, text in limits.items():
            read = rules.domain_windows if name.startswith("DOMAIN") else rules.windows
            setattr(settings, name, read(name, text))
        made.append(Engine(MemoryProvider(connections=10)).start())
        return made[-1]

    yield make
    for engine in made:
        engine.stop()


def slice_of(engine, owner, seconds=1.0):
    return slices.send_slice(engine, owner.pk, time.monotonic() + seconds)


def test_no_more_letters_than_the_limit_are_claimed(alice, engine_with):
    engine = engine_with(RATE_LIMITS="7/min")
    run = launched(make_mailing(alice, 30))
    wait = slice_of(engine, alice).wait
    assert states(run).count("sent") == 7
    assert set(Delivery.objects.filter(run=run, state="queued").values_list("claim", flat=True)) == {0}
    assert 50 < wait <= 61


def test_a_lane_waits_for_the_second_in_which_the_next_letters_may_go(alice, engine_with):
    engine = engine_with(RATE_LIMITS="20/s")
    run = launched(make_mailing(alice, 50))
    slice_of(engine, alice, 3.5)
    began = sorted(attempt.began_at for attempt in Attempt.objects.filter(delivery__run=run))
    assert len(began) == 50
    assert all(later - earlier >= timedelta(seconds=0.98) for earlier, later in zip(began, began[20:], strict=False))


def test_an_owners_limit_holds_up_nobody_else(alice, bob, engine_with):
    engine = engine_with(OWNER_RATE_LIMITS="5/min")
    first, second = launched(make_mailing(alice, 10)), launched(make_mailing(bob, 5))
    before = time.monotonic()
    assert slice_of(engine, alice).wait > 30
    in_time(time.monotonic() - before, 0.9, "others wait behind a lane that may not send")
    assert slice_of(engine, bob) == slices.NOTHING_DUE
    assert (states(first).count("sent"), states(second).count("sent")) == (5, 5)


def test_tokens_that_were_not_needed_are_given_back(alice, bob, engine_with):
    engine = engine_with(RATE_LIMITS="10/min")
    first, second = launched(make_mailing(alice, 3)), launched(make_mailing(bob, 7))
    slice_of(engine, alice)
    slice_of(engine, bob)
    assert (states(first).count("sent"), states(second).count("sent")) == (3, 7)


def test_letters_to_a_domain_that_takes_no_more_are_put_off_and_others_pass(alice, engine_with):
    engine = engine_with(DOMAIN_RATE_LIMITS="slow.example=2/min")
    slow = [Client.objects.create(owner=alice, email=f"client{number}@slow.example") for number in range(5)]
    quick = [Client.objects.create(owner=alice, email=f"client{number}@quick.example") for number in range(5)]
    mailing = make_mailing(alice, 0)
    mailing.clients.set([*slow, *quick])
    run = launched(mailing)
    slice_of(engine, alice)
    sent = set(Delivery.objects.filter(run=run, state="sent").values_list("address", flat=True))
    assert {client.email for client in quick} <= sent
    assert len(sent) == 7
    waiting = list(Delivery.objects.filter(run=run, state="queued").order_by("due_at"))
    assert [letter.attempts for letter in waiting] == [0, 0, 0]
    gaps = [later.due_at - earlier.due_at for earlier, later in pairwise(waiting)]
    assert all(timedelta(seconds=20) < gap < timedelta(seconds=40) for gap in gaps), "they do not come one by one"


def test_the_runs_page_names_the_domain_whose_limit_is_reached(alice, engine_with):
    engine = engine_with(DOMAIN_RATE_LIMITS="example.org=2/h")
    run = launched(make_mailing(alice, 5))
    slice_of(engine, alice)
    run.refresh_from_db()
    assert states(run).count("sent") == 2
    assert statistics.progress(run).waiting.startswith("The limit for example.org is reached; it goes on at ")


def test_without_redis_nothing_goes_beyond_a_limit(alice, engine_with, monkeypatch):
    engine = engine_with(RATE_LIMITS="100/min")
    run = launched(make_mailing(alice, 3))

    def away(*_args, **_kwargs):
        raise redis.ConnectionError("away")

    monkeypatch.setattr(engine.pace.limits, "take", away)
    slice_of(engine, alice, 0.3)
    assert states(run) == ["queued"] * 3


def test_the_runs_page_says_that_a_limit_is_reached_and_until_when(alice, bob, engine_with):
    engine = engine_with(OWNER_RATE_LIMITS="2/h")
    run = launched(make_mailing(alice, 5))
    other = launched(make_mailing(bob, 5))
    slice_of(engine, alice)
    run.refresh_from_db()
    assert statistics.progress(run).waiting.startswith("A limit of letters is reached; it goes on at ")
    assert outages.limited_until(alice.pk) > timezone.now() + timedelta(minutes=30)
    assert statistics.progress(other).waiting != statistics.progress(run).waiting
