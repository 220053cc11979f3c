"""Slowing down by itself, and speeding up again: against a simulated service, on a clock of the test's own."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from dispatcher.pace import throttle as throttling
from dispatcher.pace.throttle import Throttle
from dispatcher.providers.base import About, Letter, Outcome, Receipt

LETTER = Letter(1, 1, "1@example.org", "", "client@example.org", b"")
ROUND_TRIP = 0.05


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)  # type: ignore[attr-defined]
    monkeypatch.setattr(throttling, "time", clock)
    return clock


def receipt(began, outcome=Outcome.ACCEPTED, code=250, retry_after=None):
    return Receipt(LETTER, outcome, code, "", began, 0.0, retry_after)


def refusal(began, code=451, retry_after=None):
    return receipt(began, Outcome.TEMPORARY, code, retry_after)


class Service:
    """Takes so many letters in each tenth of a second, and refuses the others with this code."""

    def __init__(self, clock, a_second, code):
        self.clock, self.most, self.code = clock, a_second / 10, code
        self.taken, self.refused, self.tenth, self.count = 0, 0, 0, 0

    def answer(self, began):
        tenth = int(self.clock.now * 10)
        if tenth != self.tenth:
            self.tenth, self.count = tenth, 0
        self.count += 1
        if self.count > self.most:
            self.refused += 1
            return refusal(began, self.code)
        self.taken += 1
        return receipt(began)


def send(throttle, clock, service, seconds, connections=40):
    """As a process does: as many letters as there are connections, each answered after a round trip."""
    until = clock.now + seconds
    while clock.now < until:
        granted, wait = throttle.take(connections)
        began = clock.now
        clock.now += ROUND_TRIP if granted else min(wait, 0.05)
        for _ in range(granted):
            throttle.record(service.answer(began))


@pytest.mark.parametrize("code", [421, 429, 450, 451, 452, 454])
def test_it_settles_around_what_the_service_takes(clock, code):
    throttle, service = Throttle(), Service(clock, 100, code)
    send(throttle, clock, service, 30)
    service.taken = service.refused = 0
    send(throttle, clock, service, 60)
    assert service.taken > 0.6 * 60 * 100
    assert service.refused < 0.25 * service.taken


@pytest.mark.parametrize("most", [50, 100, 1000])
def test_after_a_first_guess_it_soon_finds_out_what_the_service_takes(clock, most):
    throttle, service = Throttle(), Service(clock, most, 451)
    send(throttle, clock, service, 0.2)
    assert throttle.rate < most, "in so little time it can know no better"
    send(throttle, clock, service, 10)
    service.taken = service.refused = 0
    send(throttle, clock, service, 5)
    assert service.taken > 0.6 * 5 * most
    assert service.refused < 0.25 * service.taken


def test_it_speeds_up_again_until_there_is_no_limit(clock):
    throttle, service = Throttle(), Service(clock, 50, 429)
    send(throttle, clock, service, 10)
    assert throttle.rate < 120
    service.most = 1e9
    send(throttle, clock, service, 120)
    assert throttle.rate is None


def test_what_was_under_way_together_slows_down_once(clock):
    throttle = Throttle()
    assert throttle.take(40) == (40, 0.0)
    began = clock.now
    clock.now += 1.0
    for _ in range(40):
        throttle.record(refusal(began, 421))
    assert throttle.rate == pytest.approx(20, rel=0.1)


def test_a_full_mailbox_here_and_there_slows_nothing_down(clock):
    throttle = Throttle()
    for number in range(10_000):
        throttle.take(1)
        clock.now += 0.001
        throttle.record(refusal(clock.now, 452) if number % 20 == 0 else receipt(clock.now))
    assert throttle.rate is None


def test_it_never_stops_altogether(clock):
    throttle = Throttle()
    for _ in range(100):
        throttle.take(1)
        clock.now += 1
        throttle.record(refusal(clock.now, 429))
    assert throttle.rate == throttling.SLOWEST
    granted, wait = throttle.take(5)
    assert granted or wait <= 1 / throttling.SLOWEST


def test_what_was_not_handed_over_is_not_lost(clock):
    throttle = Throttle()
    throttle.take(40)
    began = clock.now
    clock.now += 1
    throttle.record(refusal(began, 429))
    clock.now += 1
    granted, _ = throttle.take(40)
    throttle.give_back(granted)
    assert throttle.take(40)[0] == granted


def test_a_refusal_for_good_is_no_throttling(clock):
    throttle = Throttle()
    for _ in range(100):
        throttle.take(1)
        throttle.record(receipt(clock.now, Outcome.PERMANENT, 550))
    assert throttle.rate is None


def test_greylisting_slows_nothing_down(clock):
    throttle = Throttle()
    for _ in range(2000):
        throttle.take(1)
        clock.now += 0.001
        throttle.record(replace(refusal(clock.now, 451), about=About.LETTER))
    assert throttle.rate is None


def test_what_refuses_everything_for_now_and_does_not_say_why_is_not_crept_up_to(clock):
    """Greylisting in words that nobody knows: slowness does not help."""
    throttle = Throttle()
    for _ in range(2000):
        throttle.take(1)
        clock.now += 0.05
        throttle.record(refusal(clock.now, 451))
    assert throttle.rate == throttling.SLOWEST_IN_DOUBT


@pytest.mark.parametrize("about", [About.UNCLEAR, About.PACE])
@pytest.mark.parametrize("code", [421, 450, 451, 452, 454])
def test_no_complaint_ever_speeds_it_up(clock, about, code):
    throttle = Throttle()
    for _ in range(100):
        throttle.take(1)
        clock.now += 1
        throttle.record(refusal(clock.now, 429))
    assert throttle.rate == throttling.SLOWEST
    for _ in range(60):
        before = throttle.rate
        throttle.take(5)
        clock.now += 1.1
        throttle.record(replace(refusal(clock.now, code), about=about))
        assert throttle.rate <= before
