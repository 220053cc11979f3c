"""PostgreSQL dies in the middle of a run, and comes back."""

import time
from collections import Counter

import pytest
from django.db import connection

from tests import embedded
from tests.timing import wait_until
from vestnik import jobs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Delivery
from vestnik.testing.factories import make_mailing


@pytest.fixture
def crash_postgres():
    def crash():
        connection.close()
        embedded.SERVERS[0].crash()
        embedded.SERVERS[0].start()

    return crash


def test_a_crash_of_postgresql_neither_loses_nor_doubles_a_letter(alice, post, run_dispatcher, crash_postgres):
    post.letters_per_second = 300
    run_dispatcher(PROBE_BACKOFF="0.5,1")
    mailing = make_mailing(alice, 1000)
    for moment in (100, 400, 700):
        post.wait_for(moment, 60)
        crash_postgres()
        jobs.tick()
    wait_until(lambda: mailing.runs.filter(state="finished").exists(), 60)
    run = mailing.runs.get()
    received = Counter(letter.recipient for letter in post.letters)
    assert received == Counter(run.deliveries.values_list("address", flat=True))
    assert runs.totals(run.pk)["sent"] == 1000
    assert not Attempt.objects.filter(outcome="unknown").exists()
    assert not Delivery.objects.filter(state="sending").exists()


def test_a_crash_of_valkey_neither_loses_nor_doubles_a_letter(alice, post, run_dispatcher):
    """It comes back empty, some seconds later; the next tick finds in the ledger what it carried."""
    post.letters_per_second = 300
    run_dispatcher()
    mailing = make_mailing(alice, 1000)
    post.wait_for(200, 60)
    embedded.SERVERS[1].crash()
    time.sleep(4)
    embedded.SERVERS[1].start()
    wait_until(lambda: tick_is_taken(mailing), 60)
    run = mailing.runs.get()
    assert Counter(letter.recipient for letter in post.letters) == Counter(
        run.deliveries.values_list("address", flat=True)
    )
    assert not Attempt.objects.exclude(outcome="accepted").exists()


def tick_is_taken(mailing):
    """Tick as the scheduler would, once the workers have found the queue again, until the run is over."""
    jobs.tick()
    time.sleep(0.5)
    return mailing.runs.filter(state="finished").exists()
