"""Refusals that may be of us: whose letters pay, when sending halts, and how it goes on."""

import logging
import threading
import time

import pytest

from dispatcher.pace.breaker import Breaker, CircuitOpen
from dispatcher.providers.base import About, Letter, Outcome, Receipt
from dispatcher.providers.memory import ACCEPTED, PERMANENT, Answer, MemoryProvider
from dispatcher.runs import foreground
from dispatcher.sending import doubts, slices
from dispatcher.sending.doubts import Doubts
from dispatcher.sending.engine import Engine
from tests.dispatcher.test_sending import launched, states
from tests.timing import wait_until
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Attempt, Delivery
from vestnik.testing.factories import make_mailing

RELAY = Answer(Outcome.PERMANENT, 554, "5.7.1 Relay access denied")
LATER = Answer(Outcome.TEMPORARY, 454, "4.7.1 Relay access denied")
POLICY = Answer(Outcome.PERMANENT, 554, "5.7.1 this message is not wanted here")
BAD_REQUEST = Answer(Outcome.PERMANENT, 400, "bad request")
DOWN = [
    Answer(Outcome.TEMPORARY, 451, words)
    for words in (
        "4.7.1 Service unavailable - try again later",
        "4.7.0 Temporary System Problem. Try again later (10).",
        "4.4.0 Temporary server error. Please try again later. PRX2",
        "4.7.500 Server busy. Please try again later from [192.0.2.1].",
        "Temporary local problem - please try later",
    )
]
NOT_NOW = [
    Answer(Outcome.TEMPORARY, 451, "4.7.1 Please try again later"),
    Answer(Outcome.TEMPORARY, 450, "4.2.1 The user you are trying to contact is receiving mail too quickly."),
    Answer(Outcome.TEMPORARY, 451, "4.7.1 hourly limit exceeded"),
    Answer(Outcome.TEMPORARY, 450, "later"),
]


def work(lane, *owners, until, seconds=15):
    """Slices of these owners in turn, until it is so."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        for owner in owners:
            lane(owner)
        time.sleep(0.02)
    assert until()


def refused():
    outage = outages.current()
    return outage is not None and outage.reason == "refused"


def uncharged(run):
    letters = set(Delivery.objects.filter(run=run).values_list("state", "attempts"))
    return letters <= {("queued", 0), ("sending", 0)} and not Attempt.objects.filter(delivery__run=run).exists()


@pytest.mark.parametrize("answer", [RELAY, LATER, POLICY, BAD_REQUEST, *DOWN], ids=lambda answer: answer.words)
def test_a_refusal_that_meets_every_letter_halts_sending_and_no_letter_pays(
    alice, engine, provider, lane, answer, caplog
):
    run = launched(make_mailing(alice, 120))
    provider.always(answer)
    work(lane, alice, until=refused)
    assert uncharged(run)
    tried = len(provider.letters)
    assert tried <= doubts.MANY + 2 * provider.connections
    work(lane, alice, until=lambda: len(provider.letters) >= tried + 3)
    assert len({letter.recipient for letter in provider.letters[tried:]}) > 1, "one letter is tried over and over"
    assert uncharged(run)
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 1, [record.getMessage() for record in told]
    assert answer.words in told[0].getMessage()
    provider.always(ACCEPTED)
    work(lane, alice, until=lambda: states(run) == ["sent"] * 120)
    assert outages.current() is None
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"accepted"}


def test_what_was_open_before_it_halted_is_not_used_again(alice, engine, provider, lane):
    """Who mends a server leaves the sessions that are open as they are."""
    launched(make_mailing(alice, 60))
    provider.always(RELAY)
    work(lane, alice, until=refused)
    wait_until(lambda: provider.parted >= 1)
    parted, tried = provider.parted, len(provider.letters)
    work(lane, alice, until=lambda: len(provider.letters) > tried)
    wait_until(lambda: provider.parted > parted)


def test_a_list_of_dead_addresses_ends_and_halts_nothing(alice, engine, provider, lane):
    run = launched(make_mailing(alice, 200))
    provider.always(PERMANENT)
    work(lane, alice, until=lambda: states(run) == ["failed"] * 200)
    assert outages.current() is None


@pytest.mark.parametrize("answer", [RELAY, POLICY], ids=lambda answer: answer.words)
def test_dead_addresses_among_the_refused_neither_halt_nor_free_anything(alice, engine, provider, lane, answer):
    run = launched(make_mailing(alice, 120))
    dead = list(run.deliveries.values_list("address", flat=True))[::2]
    for address in dead:
        provider.answers(address, *[PERMANENT] * 3)
    provider.always(answer)
    work(lane, alice, until=lambda: refused() and states(run).count("failed") == len(dead))
    others = Delivery.objects.filter(run=run).exclude(address__in=dead)
    assert set(others.values_list("state", flat=True)) <= {"queued", "sending"}


def test_a_refusal_while_others_are_taken_ends_its_letter(alice, engine, provider, lane):
    run = launched(make_mailing(alice, 100))
    bad = list(run.deliveries.order_by("pk").values_list("address", flat=True))[40:55]
    for address in bad:
        provider.answers(address, POLICY)
    work(lane, alice, until=lambda: run.deliveries.exclude(state__in=["sent", "failed"]).count() == 0)
    failed = run.deliveries.filter(state="failed")
    assert set(failed.values_list("address", flat=True)) == set(bad)
    assert set(failed.values_list("attempts", "tries__outcome", "tries__code")) == {(1, "permanent", 554)}
    assert outages.current() is None
    wait_until(lambda: not type(run).objects.filter(pk=run.pk, state="open").exists())


def test_what_is_refused_for_our_right_to_send_is_tried_again_though_others_are_taken(
    alice, engine, provider, lane, caplog
):
    """As by a server that takes letters to its own domain, and relays none."""
    run = launched(make_mailing(alice, 40))
    elsewhere = list(run.deliveries.order_by("pk").values_list("address", flat=True))[::2]
    for address in elsewhere:
        provider.answers(address, RELAY)
    work(lane, alice, until=lambda: states(run) == ["sent"] * 40)
    assert outages.current() is None
    assert set(Attempt.objects.filter(code=554).values_list("outcome", flat=True)) <= {"temporary"}
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 1
    assert "Relay access denied" in told[0]


def test_the_refusals_of_a_few_letters_stand_where_no_more_come(alice, engine, provider, lane):
    run = launched(make_mailing(alice, 3))
    provider.always(POLICY)
    work(lane, alice, until=lambda: states(run) == ["failed"] * 3)
    assert outages.current() is None
    wait_until(lambda: not type(run).objects.filter(pk=run.pk, state="open").exists())


def test_a_short_list_that_is_refused_whole_halts_too(alice, engine, provider, lane):
    run = launched(make_mailing(alice, 8))
    provider.always(POLICY)
    work(lane, alice, until=refused)
    assert uncharged(run)


def test_one_bad_letter_does_not_keep_it_open(alice, bob, engine, provider, lane):
    hers, his = launched(make_mailing(alice, 30)), None
    provider.always(POLICY)
    work(lane, alice, until=refused)
    bad = hers.deliveries.order_by("due_at", "pk").first().address
    provider.always(ACCEPTED)
    provider.answers(bad, *[POLICY] * 50)
    his = launched(make_mailing(bob, 5))
    work(lane, alice, bob, until=lambda: states(his) == ["sent"] * 5 and states(hers).count("sent") == 29)
    assert outages.current() is None


def test_many_bad_letters_in_a_row_end_when_others_have_been_taken(alice, engine, provider, lane):
    """Sending halts for them; another letter is taken; refused once more, they are dead."""
    run = launched(make_mailing(alice, 100))
    bad = list(run.deliveries.order_by("pk").values_list("address", flat=True))[:40]
    for address in bad:
        provider.answers(address, *[POLICY] * 50)
    work(lane, alice, until=lambda: run.deliveries.exclude(state__in=["sent", "failed"]).count() == 0, seconds=40)
    assert set(run.deliveries.filter(state="failed").values_list("address", flat=True)) == set(bad)


def test_while_another_process_is_taken_from_nothing_halts(alice, bob, engine, provider, lane, monkeypatch):
    """Alice's letters are refused for what they say, here; Bob's are taken, there."""
    monkeypatch.setattr(doubts, "QUIET", doubts.OTHERS_SPEAK)  # none decides before the other has spoken
    hers, his = launched(make_mailing(alice, 80)), launched(make_mailing(bob, 400))
    provider.always(POLICY)
    second = Engine(MemoryProvider(connections=2)).start()
    over = threading.Event()

    def send_his():
        from django.db import connections

        while not over.is_set():
            try:
                second.provider.hold()  # type: ignore[attr-defined]
                second.provider.release()  # type: ignore[attr-defined]
                slices.send_slice(second, bob.pk, time.monotonic() + 0.02)
            except CircuitOpen:
                pass
            over.wait(0.1)
        connections.close_all()

    monkeypatch.setattr(second.pace.throttle, "_most", 20)
    thread = threading.Thread(target=send_his)
    thread.start()
    halted = []
    try:
        work(lane, alice, until=lambda: halted.append(refused()) or states(hers) == ["failed"] * 80, seconds=20)
    finally:
        over.set()
        thread.join()
        second.stop()
    assert not any(halted)
    assert "sent" in states(his)


def test_what_a_process_that_died_had_in_doubt_is_tried_again(alice, engine, provider, lane):
    run = launched(make_mailing(alice, 3))
    provider.always(POLICY)
    lane(alice)
    assert len(provider.letters) == 3
    engine.doubts._ours._refusals.clear()  # all that died with it
    provider.always(ACCEPTED)
    work(lane, alice, until=lambda: states(run) == ["sent"] * 3)


def test_in_the_foreground_it_says_why_nothing_goes_out(alice, engine, provider, quick, settings):
    run = launched(make_mailing(alice, 60))
    provider.always(RELAY)
    settings.PROBE_BACKOFF = [0.1, 0.2, 3]
    with pytest.raises(foreground.ServiceDown, match="refused: 554"):
        foreground.send(engine, [run.pk])
    assert uncharged(run)


def test_operators_are_told_once_of_refusals_that_differ_in_names_alone(engine, valkey):
    here, there = engine.pace.breaker, Breaker("memory://")
    assert here.is_news("554 5.7.1 <bob@example.net>: Relay access denied")
    assert not there.is_news("554 5.7.1 <eve@other.example>: Relay access denied (id 7F3A)")
    assert there.is_news("553 5.7.1 <bob@example.net>: Sender address rejected")


def test_another_login_is_another_service(alice, engine, provider, settings):
    engine.pace.breaker._fail(outages.OutageReason.MISCONFIGURED, "535 no", 99, [900])
    with pytest.raises(CircuitOpen):
        engine.pace.breaker.check()
    settings.MAIL_SERVICE_URL = "smtp://vestnik:another@127.0.0.1:9"
    Breaker("memory://").check()


def test_in_the_foreground_nobody_waits_for_letters_that_are_refused_again_and_again(
    alice, engine, provider, quick, settings
):
    settings.PROBE_BACKOFF = [0.1, 0.2, 3]
    run = launched(make_mailing(alice, 8))
    provider.always(POLICY)
    began = time.monotonic()
    with pytest.raises(foreground.ServiceDown, match="refused: 554"):
        foreground.send(engine, [run.pk])
    assert time.monotonic() - began < 30
    assert uncharged(run)


@pytest.mark.parametrize("answer", NOT_NOW, ids=lambda answer: answer.words)
def test_a_refusal_for_now_that_meets_every_letter_again_halts_before_any_is_dead(
    alice, engine, provider, lane, answer, caplog
):
    """The first time it may be a greylist, whatever it says; the second time nobody is taken, either."""
    run = launched(make_mailing(alice, 60))
    provider.always(answer)
    work(lane, alice, until=refused, seconds=60)
    assert set(Delivery.objects.filter(run=run).values_list("attempts", flat=True)) <= {0, 1}
    wait_until(lambda: errors(caplog))  # said a moment after it is known
    provider.always(ACCEPTED)
    work(lane, alice, until=lambda: states(run) == ["sent"] * 60, seconds=60)
    assert outages.current() is None
    assert len(errors(caplog)) == 1


def errors(caplog):
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "words", ["4.2.0 Greylisted, see http://postgrey.example", "4.7.1 try again later", "4.2.0 come back", "greylisted"]
)
def test_greylisting_neither_halts_nor_slows_down(alice, engine, provider, lane, words):
    run = launched(make_mailing(alice, 120))
    for address in run.deliveries.values_list("address", flat=True):
        provider.answers(address, Answer(Outcome.TEMPORARY, 450, words))
    halted = []
    work(lane, alice, until=lambda: halted.append(refused()) or states(run) == ["sent"] * 120)
    assert not any(halted)
    assert engine.pace.throttle.rate is None
    assert set(run.deliveries.values_list("attempts", flat=True)) == {2}


def test_mailboxes_that_are_full_again_and_again_end_and_halt_nothing(alice, engine, provider, lane, settings):
    settings.MAX_ATTEMPTS = 3
    run = launched(make_mailing(alice, 40))
    provider.always(Answer(Outcome.TEMPORARY, 452, "4.2.2 mailbox full"))
    work(lane, alice, until=lambda: states(run) == ["failed"] * 40)
    assert outages.current() is None


def test_letters_to_one_domain_that_is_away_end_and_halt_nothing(alice, engine, provider, lane, settings):
    settings.MAX_ATTEMPTS = 3
    run = launched(make_mailing(alice, 40))
    provider.always(Answer(Outcome.TEMPORARY, 450, "4.4.1 no answer from host"))
    work(lane, alice, until=lambda: states(run) == ["failed"] * 40, seconds=60)
    assert outages.current() is None


@pytest.mark.parametrize("count", [doubts.FEW, doubts.FEW + 1, doubts.MANY - 1])
def test_the_last_letters_of_a_run_that_was_taken_end_when_refused_for_themselves(
    alice, engine, provider, lane, caplog, count
):
    run = launched(make_mailing(alice, 100))
    last = list(run.deliveries.order_by("due_at", "pk").values_list("address", flat=True))[-count:]
    for address in last:
        provider.answers(address, *[POLICY] * 10)
    halted = []
    work(lane, alice, until=lambda: halted.append(refused()) or states(run).count("failed") == count, seconds=40)
    assert states(run).count("sent") == 100 - count
    assert not any(halted)
    assert len(provider.letters) <= 100 + 3 * count, "they are tried again and again"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR and "nothing is" in record.msg] == []
    wait_until(lambda: not type(run).objects.filter(pk=run.pk, state="open").exists())


def test_letters_in_hand_may_yet_be_taken_so_the_refusals_of_a_few_do_not_stand(alice, transactional_db, valkey, quick):
    """Four at a time, each answered later than it is quiet."""
    run = launched(make_mailing(alice, 40))
    engine = Engine(MemoryProvider(connections=4)).start()
    engine.provider.always(POLICY)  # type: ignore[attr-defined]
    engine.provider.hold()  # type: ignore[attr-defined]
    over = threading.Event()

    def answer():
        while not over.wait(1.0):
            engine.provider.release(4)  # type: ignore[attr-defined]

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        end = time.monotonic() + 30
        while not refused() and time.monotonic() < end:
            try:
                slices.send_slice(engine, alice.pk, time.monotonic() + 0.3)
            except CircuitOpen:
                over.wait(0.05)
        assert refused()
        assert states(run).count("failed") == 0
    finally:
        over.set()
        thread.join()
        engine.provider.release()  # type: ignore[attr-defined]
        engine.stop()


def test_letters_that_wait_for_a_limit_may_yet_be_taken(alice, engine, provider, lane, monkeypatch):
    run = launched(make_mailing(alice, 40))
    provider.always(POLICY)
    monkeypatch.setattr(engine.pace.throttle, "_most", 1.5)
    work(lane, alice, until=refused, seconds=40)
    assert states(run).count("failed") == 0


def test_nobody_who_hands_letters_over_waits_for_redis_to_tell_operators(engine, monkeypatch):
    def asked(words):
        raise AssertionError("Redis is asked")

    monkeypatch.setattr(engine.pace.breaker, "is_news", asked)
    refusals, stood = Doubts(engine.pace.breaker, lambda: None), []
    now = time.monotonic()
    for number in range(3):
        letter = Letter(number, 1, f"{number}@example.org", "", f"client{number}@example.org", b"")
        refusals.refused(Receipt(letter, Outcome.PERMANENT, 554, RELAY.words, now, 0.0, about=About.US), stood.append)
    refusals.taken(Receipt(letter, Outcome.ACCEPTED, 250, "", now + 1, 0.0))
    assert stood == [Outcome.TEMPORARY] * 3
    told = []
    monkeypatch.setattr(engine.pace.breaker, "is_news", told.append)
    refusals.decide()
    refusals.decide()
    assert told == [RELAY.words]
