"""How runs end: by one at a time, in seconds, whatever their size."""

import time
from datetime import timedelta

import redis
from django.conf import settings as configured
from django.db import connection, transaction
from django.utils import timezone

from dispatcher.ledger import closing, statements
from dispatcher.runs import ticking
from dispatcher.sending import slices
from tests.dispatcher.test_sending import launched, states
from tests.elsewhere import elsewhere
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing


def closes():
    return sum(b'"close"' in body for body in redis.Redis.from_url(configured.REDIS_URL).hvals("vestnik:control.msgs"))


def large_run(owner, letters, state):
    """A finished run of so many letters, all in this state, as the planner knows it."""
    mailing = make_mailing(owner, 0)
    run = runs.open_run(mailing, mailing.end)
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO clients_client"
            " (owner_id, email, full_name, name_key, comment, attributes, created_at, updated_at)"
            " SELECT %s, n || '@example.org', '', '', '', '{}', now(), now() FROM generate_series(1, %s) AS n",
            [owner.pk, letters],
        )
        cursor.execute(
            "INSERT INTO mailings_delivery (run_id, client_id, address, state, settled_at)"
            " SELECT %s, id, email, %s, now() FROM clients_client",
            [run.pk, state],
        )
        cursor.execute("ANALYZE clients_client, mailings_delivery")
    Run.objects.filter(pk=run.pk).update(state="finished", filled_at=now, finished_at=now, total=letters)
    mailing.refresh_from_db()
    type(mailing).objects.filter(pk=mailing.pk).update(next_at=None)
    run.refresh_from_db()
    return run


def test_letters_that_were_queued_again_are_closed_in_no_time_though_the_planner_knows_of_none(alice, valkey):
    run = large_run(alice, 20_000, "failed")
    verbs.try_again(run)
    verbs.cancel(run.mailing)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '4s'")
    assert closing.close(run.pk)
    assert set(states(run)) == {"cancelled"}
    assert not run.deliveries.exclude(due_at=None).exists()
    assert runs.totals(run.pk)["cancelled"] == 20_000


def test_a_run_is_closed_by_one_at_a_time_and_nobody_waits_for_it(alice, transactional_db, valkey):
    run = launched(make_mailing(alice, 5))
    verbs.cancel(run.mailing)
    answers = []
    with transaction.atomic():
        assert statements.close_out(run.pk)  # and it is not committed yet
        others = [elsewhere(lambda: answers.append(closing.close(run.pk))), elsewhere(ticking.tick)]
        assert all(other.done() for other in others)
        assert answers == [False]
    assert closing.close(run.pk)
    run.refresh_from_db()
    assert (run.state, states(run)) == ("cancelled", ["cancelled"] * 5)


def test_runs_are_closed_beside_one_another(alice, transactional_db):
    first, second = launched(make_mailing(alice, 1)), launched(make_mailing(alice, 1))
    for run in (first, second):
        verbs.cancel(run.mailing)
    answers = []
    with transaction.atomic():
        statements.close_out(first.pk)
        elsewhere(lambda: answers.append(closing.close(second.pk)))
        assert answers == [True]


def test_a_large_run_is_closed_in_chunks(alice, monkeypatch):
    monkeypatch.setattr(statements, "CHUNK", 2)
    run = launched(make_mailing(alice, 5))
    Run.objects.filter(pk=run.pk).update(window_end=timezone.now())
    assert closing.close(run.pk)
    assert states(run) == ["expired"] * 5


def test_a_run_that_is_cancelled_again_and_again_is_closed_once(alice, transactional_db, valkey):
    run = launched(make_mailing(alice, 5))
    before = closes()
    for _ in range(3):
        verbs.cancel(run.mailing)
    assert closes() == before + 1


def test_a_run_whose_window_ends_in_the_middle_of_a_slice_is_over_with_it(alice, engine, provider, valkey):
    """The close job came while letters were in hand; whoever gives back the last of them ends the run."""
    run = launched(make_mailing(alice, 40))
    deliver = provider.deliver

    def slow(letters, *args, **kwargs):
        for receipt in deliver(letters, *args, **kwargs):
            Run.objects.filter(pk=run.pk).update(window_end=timezone.now() - timedelta(seconds=1))
            engine.gate.refresh()
            closing.close(run.pk)
            yield receipt

    provider.deliver = slow
    assert slices.send_slice(engine, alice.pk, time.monotonic() + 5) == slices.NOTHING_DUE
    run.refresh_from_db()
    assert run.state == "finished", "it stays open until the next tick"
    assert set(states(run)) == {"sent", "expired"}
