"""A service that keeps some letters waiting: lanes leave them behind, and nobody else waits with them."""

import threading
import time

from dispatcher.providers.base import Outcome
from dispatcher.providers.memory import Answer, MemoryProvider
from dispatcher.sending import engine as engines
from dispatcher.sending import lanes, slices
from dispatcher.sending.engine import Engine
from tests.dispatcher.test_sending import launched, states
from tests.timing import in_time
from vestnik.mailings.ledger.models import Attempt, Delivery, Run
from vestnik.redis_client import impatient_redis
from vestnik.testing.factories import make_mailing

SLICE = 0.1
LATER = Answer(Outcome.TEMPORARY, 450, "4.2.1 later")


def slice_of(engine, owner):
    began = time.monotonic()
    due = slices.send_slice(engine, owner.pk, began + SLICE)
    return due, time.monotonic() - began


def test_a_lane_leaves_what_is_not_answered_and_others_go_on(alice, bob, engine, provider):
    slow, quick = launched(make_mailing(alice, 3)), launched(make_mailing(bob, 5))
    provider.hold()
    _, took = slice_of(engine, alice)
    in_time(took, 2)
    assert states(slow) == ["sending"] * 3
    kept = list(provider._held)
    provider._held.clear()
    provider.release()
    slice_of(engine, bob)
    assert states(quick) == ["sent"] * 5
    assert states(slow) == ["sending"] * 3
    provider._held.extend(kept)
    provider.release()
    engine.settler.drain()
    assert states(slow) == ["sent"] * 3


def test_the_last_late_receipt_ends_the_run(alice, engine, provider):
    run = launched(make_mailing(alice, 3))
    provider.hold()
    slice_of(engine, alice)
    provider.release()
    engine.settler.drain()
    assert Run.objects.get(pk=run.pk).state == "finished"


def test_a_late_receipt_that_asks_for_another_try_leaves_a_wake_up(alice, engine, provider, monkeypatch, settings):
    settings.RETRY_BASE_SECONDS = 5
    monkeypatch.setattr(engine, "_on_late", lanes._look_after)
    run = launched(make_mailing(alice, 1))
    provider.answers(Delivery.objects.get(run=run).address, LATER)
    provider.hold()
    slice_of(engine, alice)
    provider.release()
    engine.settler.drain()
    assert states(run) == ["queued"]
    assert list(impatient_redis().scan_iter(f"vestnik:wake:{alice.pk}:*"))


def test_without_a_free_connection_a_lane_waits_no_longer_than_its_slice(alice, bob, engine, provider):
    launched(make_mailing(alice, 30))
    launched(make_mailing(bob, 5))
    provider.hold()
    slice_of(engine, alice)
    assert len(provider.letters) == provider.connections
    _, took = slice_of(engine, bob)
    in_time(took, 1)
    assert len(provider.letters) == provider.connections
    provider.release()


def test_a_process_that_stops_waits_for_what_was_left_behind(alice, transactional_db, valkey):
    provider = MemoryProvider(connections=3)
    engine = Engine(provider).start()
    run = launched(make_mailing(alice, 3))
    provider.hold()
    slice_of(engine, alice)
    threading.Timer(0.3, provider.release).start()
    engine.stop()
    assert states(run) == ["sent"] * 3


def test_a_process_that_stops_writes_down_what_it_cuts_off(alice, transactional_db, valkey, monkeypatch):
    monkeypatch.setattr(engines, "STOP_SECONDS", 0.1)
    provider = MemoryProvider(connections=3)
    engine = Engine(provider).start()
    launched(make_mailing(alice, 3))
    provider.hold()
    slice_of(engine, alice)
    engine.stop()
    assert Attempt.objects.count() == 3
