"""Receipts of workers believed dead, whatever happens to their letters meanwhile."""

import time
from contextlib import contextmanager

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from dispatcher import account_erasure
from dispatcher.ledger import statements
from dispatcher.ledger.rows import Settlement
from dispatcher.providers.base import Outcome
from dispatcher.runs import ticking
from tests.dispatcher.test_ledger import settle, worker
from tests.dispatcher.test_sending import launched, slice_of, states
from tests.dispatcher.test_try_again import run_with_failures, window_over
from tests.elsewhere import elsewhere
from vestnik import account_deletion as core
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Run, Worker
from vestnik.testing.factories import make_mailing


def believed_dead(worker_id):
    Worker.objects.filter(pk=worker_id).update(ended_at=timezone.now(), died=True)


def in_hand(run, number=1):
    """So many letters of the run, and the worker that has them."""
    holder = worker()
    letters = statements.claim(run.pk, holder, number, None)
    assert len(letters) == number
    return letters, holder


def settle_all(letters, holder, outcome):
    now = time.monotonic()
    statements.settle(
        [Settlement(it.delivery_id, it.claim, holder, outcome, 450, "", now, 0.1, 0.0) for it in letters], now
    )


def counted(run):
    return {name: count for name, count in runs.totals(run.pk).items() if count}


def recovered(run, holder):
    statements.rescue()


def set_aside_and_tried_again(run, holder):
    verbs.try_again(run, ["unknown"])


@pytest.mark.parametrize("meanwhile", [recovered, set_aside_and_tried_again])
def test_a_receipt_waits_for_whoever_queues_its_letter_again(alice, engine, provider, settings, meanwhile):
    run = launched(make_mailing(alice, 1))
    (letter,), holder = in_hand(run)
    believed_dead(holder)
    if meanwhile is set_aside_and_tried_again:
        settings.UNKNOWN_OUTCOMES = "hold"
        ticking.rescue()
        assert states(run) == ["unknown"]
    with transaction.atomic():
        meanwhile(run, holder)
        assert states(run) == ["queued"]
        writing = elsewhere(lambda: settle(letter, holder, Outcome.ACCEPTED))
        assert not writing.done()
    writing.result(30)
    slice_of(engine, alice)
    assert provider.letters == []
    assert states(run) == ["sent"]
    assert list(Attempt.objects.values_list("outcome", "charged")) == [("accepted", True)]
    assert counted(run) == {"total": 1, "sent": 1, "attempts": 1}


@contextmanager
def stopped_before_writing(letter):
    """Whoever writes an attempt of this letter waits there until the block ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END'"
        )
        cursor.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON mailings_attempt FOR EACH ROW"
            f" WHEN (NEW.delivery_id = {letter.delivery_id}) EXECUTE FUNCTION stop()"
        )
        cursor.execute("SELECT pg_advisory_lock(7)")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(7)")
            cursor.execute("DROP FUNCTION stop CASCADE")


def test_receipts_and_a_recovery_do_not_lock_each_other_out(alice, transactional_db):
    run = launched(make_mailing(alice, 2))
    letters, holder = in_hand(run, 2)
    believed_dead(holder)
    with stopped_before_writing(letters[1]):
        writing = elsewhere(lambda: settle_all(letters, holder, Outcome.ACCEPTED))
        assert not writing.done()
        recovering = elsewhere(statements.rescue)
    for other in (writing, recovering):
        other.result(30)
    assert states(run) == ["sent", "sent"]
    assert counted(run) == {"total": 2, "sent": 2, "attempts": 2}


def cancelled(run):
    verbs.cancel(run.mailing)


def expired(run):
    Run.objects.filter(pk=run.pk).update(window_end=timezone.now())


@pytest.mark.parametrize("ends", [cancelled, expired])
@pytest.mark.parametrize("first", ["recovered", "ended"])
def test_a_letter_that_was_given_up_and_then_accepted_is_sent(alice, transactional_db, valkey, ends, first):
    run = launched(make_mailing(alice, 2))
    (letter, refused), holder = in_hand(run, 2)
    believed_dead(holder)
    for step in (statements.rescue, lambda: ends(run))[:: 1 if first == "recovered" else -1]:
        step()
    ticking.rescue()
    ticking.close()
    assert states(run) == [ends.__name__] * 2
    settle(letter, holder, Outcome.ACCEPTED)
    settle(letter, holder, Outcome.ACCEPTED)
    settle(refused, holder, Outcome.PERMANENT)
    assert states(run) == [ends.__name__, "sent"]
    assert counted(run) == {"total": 2, "sent": 1, ends.__name__: 1, "attempts": 2}
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"accepted", "permanent"}


@pytest.mark.parametrize("ends", [cancelled, expired])
@pytest.mark.parametrize("answered", [True, False])
def test_who_may_have_a_letter_from_a_run_that_was_given_up_is_not_written_to_again(
    alice, engine, provider, ends, answered
):
    run = run_with_failures(alice, engine, provider)
    window_over(run)
    again = verbs.try_again(run)
    letters, holder = in_hand(again, 2)
    believed_dead(holder)
    ends(again)
    ticking.rescue()
    ticking.close()
    if answered:
        for letter in letters:
            settle(letter, holder, Outcome.ACCEPTED)
    with pytest.raises(ValidationError, match="no letters"):
        verbs.try_again(run)
    assert Run.objects.count() == 2


def test_who_was_certainly_not_written_to_by_a_run_that_was_given_up_is_tried_again(alice, engine, provider):
    run = run_with_failures(alice, engine, provider)
    window_over(run)
    again = verbs.try_again(run)
    letters, holder = in_hand(again, 2)
    believed_dead(holder)
    cancelled(again)
    ticking.rescue()
    ticking.close()
    for letter in letters:
        settle(letter, holder, Outcome.TEMPORARY)
    assert states(again) == ["cancelled", "cancelled"]
    assert verbs.try_again(run).total == 2


def test_a_receipt_that_comes_after_an_account_was_erased_tells_nothing_of_anybody(alice, transactional_db, valkey):
    run = launched(make_mailing(alice, 1))
    (letter,), holder = in_hand(run)
    believed_dead(holder)
    core.delete_account(alice)
    ticking.rescue()
    account_erasure.erase(alice.pk)
    settle(letter, holder, Outcome.PERMANENT)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.code, attempt.answer) == ("permanent", 250, "")
