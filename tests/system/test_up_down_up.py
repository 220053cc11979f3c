"""The service goes away in the middle of a run, and comes back; twice."""

import time
from collections import Counter
from datetime import timedelta

from tests.timing import in_time, wait_until
from vestnik import clock
from vestnik.mailings import outages
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Delivery
from vestnik.mailings.outages import OutageReason
from vestnik.testing.factories import make_mailing

LETTERS = 1500
CONNECTIONS = 2 * 10
AWAY_SECONDS = 4.0
PROBE_SECONDS = 1.0
"""What a probe takes beyond the moment it was announced for, and the run's going on after it."""


def test_a_service_that_goes_away_and_comes_back_costs_no_letter_more_than_what_was_in_hand(
    alice, post, run_dispatcher
):
    post.letters_per_second = 300
    run_dispatcher(
        MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?connections=10&timeout=5",
        PROBE_BACKOFF="1,2",
        RETRY_BASE_SECONDS="1",
    )
    mailing = make_mailing(alice, LETTERS)
    for moment in (400, 900):
        post.wait_for(moment, 60)
        assert outages.current() is None
        go_away(post)
        wait_until(lambda: outages.current() is not None, 5)
        time.sleep(1)  # what was in hand is written down
        attempts, received = Attempt.objects.count(), len(post.letters)
        outage = outages.current()
        assert outage is not None
        assert outage.reason == OutageReason.UNAVAILABLE
        back = time.monotonic() + AWAY_SECONDS
        while time.monotonic() < back:
            said = outages.current()
            assert said is not None, "it was said to be back"
            assert clock.now() - said.next_probe < timedelta(seconds=PROBE_SECONDS), "the next probe is in the past"
            assert Delivery.objects.filter(state="sending").count() <= 1, "more than a probe was claimed"
            time.sleep(0.1)
        assert (Attempt.objects.count(), len(post.letters)) == (attempts, received)
        came_back, next_probe = come_back(post)
        post.wait_for(received + 1, 10)
        went_on = post.letters[received].arrived
        in_time(went_on - came_back, max(next_probe, timedelta()).total_seconds() + PROBE_SECONDS)
        wait_until(lambda: outages.current() is None, 3)
    wait_until(lambda: mailing.runs.filter(state="finished").exists(), 60)

    run = mailing.runs.get()
    assert runs.totals(run.pk)["sent"] == LETTERS
    copies = Counter(letter.recipient for letter in post.letters)
    assert set(copies) == set(run.deliveries.values_list("address", flat=True))
    unknown = set(Attempt.objects.filter(outcome="unknown").values_list("delivery__address", flat=True))
    assert {address for address, count in copies.items() if count > 1} <= unknown
    broken = Attempt.objects.exclude(outcome="accepted")
    assert set(broken.values_list("outcome", flat=True)) <= {"temporary", "unknown"}
    assert broken.count() <= 2 * CONNECTIONS
    assert Attempt.objects.count() == LETTERS + broken.count()


def go_away(post):
    post.refuse()
    post.drop_connections()


def come_back(post):
    """When (time.monotonic()) it takes connections again, and how long after that the next probe was announced for."""
    outage = outages.current()
    assert outage is not None
    post.listen()
    return time.monotonic(), outage.next_probe - clock.now()
