"""The circuit breaker: one of all processes, one probe at a time, and what pages are told."""

import secrets
import time
from datetime import timedelta

import dramatiq
import pytest
import redis
from django.db.models import TextField, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from dispatcher.ledger import statements
from dispatcher.pace import breaker as breakers
from dispatcher.pace.breaker import Breaker, CircuitOpen
from dispatcher.providers.base import Letter, Outcome, Receipt
from dispatcher.providers.errors import ConnectionLimitReached, Misconfigured, Unavailable
from dispatcher.providers.memory import Answer, MemoryProvider
from dispatcher.runs import foreground
from dispatcher.sending import engine as engines
from dispatcher.sending import lanes, slices
from dispatcher.sending.engine import Engine
from tests.dispatcher.test_sending import launched, states
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Attempt, Delivery
from vestnik.redis_client import impatient_redis
from vestnik.testing.factories import make_mailing
from web.home import status

AWAY = Unavailable("smtp://mail.example:25 cannot be reached: Connection refused")
WRONG = Misconfigured("smtp://mail.example:25 refused the login: 535 no")
SILENCE = Answer(Outcome.TEMPORARY, None, "no answer in 30 s, waiting for the answer to MAIL")
BUSY = Answer(Outcome.TEMPORARY, 429, "slower", retry_after=0.4)


@pytest.fixture
def lane(engine, monkeypatch):
    """Runs one slice of a lane for an owner, by the test's engine."""
    monkeypatch.setattr(engines, "_engine", engine)

    def run_slice(owner):
        lanes.run_slice(owner.pk, 0, secrets.token_hex(8))
        impatient_redis().delete(lanes._slot(owner.pk, 0))

    return run_slice


@pytest.fixture
def brief(settings):
    settings.PROBE_BACKOFF = [0.1]


@pytest.fixture
def others(engine):
    """The breaker of another process."""
    return Breaker("memory://")


def on_the_home_page():
    return [(part.well, part.text) for part in status.parts() if part.name == "Mail service"]


def hints(queue="control"):
    client = dramatiq.get_broker().client  # type: ignore[attr-defined]
    names = [f"vestnik:{queue}.msgs", f"vestnik:{queue}.DQ.msgs"]
    return [dramatiq.Message.decode(each).actor_name for name in names for each in client.hvals(name)]


def opened(breaker, error=AWAY):
    while breaker.failed(error) is None:
        pass


def test_three_failures_in_a_row_open_it_for_everybody(alice, engine, provider, lane, others, settings):
    settings.PROBE_BACKOFF = [5]
    run = launched(make_mailing(alice, 3))
    provider.fail(AWAY)
    lane(alice)
    lane(alice)
    assert (outages.current(), on_the_home_page()) == (None, [])
    others.check()
    before = timezone.now()
    lane(alice)
    outage = outages.current()
    assert (outage.reason, outage.message) == ("unavailable", str(AWAY))
    assert timedelta(seconds=4.5) <= outage.next_probe - before < timedelta(seconds=6)
    assert on_the_home_page() == [(False, "takes nothing at the moment")]
    with pytest.raises(CircuitOpen) as refusal:
        others.check()
    assert 4 < refusal.value.wait <= 5
    assert states(run) == ["queued"] * 3
    assert not Attempt.objects.exists()


def test_while_it_is_open_nothing_is_claimed(alice, engine, provider, lane, others, settings):
    settings.PROBE_BACKOFF = [5]
    run = launched(make_mailing(alice, 3))
    opened(others)
    lane(alice)
    assert provider.letters == []
    assert set(Delivery.objects.filter(run=run).values_list("claim", flat=True)) == {0}
    assert "tick" in hints(), "nobody comes back for the probe"


def test_wrong_settings_open_it_at_once_and_are_told_once(alice, provider, lane, brief, caplog):
    launched(make_mailing(alice, 3))
    provider.fail(WRONG)
    for _ in range(3):
        lane(alice)
        time.sleep(0.12)
    assert outages.current().reason == "misconfigured"
    told = [record for record in caplog.records if "refused the login" in record.getMessage()]
    assert [record.levelname for record in told] == ["ERROR"]


def test_the_log_names_nobody_by_what_the_service_said(others, caplog):
    opened(others, Unavailable("450 <alice@example.org>: not now"))
    (said,) = [line for line in caplog.messages if "nothing is handed over" in line]
    assert said.endswith("450 <a…@example.org>: not now")


def test_one_letter_at_a_time_tries_and_the_first_that_is_taken_closes_it(alice, engine, provider, lane, others, brief):
    run = launched(make_mailing(alice, 5))
    opened(others)
    time.sleep(0.12)
    provider.hold()
    lane(alice)
    assert len(provider.letters) == 1
    assert engine.pace.breaker.trying
    with pytest.raises(CircuitOpen):
        others.check()
    lane(alice)
    assert len(provider.letters) == 1, "a second probe beside the first"
    provider.release()
    engine.pace.renew()
    assert outages.current() is None
    others.check()
    assert "tick" in hints(), "the others are not woken"
    lane(alice)
    assert states(run) == ["sent"] * 5


def test_what_was_answered_after_others_opened_it_closes_it(alice, engine, provider, lane, others, settings):
    settings.PROBE_BACKOFF = [50]
    launched(make_mailing(alice, 1))
    engine.pace.breaker.check()
    opened(others)
    time.sleep(0.05)
    receipt = Receipt(Letter(1, 1, "1@example.org", "", "client@example.org", b""), Outcome.ACCEPTED, 250, "", 0.0, 0.0)
    engine.pace.breaker.record(receipt, 10)
    engine.pace.renew()
    assert outages.current() is None
    opened(others)
    time.sleep(0.05)
    engine.pace.renew()
    assert outages.current() is not None, "what was answered before proves nothing"


def test_a_probe_that_fails_makes_the_next_one_wait_longer(others, settings):
    settings.PROBE_BACKOFF = [0.05, 5]
    opened(others)
    time.sleep(0.06)
    others.check()
    assert others.probing
    assert others.failed(AWAY) == pytest.approx(5, abs=0.1)
    with pytest.raises(CircuitOpen):
        others.check()


def test_a_lane_whose_probe_finds_no_connection_makes_the_next_one_wait_longer(alice, provider, lane, settings):
    settings.PROBE_BACKOFF = [0.05, 5]
    launched(make_mailing(alice, 1))
    provider.fail(AWAY)
    for _ in range(3):
        lane(alice)
    time.sleep(0.06)
    before = timezone.now()
    lane(alice)
    assert outages.current().next_probe - before > timedelta(seconds=4)


def test_what_was_under_way_when_it_opened_does_not_lengthen_it(engine, others, settings):
    settings.PROBE_BACKOFF = [1, 50]
    opened(others)
    assert engine.pace.breaker.failed(AWAY) <= 1


def test_a_probe_with_nothing_to_try_is_left_to_others(alice, bob, provider, lane, others, brief):
    launched(make_mailing(alice, 1))
    opened(others)
    time.sleep(0.12)
    lane(bob)
    assert outages.current() is not None
    others.check()
    assert others.probing


def test_a_probe_whose_process_died_is_left_to_others(others, engine, brief, monkeypatch):
    monkeypatch.setattr(breakers, "PROBE_LEASE", timedelta(seconds=0.3))
    opened(others)
    time.sleep(0.12)
    others.check()
    with pytest.raises(CircuitOpen):
        engine.pace.breaker.check()
    time.sleep(0.35)
    engine.pace.breaker.check()
    assert engine.pace.breaker.probing


def test_another_owners_letters_prove_that_the_service_is_back(alice, bob, provider, lane, brief):
    launched(make_mailing(alice, 1))
    launched(make_mailing(bob, 1))
    provider.fail(AWAY)
    for _ in range(3):
        lane(alice)
    assert outages.current() is not None
    provider.recover()
    time.sleep(0.12)
    lane(bob)
    assert outages.current() is None


def test_as_many_letters_without_an_answer_as_there_are_connections_open_it(alice, engine, provider, lane, settings):
    settings.PROBE_BACKOFF = [5]
    run = launched(make_mailing(alice, 100))
    provider.always(SILENCE)
    lane(alice)
    assert outages.current().message == SILENCE.words
    charged = Delivery.objects.filter(run=run, attempts__gt=0).count()
    assert charged <= 2 * provider.connections, "the whole run paid for a service that hangs"
    assert charged == Attempt.objects.count()


def test_connections_that_close_before_each_letter_open_it_though_no_letter_pays(alice, provider, lane, settings):
    settings.PROBE_BACKOFF = [5]
    run = launched(make_mailing(alice, 30))
    provider.always(Answer(Outcome.RETURNED, None, "the connection was closed before the letter"))
    for _ in range(3):
        lane(alice)
    assert outages.current().message == "the connection was closed before the letter"
    assert len(provider.letters) < 100, "letters go round without end"
    assert not Attempt.objects.exists()
    assert states(run) == ["queued"] * 30


def test_some_letters_without_an_answer_are_their_own_affair(alice, provider, lane):
    mailing = make_mailing(alice, 100)
    for client in mailing.clients.all()[:30]:
        provider.answers(client.email, SILENCE)
    lane(alice)
    run = launched(mailing)
    for _ in range(3):
        lane(alice)
    assert outages.current() is None
    assert states(run).count("sent") >= 70


def test_silence_of_one_domain_is_its_own_affair_while_others_are_answered(alice, bob, provider, lane, engine):
    """Alice's letters go to a domain whose letters break off; Bob's are taken all the time."""
    hers, his = make_mailing(alice, 60), make_mailing(bob, 10)
    alice.clients.update(email=Concat(Cast("pk", TextField()), Value("@bad.example")))
    first, second = launched(hers), launched(his)
    for address in first.deliveries.values_list("address", flat=True):
        provider.answers(address, SILENCE, SILENCE)
    lane(bob)
    for _ in range(5):
        lane(alice)
    assert outages.current() is None
    assert states(second) == ["sent"] * 10
    assert set(states(first)) == {"queued"}


def test_letters_that_wait_for_their_retry_are_woken_though_the_breaker_is_open(alice, engine, lane, others, settings):
    settings.PROBE_BACKOFF = [1]
    run = launched(make_mailing(alice, 2))
    Delivery.objects.filter(run=run).update(due_at=timezone.now() + timedelta(seconds=20), attempts=1)
    opened(others)
    lane(alice)
    assert list(impatient_redis().scan_iter(f"vestnik:wake:{alice.pk}:*")), "nobody comes when they are due"


def test_what_is_misconfigured_stays_so_probe_after_probe(alice, provider, lane, settings):
    settings.PROBE_BACKOFF = [0.05]
    launched(make_mailing(alice, 3))
    provider.fail(WRONG)
    lane(alice)
    provider.recover()
    provider.always(Answer(Outcome.RETURNED, 401, "no such token"))
    provider.then_fail(WRONG)
    time.sleep(0.06)
    lane(alice)
    outage = outages.current()
    assert (outage.reason, outage.message) == ("misconfigured", str(WRONG))


def test_a_service_that_asks_to_be_left_alone_is(alice, engine, provider, lane):
    mailing = make_mailing(alice, 5)
    run = launched(mailing)
    first = Delivery.objects.filter(run=run).order_by("due_at", "pk").first()
    provider.answers(first.address, BUSY)
    provider.hold()
    lane(alice)
    provider.release(1)
    engine.pace.renew()
    assert outages.current().reason == "throttled"
    provider.release()
    before = len(provider.letters)
    lane(alice)
    assert len(provider.letters) == before
    engine.settler.drain()
    first.refresh_from_db()
    assert (first.state, first.attempts) == ("queued", 1)
    assert first.due_at > timezone.now()


def test_a_letter_that_was_not_taken_for_our_fault_is_not_charged(alice, provider, lane):
    run = launched(make_mailing(alice, 1))
    address = Delivery.objects.get(run=run).address
    provider.answers(address, Answer(Outcome.RETURNED, 535, "log in first"))
    lane(alice)
    assert states(run) == ["queued"]
    lane(alice)
    assert states(run) == ["sent"]
    assert [(attempt.outcome, attempt.claim) for attempt in Attempt.objects.all()] == [("accepted", 2)]


def test_no_room_for_a_connection_is_no_fault_of_the_service(alice, provider, lane):
    launched(make_mailing(alice, 1))
    provider.fail(ConnectionLimitReached("all connections are in use"))
    for _ in range(4):
        lane(alice)
    assert outages.current() is None


def test_letters_that_are_sent_in_the_foreground_go_by_it_too(alice, engine, provider, settings):
    settings.PROBE_BACKOFF = [0.05, 0.05, 1]
    run = launched(make_mailing(alice, 1))
    provider.fail(AWAY)
    with pytest.raises(foreground.ServiceDown):
        foreground.send(engine, [run.pk])
    assert outages.current().message == str(AWAY)
    provider.recover()
    foreground.send(engine, [run.pk])
    assert states(run) == ["sent"]
    assert outages.current() is None


def test_a_database_that_is_away_is_no_fault_of_the_service(alice, provider, lane, monkeypatch):
    from django.db import OperationalError

    def gone(*_):
        raise OperationalError("gone")

    launched(make_mailing(alice, 1))
    monkeypatch.setattr(statements, "next_run", gone)
    for _ in range(4):
        lane(alice)
    assert outages.current() is None


def test_without_redis_there_is_no_breaker_and_letters_go_out(alice, engine, settings, monkeypatch):
    nowhere = redis.Redis.from_url("unix:///nowhere/valkey.sock")
    monkeypatch.setattr(engine.pace.breaker, "_redis", nowhere)
    monkeypatch.setattr(outages, "impatient_redis", lambda: nowhere)
    monkeypatch.setattr(outages, "_silent_since", -outages.PAUSE_SECONDS)  # the next test's Redis does answer
    run = launched(make_mailing(alice, 3))
    assert engine.pace.breaker.failed(AWAY) is None
    foreground.send(engine, [run.pk])
    assert states(run) == ["sent"] * 3
    assert outages.current() is None


def test_two_processes_send_one_probe_between_them(alice, engine, provider, others, brief, transactional_db):
    launched(make_mailing(alice, 4))
    second = Engine(MemoryProvider(connections=2)).start()
    try:
        opened(others)
        time.sleep(0.12)
        provider.hold()
        second.provider.hold()  # type: ignore[attr-defined]
        outcomes = []
        for each in (engine, second):
            try:
                outcomes.append(slices.send_slice(each, alice.pk, time.monotonic() + 0.1))
            except CircuitOpen:
                outcomes.append("open")
        assert outcomes.count("open") == 1
        assert len(provider.letters) + len(second.provider.letters) == 1  # type: ignore[attr-defined]
        provider.release()
    finally:
        second.stop()


@pytest.mark.parametrize(
    "quoted", ["<bob.baker@example.com>", "bob.baker%40example.com", '"Bob Baker" <x@example.com>', "bob.baker: no"]
)
@pytest.mark.parametrize("retry_after", [None, 60.0])
def test_no_recipient_is_named_by_what_is_kept_of_an_outage(engine, quoted, retry_after, caplog):
    """All owners and managers are told of it, and Redis and the log keep it."""
    answer = f"451 mail for {quoted} from relay.internal:587 is refused"
    for n in range(20):
        letter = Letter(n, 1, f"{n}@example.org", "", f"bob.baker@example{n}.com", b"")
        engine.pace.breaker.record(Receipt(letter, Outcome.TEMPORARY, None, answer, 0.0, 0.0, retry_after), 1)
        engine.pace.breaker.publish()
    words = outages.current().message
    assert "relay.internal:587" in words
    kept = f"{impatient_redis().hgetall(outages.KEY)} {caplog.text} {words}".lower()
    assert "bob" not in kept
    assert "baker" not in kept
