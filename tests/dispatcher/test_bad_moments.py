"""The engine in trouble: faults of its parts that meet at a bad moment, one test each."""

import os
import secrets
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta

import dramatiq
import pytest
import redis
from django.conf import settings as configured
from django.core.mail import send_mail
from django.db import OperationalError, connections
from django.utils import timezone

from dispatcher.account_mail.sender import AccountMailSender
from dispatcher.ledger import due, statements
from dispatcher.pace import breaker as breakers
from dispatcher.pace.breaker import Breaker, CircuitOpen
from dispatcher.pace.limits import rules
from dispatcher.providers import handoff as provider_lanes
from dispatcher.providers.base import About, Letter, Outcome, Receipt
from dispatcher.providers.errors import Misconfigured, Unavailable
from dispatcher.providers.handoff import Lanes
from dispatcher.providers.memory import Answer, MemoryProvider
from dispatcher.runs import foreground
from dispatcher.sending import engine as engines
from dispatcher.sending import lanes, slices
from dispatcher.sending.engine import Engine
from tests.dispatcher.test_sending import launched, states
from tests.timing import wait_until
from vestnik import clock
from vestnik.accounts.letters import AccountLetter
from vestnik.clients.models import Client
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Delivery, Run, Worker
from vestnik.redis_client import impatient_redis
from vestnik.testing.factories import make_mailing

AWAY = Unavailable("smtp://mail.example:25 cannot be reached: Connection refused")
WRONG = Misconfigured("https://mail.example refused the token: 401")
SILENCE = Answer(Outcome.TEMPORARY, None, "no answer in 30 s, waiting for the answer to MAIL")
RETURNED = Answer(Outcome.RETURNED, 401, "no such token")
WRONG_SENDER = Answer(Outcome.PERMANENT, 550, "5.7.1 sender refused", about=About.US)


@pytest.fixture
def lane(engine, monkeypatch):
    """Runs one slice of a lane for an owner, by the test's engine."""
    monkeypatch.setattr(engines, "_engine", engine)

    def run_slice(owner):
        lanes.run_slice(owner.pk, 0, secrets.token_hex(8))
        impatient_redis().delete(lanes._slot(owner.pk, 0))

    return run_slice


@pytest.fixture
def others(engine):
    """The breaker of another process."""
    return Breaker("memory://")


def opened(breaker, error=AWAY):
    while breaker.failed(error) is None:
        pass


def slice_of(engine, owner, seconds=0.1):
    return slices.send_slice(engine, owner.pk, time.monotonic() + seconds)


def hints(name):
    """The jobs of that name that wait, with when they are due (ms), if they are delayed."""
    client = dramatiq.get_broker().client  # type: ignore[attr-defined]
    queues = ["vestnik:control.msgs", "vestnik:control.DQ.msgs"]
    messages = [dramatiq.Message.decode(each) for queue in queues for each in client.hvals(queue)]
    return [message.options.get("eta") for message in messages if message.actor_name == name]


def early_in_a_second():
    time.sleep((1.05 - time.time() % 1) % 1)


class InBackground:
    """A function in a thread of its own, with what it raised."""

    def __init__(self, function):
        self.error = None

        def work():
            try:
                function()
            except Exception as error:  # noqa: BLE001 (what it was is asked for)
                self.error = error
            connections.close_all()

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def over(self, seconds):
        self.thread.join(seconds)
        return not self.thread.is_alive()


# A letter lost


def test_a_receipt_that_comes_while_its_lane_leaves_is_not_lost(monkeypatch):
    late = []
    pool = Lanes(lambda connection, letter, lane: handed_over.append(lane), lambda: None)
    handed_over: list[provider_lanes.Lane] = []

    class Interrupted(deque):
        """Another thread's turn comes between looking at the receipts and emptying them."""

        armed = False

        def __iter__(self):
            yield from list(self.copy_of())
            if Interrupted.armed:
                Interrupted.armed = False
                pool.answer(handed_over[0], receipt)

        def copy_of(self):
            return [self[number] for number in range(len(self))]

    monkeypatch.setattr(provider_lanes, "deque", Interrupted)
    monkeypatch.setattr(provider_lanes, "PATIENCE", 0.0)
    letter = Letter(1, 1, "1@example.org", "", "client@example.org", b"")
    receipt = Receipt(letter, Outcome.ACCEPTED, 250, "ok", time.monotonic(), 0.0)
    pool.opened(1)
    pool.release(1)
    Interrupted.armed = True
    assert list(pool.deliver([letter], time.monotonic() + 0.05, late.append)) == []
    if Interrupted.armed:  # nobody looked in the middle
        pool.answer(handed_over[0], receipt)
    pool.flush()
    assert late == [receipt]


def test_a_letter_whose_give_back_failed_in_a_long_outage_is_given_back_after_it(alice, engine, monkeypatch):
    monkeypatch.setattr(type(engine.in_flight), "DOUBT_SECONDS", 0.5)  # 10 s; and an outage of three times that
    run = launched(make_mailing(alice, 1))
    away = threading.Event()
    away.set()
    give_back, beat = statements.give_back, engine.lease._beat

    def unless_away(function):
        def call(*arguments):
            if away.is_set():
                raise OperationalError("the database is away")
            return function(*arguments)

        return call

    monkeypatch.setattr(engine.lease, "_beat", unless_away(beat))
    monkeypatch.setattr(statements, "give_back", unless_away(give_back))
    claimed = engine.in_flight.claim(1, lambda room: statements.claim(run.pk, engine.lease.worker_id, room, None))
    engine.in_flight.give_back([letter.key for letter in claimed])
    time.sleep(1.5)
    away.clear()
    wait_until(lambda: states(run) == ["queued"], 5)


# The breaker


def test_what_was_accepted_before_does_not_end_the_time_that_the_service_asked_for(alice, engine, provider):
    launched(make_mailing(alice, 2))
    provider.hold()
    slice_of(engine, alice)
    first, _second = provider.wait_for(2)  # both are on their way
    provider.answers(first.recipient, Answer(Outcome.TEMPORARY, 429, "slower", retry_after=60))
    provider.release(1)
    engine.pace.renew()
    assert outages.current().reason == "throttled"
    provider.release()
    engine.pace.renew()
    assert outages.current() is not None, "Retry-After: 60 was obeyed for a moment"


def test_a_late_receipt_of_another_letter_sends_no_second_probe(alice, engine, provider, others, settings):
    settings.PROBE_BACKOFF = [0.1]
    launched(make_mailing(alice, 5))
    first = Delivery.objects.order_by("due_at", "pk").first()
    Delivery.objects.exclude(pk=first.pk).update(due_at=timezone.now() + timedelta(hours=1))
    provider.answers(first.address, Answer(Outcome.TEMPORARY, 451, "later"))
    provider.hold()
    slice_of(engine, alice)  # leaves one behind
    opened(others)
    Delivery.objects.exclude(pk=first.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    time.sleep(0.15)
    slice_of(engine, alice)
    assert (len(provider.letters), engine.pace.breaker.trying) == (2, True)
    provider.release(1)  # the first one's
    slice_of_nothing = InBackground(lambda: slice_of(engine, alice))
    assert slice_of_nothing.over(5)
    assert len(provider.letters) == 2, "two probes are out"


def test_two_lanes_of_a_process_send_one_probe(alice, bob, engine, provider, others, settings, monkeypatch):
    settings.PROBE_BACKOFF = [0.1]
    launched(make_mailing(alice, 3))
    launched(make_mailing(bob, 3))
    opened(others)
    time.sleep(0.15)
    is_open, together = engine.gate.is_open, threading.Barrier(2, timeout=1)

    def is_open_together(run_id):
        with suppress(threading.BrokenBarrierError):
            together.wait()
        return is_open(run_id)

    monkeypatch.setattr(engine.gate, "is_open", is_open_together)
    provider.hold()
    slices = [InBackground(lambda owner=owner: slice_of(engine, owner, 2.0)) for owner in (alice, bob)]
    assert all(each.over(10) for each in slices)
    assert len(provider.letters) == 1


def test_a_probe_that_comes_back_when_its_lane_has_left_is_left_to_others(
    alice, engine, provider, others, settings, monkeypatch
):
    monkeypatch.setattr(breakers, "PROBE_LEASE", timedelta(seconds=1.5))
    settings.PROBE_BACKOFF = [0.1]
    launched(make_mailing(alice, 1))
    opened(others)
    time.sleep(0.15)
    provider.always(RETURNED)
    provider.hold()
    slice_of(engine, alice)
    assert engine.pace.breaker.trying
    provider.release()
    time.sleep(4)  # the heart beats on
    others.check()
    assert others.probing


def test_refusals_that_meet_every_letter_do_not_go_round_for_ever_without_redis(alice, engine, provider, monkeypatch):
    nowhere = redis.Redis.from_url("unix:///nowhere/valkey.sock")
    monkeypatch.setattr(engine.pace.breaker, "_redis", nowhere)
    run = launched(make_mailing(alice, 60))
    provider.always(WRONG_SENDER)
    sender = InBackground(lambda: foreground.send(engine, [run.pk]))
    sender.over(3)
    engine.halt()
    assert sender.over(5)
    assert len(provider.letters) < 500


def test_answers_that_ask_for_patience_prove_that_the_service_is_back(alice, engine, provider, others, settings):
    settings.PROBE_BACKOFF = [0.1]
    launched(make_mailing(alice, 5))
    provider.always(Answer(Outcome.TEMPORARY, 450, "4.2.0 greylisted, come back in five minutes"))
    opened(others)
    time.sleep(0.15)
    with suppress(CircuitOpen):
        slice_of(engine, alice, 3.0)
    engine.pace.renew()
    assert len(provider.letters) >= 2
    assert outages.current() is None, "it answers letter after letter, and all other processes wait"


# Wake-ups


def test_letters_due_twice_in_a_second_wake_their_owner_twice(alice, engine):
    run = launched(make_mailing(alice, 2))
    first, second = run.deliveries.order_by("pk")
    early_in_a_second()
    now = clock.now()
    Delivery.objects.filter(pk=first.pk).update(due_at=now + timedelta(seconds=0.2))
    Delivery.objects.filter(pk=second.pk).update(due_at=now + timedelta(seconds=0.6))
    lanes.sleep_until_due(alice.pk)
    assert len(hints("wake")) == 1
    time.sleep(0.25)
    assert slice_of(engine, alice, 0.3) == slices.NOTHING_DUE
    assert states(run) == ["queued", "sent"]
    lanes.sleep_until_due(alice.pk)
    second.refresh_from_db()
    assert max(hints("wake")) >= second.due_at.timestamp() * 1000 - 50


def test_a_probe_that_is_put_off_within_its_second_has_its_tick(engine):
    early_in_a_second()
    now = time.time()
    engine.pace.breaker._hint(0.3)
    engine.pace.breaker._hint(0.7)  # a probe began and failed meanwhile
    assert max(hints("tick")) >= (now + 0.7) * 1000 - 50


def test_a_lane_that_begins_while_redis_is_away_comes_again(alice, engine, monkeypatch):
    monkeypatch.setattr(engines, "_engine", engine)
    run = launched(make_mailing(alice, 3))
    token, client = secrets.token_hex(8), impatient_redis()
    nowhere = redis.Redis.from_url("unix:///nowhere/valkey.sock")
    monkeypatch.setattr(lanes, "impatient_redis", lambda: nowhere)
    with pytest.raises(lanes.SlotUnknown) as unknown:
        lanes.run_slice(alice.pk, 0, token)
    assert lanes.may_come_again(0, unknown.value)
    assert not lanes.may_come_again(lanes.SLOT_RETRIES, unknown.value)
    assert not lanes.may_come_again(0, RuntimeError("what had begun"))
    monkeypatch.setattr(lanes, "impatient_redis", lambda: client)
    lanes.run_slice(alice.pk, 0, token)
    assert states(run) == ["sent"] * 3


def test_a_heartbeat_does_not_take_a_slot_for_a_lane_that_has_ended(alice, engine, monkeypatch):
    key, token, hold = lanes._slot(alice.pk, 0), secrets.token_hex(8), lanes._hold
    impatient_redis().set(key, token, px=10_000)
    monkeypatch.setattr(engines, "_engine", engine)
    monkeypatch.setitem(lanes._running, key, token)
    beating, ending = threading.Event(), threading.Event()

    def hold_slowly(*arguments):
        beating.set()
        ending.wait(0.3)
        return hold(*arguments)

    monkeypatch.setattr(lanes, "_hold", hold_slowly)
    heartbeat = InBackground(lanes._renew)
    beating.wait(5)
    lanes._end(alice.pk, 0, token, 0, slices.NOTHING_DUE)
    ending.set()
    assert heartbeat.over(5)
    assert not impatient_redis().exists(key), "for ten seconds nobody can be woken in this slot"


def test_a_database_that_goes_away_as_a_lane_ends_makes_no_dead_job(alice, engine, monkeypatch):
    def away(*_):
        raise OperationalError("the database is away")

    monkeypatch.setattr(engines, "_engine", engine)
    monkeypatch.setattr(due, "next_due", away)
    lanes.run_slice(alice.pk, 0, secrets.token_hex(8))


# Processes that stop


def test_a_provider_that_does_not_close_in_time_loses_no_receipt(alice, transactional_db, valkey, monkeypatch):
    provider = MemoryProvider(connections=3)
    engine = Engine(provider).start()
    close = provider.close

    def close_too_late():
        close()
        raise TimeoutError  # as LoopProvider.close does, if its loop does not answer

    monkeypatch.setattr(provider, "close", close_too_late)
    try:
        with suppress(TimeoutError):
            engine.stop()
        assert not engine.settler._thread.is_alive(), "nobody waits until receipts are written"
        assert Worker.objects.get(pk=engine.lease.worker_id).ended_at is not None
    finally:
        monkeypatch.undo()
        if engine.settler._thread.is_alive():
            engine.stop()


# Runs that do not end at once


def test_a_run_ends_at_once_when_the_service_goes_away_after_its_last_letter(alice, transactional_db, valkey):
    provider = MemoryProvider(connections=1)
    engine = Engine(provider).start()
    try:
        run = launched(make_mailing(alice, 1))
        provider.hold()
        sender = InBackground(lambda: slice_of(engine, alice, 3.0))
        provider.wait_for(1)
        provider.fail(AWAY)  # its connection is the last there was
        provider.release()
        assert sender.over(6)
        assert states(run) == ["sent"]
        assert Run.objects.get(pk=run.pk).state == "finished"
    finally:
        engine.stop()


# In the foreground


class WrongToken(MemoryProvider):
    """Connects, and refuses us at each letter, as an HTTP API with a wrong token does."""

    def _hand_over(self, slot, letter, lane):
        super()._hand_over(slot, letter, lane)
        lane.trouble = WRONG
        self._lanes.fail(WRONG)


def test_sending_in_the_foreground_ends_where_the_service_refuses_our_token(alice, transactional_db, valkey, settings):
    settings.PROBE_BACKOFF = [0.1, 0.2]
    provider = WrongToken(connections=1)
    provider.always(RETURNED)
    engine = Engine(provider).start()
    try:
        run = launched(make_mailing(alice, 3))
        sender = InBackground(lambda: foreground.send(engine, [run.pk]))
        assert sender.over(6)
        assert isinstance(sender.error, foreground.ServiceDown)
    finally:
        engine.halt()
        sender.over(5)
        engine.stop()


def test_sending_in_the_foreground_ends_where_others_find_the_service_away(
    alice, engine, others, settings, monkeypatch
):
    monkeypatch.setattr(breakers, "PROBE_LEASE", timedelta(seconds=1))
    settings.PROBE_BACKOFF = [0.1, 0.2]
    run = launched(make_mailing(alice, 1))
    opened(others)
    over = threading.Event()

    def probe():
        while not over.is_set():
            with suppress(CircuitOpen):
                others.check()
                others.renew()
            time.sleep(0.01)

    prober = InBackground(probe)
    time.sleep(0.3)
    sender = InBackground(lambda: foreground.send(engine, [run.pk]))
    try:
        assert sender.over(12)
        assert isinstance(sender.error, foreground.ServiceDown)
    finally:
        over.set()
        engine.halt()
        prober.over(5)
        sender.over(15)


def test_sending_in_the_foreground_goes_on_when_others_find_the_service_back(alice, engine, provider, others):
    run = launched(make_mailing(alice, 1))
    letter = Letter(1, 1, "1@example.org", "", "client@example.org", b"")
    others.record(Receipt(letter, Outcome.TEMPORARY, 429, "slower", 0.0, 0.0, 3600), 10)
    others.publish()
    sender = InBackground(lambda: foreground.send(engine, [run.pk]))
    try:
        time.sleep(0.5)
        impatient_redis().delete(outages.KEY)
        assert sender.over(5), "it sleeps for the hour that the service asked for first"
        assert states(run) == ["sent"]
    finally:
        engine.halt()
        sender.over(5)


def test_sending_in_the_foreground_waits_for_the_limits_of_domains(alice, transactional_db, valkey, settings):
    settings.DOMAIN_RATE_LIMITS = rules.domain_windows("DOMAIN_RATE_LIMITS", "slow.example=5/s")
    engine = Engine(MemoryProvider(connections=10)).start()
    try:
        slow = [Client.objects.create(owner=alice, email=f"client{number}@slow.example") for number in range(12)]
        mailing = make_mailing(alice, 0)
        mailing.clients.set(slow)
        run = launched(mailing)
        foreground.send(engine, [run.pk])
        assert states(run) == ["sent"] * 12
    finally:
        engine.stop()


# The heartbeat


def test_the_heart_beats_while_a_claim_takes_long(alice, engine, monkeypatch):
    """A claim takes tokens first, and those may have to be refilled from the ledger."""
    run = launched(make_mailing(alice, 1))
    monkeypatch.setattr(engine.in_flight, "_doubtful_until", time.monotonic() + 10)  # a statement failed just now
    claiming = InBackground(lambda: engine.in_flight.claim(1, lambda room: time.sleep(9) or []))
    time.sleep(8)
    try:
        assert engine.lease.is_fresh()
    finally:
        claiming.over(5)
    assert states(run) == ["queued"]


def test_the_heart_beats_while_redis_hangs(alice, engine, monkeypatch):
    monkeypatch.setattr(engines, "_engine", engine)
    monkeypatch.setattr(engine, "_on_beat", lanes._renew)
    monkeypatch.setitem(lanes._running, lanes._slot(alice.pk, 0), "token")
    impatient_redis().ping()
    client = redis.Redis.from_url(configured.REDIS_URL)
    process = client.info("server")["process_id"]
    stale = 0
    os.kill(process, signal.SIGSTOP)
    try:
        until = time.monotonic() + 14
        while time.monotonic() < until:
            stale += not engine.lease.is_fresh()
            time.sleep(0.05)
    finally:
        os.kill(process, signal.SIGCONT)
    assert stale == 0, f"nothing could be handed over for {stale * 0.05:.1f} of 14 s"


# Account mail


def test_account_mail_does_not_pay_for_a_refusal_that_meets_every_letter(transactional_db, valkey, settings):
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"
    settings.PROBE_BACKOFF = [0.05]
    for number in range(30):
        send_mail("Reset", "https://vestnik.test/reset/1", None, [f"person{number}@example.org"])
    provider = MemoryProvider(connections=2)
    provider.always(WRONG_SENDER)
    mail = AccountMailSender(provider)
    try:
        for _ in range(40):
            mail.work()
            time.sleep(0.08)
        assert outages.current().reason == "refused"
        assert not AccountLetter.objects.exclude(state="queued").exists()
    finally:
        mail.stop()
