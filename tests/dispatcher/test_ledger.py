import threading
import time
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import Sum

from dispatcher.ledger import closing, rows, statements
from dispatcher.providers.base import Outcome
from dispatcher.runs import launching
from tests.quarters import quarter
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Tally, Worker
from vestnik.testing.factories import make_mailing


@pytest.fixture
def run(alice, settings):
    settings.DEAD_AFTER = timedelta(seconds=0)
    (run,) = launching.launch(make_mailing(alice, 1).pk)
    return run


def worker():
    return Worker.objects.create(name="w", provider="memory", beat_at="2100-01-01T00:00Z").pk


def dies(worker_id):
    Worker.objects.filter(pk=worker_id).update(beat_at="2020-01-01T00:00Z")
    statements.reap()
    statements.rescue()


def settle(letter, worker_id, outcome):
    statements.settle(
        [rows.Settlement(letter.delivery_id, letter.claim, worker_id, outcome, 250, "ok", time.monotonic(), 0.1, 0.0)],
        time.monotonic(),
    )


def test_what_a_dead_worker_had_in_hand_is_written_down_and_queued_again(run):
    first = worker()
    statements.claim(run.pk, first, 1, None)
    dies(first)
    (delivery,) = run.deliveries.all()
    assert (delivery.state, delivery.attempts, delivery.recoveries) == ("queued", 0, 1)
    (attempt,) = Attempt.objects.all()
    assert (attempt.outcome, attempt.charged, attempt.worker_id) == ("unknown", False, first)


def test_the_late_receipt_of_a_worker_believed_dead_spares_the_client_a_second_letter(run):
    first = worker()
    (letter,) = statements.claim(run.pk, first, 1, None)
    dies(first)
    settle(letter, first, Outcome.ACCEPTED)
    (delivery,) = run.deliveries.all()
    assert (delivery.state, delivery.attempts) == ("sent", 1)
    (attempt,) = Attempt.objects.all()
    assert (attempt.outcome, attempt.charged) == ("accepted", True)
    assert runs.totals(run.pk)["sent"] == 1


def test_a_late_receipt_after_the_next_claim_shows_that_the_letter_went_twice(run):
    first, second = worker(), worker()
    (before,) = statements.claim(run.pk, first, 1, None)
    dies(first)
    (after,) = statements.claim(run.pk, second, 1, None)
    settle(before, first, Outcome.ACCEPTED)
    settle(after, second, Outcome.ACCEPTED)
    (delivery,) = run.deliveries.all()
    assert (delivery.state, delivery.attempts) == ("sent", 1)
    assert list(Attempt.objects.values_list("outcome", flat=True)) == ["accepted", "accepted"]
    assert runs.totals(run.pk)["sent"] == 1


def test_a_receipt_written_twice_counts_once(run):
    first = worker()
    (letter,) = statements.claim(run.pk, first, 1, None)
    settle(letter, first, Outcome.TEMPORARY)
    settle(letter, first, Outcome.TEMPORARY)
    (delivery,) = run.deliveries.all()
    assert (delivery.state, delivery.attempts) == ("queued", 1)
    assert Attempt.objects.count() == 1


def test_a_letter_recovered_for_the_third_time_is_set_aside(run):
    states = []
    for _ in range(3):
        one = worker()
        statements.claim(run.pk, one, 1, None)
        dies(one)
        states.append(run.deliveries.get().state)
    assert states == ["queued", "queued", "unknown"]
    assert runs.totals(run.pk)["unknown"] == 1


def test_letters_are_counted_in_the_quarter_of_an_hour_they_are_settled_in(run):
    first = worker()
    (letter,) = statements.claim(run.pk, first, 1, None)
    settle(letter, first, Outcome.ACCEPTED)
    settled_at = run.deliveries.get().settled_at
    (tally,) = Tally.objects.all()
    assert (tally.worker_id, tally.sent, tally.attempts) == (first, 1, 1)
    assert tally.hour == quarter(settled_at)
    assert tally.seconds == pytest.approx((settled_at - run.filled_at).total_seconds())
    assert (tally.within_second, tally.within_minute, tally.within_hour) == (1, 1, 1)


def test_what_is_given_back_is_not_counted_at_all(run):
    statements.give_back([letter.key for letter in statements.claim(run.pk, worker(), 1, None)])
    assert not Tally.objects.exists()


def test_a_late_receipt_counts_the_letter_out_in_the_quarter_it_was_set_aside_in(run, settings):
    settings.UNKNOWN_OUTCOMES = "hold"
    first = worker()
    (letter,) = statements.claim(run.pk, first, 1, None)
    dies(first)
    an_hour_ago = run.opened_at - timedelta(hours=1)
    run.deliveries.update(settled_at=an_hour_ago)
    Tally.objects.update(hour=quarter(an_hour_ago))
    settle(letter, first, Outcome.ACCEPTED)
    then, now = Tally.objects.values("hour").annotate(unknown=Sum("unknown"), sent=Sum("sent")).order_by("hour")
    assert ((then["unknown"], then["sent"]), (now["unknown"], now["sent"])) == ((0, 0), (0, 1))


def test_what_another_worker_has_claimed_since_is_not_given_back(run):
    first, second = worker(), worker()
    (before,) = statements.claim(run.pk, first, 1, None)
    dies(first)
    statements.claim(run.pk, second, 1, None)
    statements.give_back([before.key])
    delivery = run.deliveries.get()
    assert (delivery.state, delivery.worker_id) == ("sending", second)


def test_a_worker_declared_dead_claims_nothing(run):
    first = worker()
    dies(first)
    assert not statements.claim(run.pk, first, 1, None)


def test_two_claims_never_share_a_letter(alice, settings):
    (run,) = launching.launch(make_mailing(alice, 10).pk)
    first, second = worker(), worker()
    mine = {letter.delivery_id for letter in statements.claim(run.pk, first, 6, None)}
    yours = {letter.delivery_id for letter in statements.claim(run.pk, second, 6, None)}
    assert len(mine) == 6
    assert len(yours) == 4
    assert not mine & yours


def test_a_claim_goes_on_behind_its_bound(alice):
    (run,) = launching.launch(make_mailing(alice, 10).pk)
    one = worker()
    first = statements.claim(run.pk, one, 4, None)
    statements.give_back([letter.key for letter in first])
    bound = (first[-1].due_at, first[-1].delivery_id)
    second = statements.claim(run.pk, one, 10, bound)
    assert len(second) == 6
    assert min(letter.delivery_id for letter in second) > bound[1]


def test_closing_a_run_that_goes_on_holds_none_of_its_letters(transactional_db, alice):
    (run,) = launching.launch(make_mailing(alice, 3).pk)
    one = worker()
    claimed = []

    def claim():
        claimed.extend(statements.claim(run.pk, one, 3, None))
        connection.close()

    with transaction.atomic():
        assert statements.close_out(run.pk)
        thread = threading.Thread(target=claim)
        thread.start()
        thread.join(5)
    assert len(claimed) == 3


def test_letters_are_settled_while_somebody_looks_whether_the_run_is_over(transactional_db, alice):
    (run,) = launching.launch(make_mailing(alice, 1).pk)
    one = worker()
    (letter,) = statements.claim(run.pk, one, 1, None)

    def write():
        settle(letter, one, Outcome.ACCEPTED)
        connection.close()

    with transaction.atomic():
        assert not closing.finish(run.pk)  # and holds the run's row
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    assert run.deliveries.get().state == "sent"


def test_a_claim_does_not_walk_what_was_claimed_before_even_under_an_old_snapshot(transactional_db, alice):
    """While somebody holds a snapshot (pg_dump, an export), index entries of letters long claimed cannot go away."""
    (run,) = launching.launch(make_mailing(alice, 4000).pk)
    one = worker()
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("SELECT count(*) FROM mailings_delivery")
        bound, at_first = None, blocks_read(run, one, None)
        for _ in range(39):
            claimed = statements.claim(run.pk, one, 100, bound)
            bound = (claimed[-1].due_at, claimed[-1].delivery_id)
        behind, from_the_start = blocks_read(run, one, bound), blocks_read(run, one, None)
    assert behind <= at_first + 15
    assert from_the_start > at_first + 60


def blocks_read(run, worker_id, bound):
    """How many blocks PostgreSQL looks at to find one letter."""
    due, last = bound or ("-infinity", 0)
    with psycopg.Cursor(connection.connection) as cursor, transaction.atomic():
        cursor.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statements.CLAIM}",
            {"run": run.pk, "worker": worker_id, "limit": 1, "due": due, "id": last},
        )
        plan = cursor.fetchone()[0][0]["Plan"]
        transaction.set_rollback(True)
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
