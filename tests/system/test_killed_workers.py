"""kill -9 of the bulk workers at five moments of one throttled run."""

from collections import Counter, defaultdict

import redis
from django.conf import settings
from django.db import connection

from tests.timing import wait_until
from vestnik import jobs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Delivery, Run, Worker
from vestnik.testing.factories import make_mailing

LETTERS = 2000
CONNECTIONS = 10
PROCESSES = 2


def ten_seconds_later():
    """What time would do: the killed workers' heartbeats are old, and their slots are free."""
    wait_until(lambda: ask("SELECT clock_timestamp() - pg_postmaster_start_time() > interval '10 s'"))
    Worker.objects.filter(ended_at=None).update(beat_at="2020-01-01T00:00Z")
    broker = redis.Redis.from_url(settings.REDIS_URL)
    for key in broker.scan_iter("vestnik:lane:*"):
        broker.delete(key)


def ask(question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


def test_killed_workers_lose_no_letter_and_every_double_is_on_record(alice, post, run_dispatcher):
    post.letters_per_second = 500
    dispatcher = run_dispatcher()
    mailing = make_mailing(alice, LETTERS)
    in_hand = 0
    for moment in (100, 450, 800, 1150, 1500):
        post.wait_for(moment, 60)
        dispatcher.kill("bulk")
        left_behind = Delivery.objects.filter(state="sending").count()
        assert left_behind <= PROCESSES * 2 * CONNECTIONS
        in_hand += left_behind
        ten_seconds_later()
        dispatcher.restart("bulk")
        jobs.tick()
    wait_until(lambda: mailing.runs.exclude(state=Run.State.OPEN).exists(), 60)

    run = mailing.runs.get()
    received = Counter(letter.recipient for letter in post.letters)
    assert set(received) == set(run.deliveries.values_list("address", flat=True)), "a letter was lost"
    doubled = {address for address, count in received.items() if count > 1}
    assert sum(received.values()) - LETTERS <= in_hand
    ids = defaultdict(set)
    for letter in post.letters:
        ids[letter.recipient].add(letter.message_id)
    assert all(len(of_one) == 1 for of_one in ids.values())
    in_doubt = set(Attempt.objects.filter(outcome="unknown", charged=False).values_list("delivery__address", flat=True))
    assert doubled <= in_doubt
    assert len(in_doubt) <= in_hand
    assert runs.totals(run.pk)["sent"] == LETTERS
