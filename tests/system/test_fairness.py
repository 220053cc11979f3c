"""Beside a run of a hundred thousand letters, ten letters of another owner leave within three seconds."""

import time

import pytest
from django.db import connection

from tests.scripted_servers import Hang
from tests.timing import in_time, wait_until
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_list, make_mailing

MANY = 100_000
RATE = 500
ROUNDS = 5
HANGING = range(1000, 40_000, 200)
"""Which of the hundred thousand the service hangs for: at five seconds each, more than half of twenty connections."""

PEOPLE = """
    WITH client AS (
        INSERT INTO clients_client (owner_id, email, full_name, name_key, comment, attributes, created_at, updated_at)
        SELECT %(owner)s, 'person' || n || '@example.org', '', '', '', '{}', now(), now()
        FROM generate_series(0, %(last)s) AS n ORDER BY n
        RETURNING id
    )
    INSERT INTO clients_membership (client_list_id, client_id) SELECT %(list)s, id FROM client
"""


@pytest.fixture
def big_run(alice):
    """Called, it sends to a hundred thousand of Alice's, and returns the run once its letters are written."""
    everybody = make_list(alice)
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, {"owner": alice.pk, "list": everybody.pk, "last": MANY - 1})
        cursor.execute("ANALYZE clients_client, clients_membership")  # as an import of so many would

    def start():
        mailing = make_mailing(alice, lists=[everybody])
        wait_until(lambda: mailing.runs.exclude(filled_at=None).exists(), 60)
        return mailing.runs.get()

    return start


def seconds_until_ten_have_left(owner, post):
    """From the creation of a mailing until the service has the last of its ten letters."""
    clients = make_list(owner, 10)
    addresses = set(clients.clients.values_list("email", flat=True))
    asked = time.monotonic()
    make_mailing(owner, lists=[clients])
    wait_until(lambda: len(arrivals(post, addresses)) >= 10, 30)
    return max(arrivals(post, addresses)) - asked


def arrivals(post, addresses):
    return [letter.arrived for letter in post.letters if letter.recipient in addresses]


def goes_on(run):
    return Run.objects.filter(pk=run.pk, state="open").exists() and run.deliveries.filter(state="queued").exists()


def test_ten_letters_leave_beside_a_hundred_thousand(bob, post, run_dispatcher, big_run):
    post.letters_per_second = RATE
    run_dispatcher()
    run = big_run()
    assert run.total == MANY
    post.wait_for(1000, 30)
    took = []
    for _ in range(ROUNDS):
        took.append(seconds_until_ten_have_left(bob, post))
        post.wait_for(len(post.letters) + RATE)
    assert goes_on(run), "nothing was beside it"
    in_time(max(took), 3, took)


def test_they_leave_though_the_service_hangs_for_some_of_the_hundred_thousand(bob, post, run_dispatcher, big_run):
    post.letters_per_second = RATE
    for number in HANGING:
        post.always("content", Hang(), recipient=f"person{number}@example.org")
    run_dispatcher(MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?connections=10&timeout=5")
    run = big_run()
    post.wait_for(2000, 30)
    took = [seconds_until_ten_have_left(bob, post) for _ in range(2 * ROUNDS)]
    assert goes_on(run), "nothing was beside it"
    in_time(max(took), 3, took)
