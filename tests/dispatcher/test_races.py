"""What happens between two statements of somebody else."""

import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from dispatcher.ledger import closing, statements
from dispatcher.runs import launching, ticking
from tests.dispatcher.test_sending import lane, launched, slice_of, states
from tests.elsewhere import elsewhere
from vestnik import client_deletion
from vestnik.clients.models import Client
from vestnik.mailings import verbs
from vestnik.mailings.ledger import retries, runs
from vestnik.mailings.ledger.models import Run, Worker
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_mailing

DAY = timedelta(days=1)


@contextmanager
def while_letters_are_written(monkeypatch, function):
    """Have it called elsewhere in the middle of the next launch."""
    fill, others = launching._fill, []

    def slow_fill(mailing, run):
        monkeypatch.setattr(launching, "_fill", fill)
        others.append(elsewhere(function))
        return fill(mailing, run)

    monkeypatch.setattr(launching, "_fill", slow_fill)
    yield
    others[0].result(30)


def test_a_run_that_was_asked_for_and_never_filled_is_missed_when_its_window_closes(alice):
    mailing = make_mailing(alice, 3, start=timezone.now() + DAY, end=timezone.now() + 3 * DAY, periodicity="daily")
    run = verbs.send_now(mailing)
    Run.objects.filter(pk=run.pk).update(window_end=timezone.now() - timedelta(seconds=1))
    ticking.close()
    run.refresh_from_db()
    assert (run.state, run.reason, run.total) == ("missed", "the service was not running", 0)


def test_a_run_that_was_asked_for_and_never_filled_does_not_keep_the_next_occurrence(alice):
    now = timezone.now()
    mailing = make_mailing(alice, 3, start=now + timedelta(seconds=0.5), end=now + 3 * DAY, periodicity="daily")
    verbs.send_now(mailing)
    time.sleep(0.6)
    (run,) = launching.launch(mailing.pk)
    assert run.occurrence == mailing.start


def test_a_new_start_leaves_the_open_run_its_window(alice, engine, provider):
    now = timezone.now()
    mailing = make_mailing(alice, 5, start=now - timedelta(minutes=30), end=now + 3 * DAY, periodicity="daily")
    run = launched(mailing)
    mailing.refresh_from_db()
    mailing.start = now - timedelta(minutes=15)
    verbs.save_mailing(mailing)
    closing.close(run.pk)
    run.refresh_from_db()
    assert states(run) == ["queued"] * 5
    assert run.window_end == mailing.next_at == mailing.start + DAY


def test_a_run_that_ends_while_its_mailing_is_edited_waits_for_that(alice, engine, provider, monkeypatch):
    run = launched(make_mailing(alice, 1))
    slice_of(engine, alice)
    Run.objects.filter(pk=run.pk).update(state="open", finished_at=None)
    mailing = run.mailing
    mailing.refresh_from_db()
    verbs.pause(mailing)
    mailing.refresh_from_db()
    move_window, closers = runs.move_window, []

    def ended_meanwhile(*arguments):
        closers.append(elsewhere(lambda: closing.finish(run.pk)))
        move_window(*arguments)

    monkeypatch.setattr(runs, "move_window", ended_meanwhile)
    mailing.end += DAY
    verbs.save_mailing(mailing)
    (closer,) = closers
    closer.result(30)
    run.refresh_from_db()
    assert (run.state, run.window_end) == ("finished", mailing.end)


def test_a_late_receipt_settles_a_letter_that_was_set_aside(alice, engine, provider, settings):
    settings.UNKNOWN_OUTCOMES = "hold"
    run = launched(make_mailing(alice, 1))
    provider.hold()
    with lane(engine, alice):
        provider.wait_for(1)
        Worker.objects.update(ended_at=timezone.now(), died=True)
        ticking.rescue()
        assert states(run) == ["unknown"]
        provider.release()
    delivery = run.deliveries.get()
    assert (delivery.state, list(delivery.tries.values_list("outcome", flat=True))) == ("sent", ["accepted"])
    assert (runs.totals(run.pk)["sent"], runs.totals(run.pk)["unknown"]) == (1, 0)


def test_deleting_clients_counts_what_it_cancels(alice, engine, provider, monkeypatch):
    run = launched(make_mailing(alice, 3))
    first, second, _ = run.deliveries.order_by("pk")
    claimed = statements.claim(run.pk, engine.lease.worker_id, 1, None)
    cancel_to, others = retries.cancel_to, []

    def given_back_meanwhile(*arguments):
        cancelled = cancel_to(*arguments)
        others.append(elsewhere(lambda: statements.give_back([letter.key for letter in claimed])))
        return cancelled

    monkeypatch.setattr(retries, "cancel_to", given_back_meanwhile)
    client_deletion.delete_clients(alice, list(Client.objects.filter(pk__in=[first.client_id, second.client_id])))
    others[0].result(30)
    first.refresh_from_db()
    assert first.state == "queued"
    slice_of(engine, alice)
    run.refresh_from_db()
    assert (run.state, states(run)) == ("finished", ["cancelled", "cancelled", "sent"])
    assert runs.totals(run.pk)["left"] == 0


def test_an_end_edited_while_letters_are_written_moves_the_window(alice, engine, monkeypatch):
    mailing = make_mailing(alice, 5)
    new_end = timezone.now() + timedelta(seconds=30)

    def edit():
        mine = Mailing.objects.get(pk=mailing.pk)
        mine.end = new_end
        verbs.save_mailing(mine)

    with while_letters_are_written(monkeypatch, edit):
        run = launched(mailing)
    run.refresh_from_db()
    assert run.window_end == new_end


def test_a_start_edited_while_letters_are_written_makes_no_second_run(alice, engine, provider, monkeypatch):
    mailing = make_mailing(alice, 5)

    def edit():
        mine = Mailing.objects.get(pk=mailing.pk)
        mine.start -= timedelta(minutes=1)
        verbs.save_mailing(mine)

    with while_letters_are_written(monkeypatch, edit):
        launched(mailing)
    slice_of(engine, alice)
    assert launching.launch(mailing.pk) == []
    assert len(provider.letters) == 5


def test_a_mailing_is_not_deleted_while_its_letters_are_written(alice, engine, monkeypatch):
    mailing = make_mailing(alice, 5)
    refused = []

    def delete():
        with pytest.raises(ValidationError) as refusal:
            verbs.delete_mailing(Mailing.objects.get(pk=mailing.pk))
        refused.append(refusal.value.messages)

    with while_letters_are_written(monkeypatch, delete):
        run = launched(mailing)
    assert refused == [["A run of this mailing is not over; cancel it first."]]
    assert run.mailing_id == mailing.pk


def test_send_now_beside_a_launch_is_refused_and_the_launch_goes_on(alice, engine, monkeypatch):
    mailing = make_mailing(alice, 5)
    refused = []

    def ask():
        with pytest.raises(ValidationError) as refusal:
            verbs.send_now(mailing)
        refused.append(refusal.value.messages)

    with while_letters_are_written(monkeypatch, ask):
        run = launched(mailing)
    assert refused == [["A run of this mailing is not over yet."]]
    assert (run.total, mailing.runs.count()) == (5, 1)
