"""What of the breaker goes by letters that are taken: since when, of which service, and what closes it."""

import time

import pytest

from dispatcher.pace.breaker import Breaker, CircuitOpen
from dispatcher.providers.base import About, Letter, Outcome, Receipt
from dispatcher.providers.errors import Unavailable
from vestnik.mailings import outages

LETTER = Letter(1, 1, "1@example.org", "", "client@example.org", b"")
SLOW = 0.3


def receipt(outcome, code=554, began=None, **more):
    return Receipt(LETTER, outcome, code, "no", time.monotonic() if began is None else began, 0.0, **more)


@pytest.fixture
def brief(settings):
    settings.PROBE_BACKOFF = [0.05]


@pytest.fixture
def breaker(valkey):
    return Breaker("memory://")


def probed(breaker, answer):
    """A letter is tried, as soon as one may be, and answered so."""
    until = time.monotonic() + 5
    while not breaker.probing and time.monotonic() < until:
        try:
            breaker.check()
        except CircuitOpen as error:
            time.sleep(min(error.wait, 0.05))
    assert breaker.probing
    assert breaker.reserve()
    breaker.handed_over((LETTER.delivery_id, LETTER.claim))
    breaker.record(answer, 10)
    breaker.publish()


@pytest.mark.parametrize("meanwhile", ["asked for a pause", "away", "both"])
def test_what_refused_letter_after_letter_is_closed_by_one_that_is_taken_and_by_nothing_else(breaker, brief, meanwhile):
    breaker.refused(receipt(Outcome.PERMANENT))
    if meanwhile != "away":
        probed(breaker, receipt(Outcome.TEMPORARY, 429, retry_after=0.1, about=About.PACE))
        assert outages.current().reason == "throttled"
    if meanwhile != "asked for a pause":
        probed(breaker, receipt(Outcome.TEMPORARY, None))
        assert outages.current().reason == "unavailable"
    for answer in (
        receipt(Outcome.TEMPORARY, 450, about=About.LETTER),
        receipt(Outcome.PERMANENT, 550, about=About.LETTER),
        receipt(Outcome.PERMANENT, 554),
    ):
        probed(breaker, answer)
        breaker.renew()
        assert outages.current() is not None, answer
        assert breaker.refuses
    probed(breaker, receipt(Outcome.ACCEPTED, 250))
    assert outages.current() is None
    breaker.renew()
    assert not breaker.refuses


def test_an_outage_that_refused_nothing_is_closed_by_any_answer(breaker, brief):
    while breaker.failed(Unavailable("away")) is None:
        pass
    probed(breaker, receipt(Outcome.PERMANENT, 550, about=About.LETTER))
    assert outages.current() is None


def slow(breaker, monkeypatch, before, after):
    """What it asks of Redis takes so long to get there, and so long to come back."""
    ask = breaker._redis.eval

    def eval_slowly(*arguments):
        time.sleep(before)
        answer = ask(*arguments)
        time.sleep(after)
        return answer

    monkeypatch.setattr(breaker._redis, "eval", eval_slowly)


@pytest.mark.parametrize("ways", [(SLOW, 0), (0, SLOW), (SLOW, SLOW), (0, 0)])
@pytest.mark.parametrize("who", ["itself", "the other", "both"])
def test_a_letter_was_never_taken_later_than_it_was_begun_however_slow_redis_is(breaker, monkeypatch, ways, who):
    other = Breaker("memory://")
    if who != "the other":
        slow(breaker, monkeypatch, *ways)
    if who != "itself":
        slow(other, monkeypatch, *ways)
    for _ in range(2):
        began = time.monotonic()
        other.record(receipt(Outcome.ACCEPTED, 250, began), 10)
        other.renew()
        breaker.renew()
        assert other.taken_at == began
        assert began - 2 * SLOW - 0.1 < breaker.taken_at <= began


def test_what_another_service_or_login_took_says_nothing_of_this_one(breaker, settings):
    breaker.record(receipt(Outcome.ACCEPTED, 250), 10)
    breaker.renew()
    same, another = Breaker("memory://"), Breaker("smtp://elsewhere.example:25")
    settings.MAIL_SERVICE_URL = "smtp://vestnik:another@127.0.0.1:9"
    login = Breaker("memory://")
    for each in (same, another, login):
        each.renew()
    assert same.taken_at > 0
    assert another.taken_at < 0
    assert login.taken_at < 0
