import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connections
from django.utils import timezone

from dispatcher.ledger import closing, due, statements
from dispatcher.providers import memory
from dispatcher.providers.errors import Unavailable
from dispatcher.runs import launching
from dispatcher.sending import slices
from tests.timing import wait_until
from vestnik import client_deletion
from vestnik.accounts.models import User
from vestnik.clients.models import Client
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Delivery, Run
from vestnik.testing.factories import make_mailing, make_message


def slice_of(engine, owner, seconds=10.0):
    return slices.send_slice(engine, owner.pk, time.monotonic() + seconds)


@contextmanager
def lane(engine, owner):
    """A lane in a thread of its own, for as long as it finds something to do."""

    def work():
        slice_of(engine, owner, 8)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def states(run):
    return sorted(run.deliveries.values_list("state", flat=True))


def launched(mailing) -> Run:
    (run,) = launching.launch(mailing.pk)
    return run


def test_every_client_gets_one_letter_and_the_run_is_over_at_once(alice, engine, provider):
    run = launched(make_mailing(alice, 200))
    assert slice_of(engine, alice) == slices.NOTHING_DUE
    assert sorted(letter.recipient for letter in provider.letters) == sorted(
        Client.objects.values_list("email", flat=True)
    )
    run.refresh_from_db()
    assert run.state == Run.State.FINISHED
    assert set(states(run)) == {"sent"}
    assert Attempt.objects.filter(outcome="accepted", code=250, charged=True).count() == 200
    assert runs.totals(run.pk) == {
        "total": 200, "sent": 200, "failed": 0, "expired": 0, "cancelled": 0, "unknown": 0, "attempts": 200, "left": 0,
    }  # fmt: skip


def test_a_letter_carries_the_senders_name_the_clients_name_and_a_stable_id(alice, engine, provider):
    run = launched(make_mailing(alice, 1, sender_name="Archer & Co"))
    slice_of(engine, alice)
    (letter,) = provider.letters
    (delivery,) = run.deliveries.all()
    assert letter.key == f"{delivery.pk}.{run.key}@vestnik.test"
    assert letter.sender == "herald@vestnik.test"
    for words in (b"Archer & Co", b"<herald@vestnik.test>", b"Reply-To: alice@example.org", b"Dear Client "):
        assert words in letter.content


def test_a_refused_letter_is_a_dead_letter_with_the_servers_words(alice, engine, provider):
    run = launched(make_mailing(alice, 2))
    first, _second = run.deliveries.order_by("pk")
    provider.answers(first.address, memory.PERMANENT)
    slice_of(engine, alice)
    first.refresh_from_db()
    assert first.state == "failed"
    assert first.due_at is None
    (attempt,) = first.tries.all()
    assert (attempt.outcome, attempt.code, attempt.answer) == ("permanent", 550, "5.1.1 no such user")
    run.refresh_from_db()
    assert run.state == "finished"


def test_a_temporary_failure_is_tried_again_later_with_the_same_id(alice, engine, provider, settings):
    settings.RETRY_BASE_SECONDS = 0.2
    run = launched(make_mailing(alice, 1))
    (delivery,) = run.deliveries.all()
    provider.answers(delivery.address, memory.TEMPORARY, memory.TEMPORARY)
    assert slice_of(engine, alice).something_is_due or due.next_due(alice.pk) is not None
    while (wait := due.next_due(alice.pk)) is not None:
        time.sleep(max(0.0, wait))
        slice_of(engine, alice)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("sent", 3)
    assert len({letter.key for letter in provider.letters}) == 1
    assert list(delivery.tries.order_by("claim").values_list("outcome", flat=True)) == [
        "temporary", "temporary", "accepted",
    ]  # fmt: skip


def test_attempts_are_limited(alice, engine, provider, settings):
    settings.MAX_ATTEMPTS = 2
    settings.RETRY_BASE_SECONDS = 0.01
    run = launched(make_mailing(alice, 1))
    (delivery,) = run.deliveries.all()
    provider.answers(delivery.address, *[memory.TEMPORARY] * 5)
    while (wait := due.next_due(alice.pk)) is not None:
        time.sleep(max(0.0, wait))
        slice_of(engine, alice)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", 2)


def test_a_retry_that_would_fall_due_after_the_window_is_expired_at_once(alice, engine, provider, settings):
    settings.RETRY_BASE_SECONDS = 3600
    run = launched(make_mailing(alice, 1, end=timezone.now() + timedelta(minutes=5)))
    (delivery,) = run.deliveries.all()
    provider.answers(delivery.address, memory.TEMPORARY)
    slice_of(engine, alice)
    run.refresh_from_db()
    assert states(run) == ["expired"]
    assert run.state == "finished"


@pytest.mark.parametrize(("policy", "state"), [("retry", "queued"), ("hold", "unknown")])
def test_an_unknown_outcome_follows_the_policy(alice, engine, provider, settings, policy, state):
    settings.UNKNOWN_OUTCOMES = policy
    run = launched(make_mailing(alice, 1))
    (delivery,) = run.deliveries.all()
    provider.answers(delivery.address, memory.UNKNOWN)
    slice_of(engine, alice)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (state, 1)


def test_an_unavailable_service_costs_no_attempt(alice, engine, provider):
    run = launched(make_mailing(alice, 3))
    provider.fail(Unavailable("the service is away"))
    with pytest.raises(Unavailable):
        slice_of(engine, alice)
    assert states(run) == ["queued"] * 3
    assert not Attempt.objects.exists()
    provider.recover()
    slice_of(engine, alice)
    assert states(run) == ["sent"] * 3


def test_letters_to_a_deleted_client_are_cancelled(alice, engine, provider):
    run = launched(make_mailing(alice, 3))
    gone, lost, _ = Client.objects.order_by("pk")
    client_deletion.delete_clients(alice, [gone])
    assert states(run) == ["cancelled", "queued", "queued"]
    Client.objects.filter(pk=lost.pk).delete()  # not by the verb: the claim sees to it
    slice_of(engine, alice)
    run.refresh_from_db()
    assert states(run) == ["cancelled", "cancelled", "sent"]
    assert run.state == "finished"
    assert runs.totals(run.pk)["cancelled"] == 2


def test_a_letter_that_cannot_be_written_fails_alone(alice, engine, provider):
    run = launched(make_mailing(alice, 3))
    first = run.deliveries.order_by("pk").first()
    Delivery.objects.filter(pk=first.pk).update(address="no address")
    slice_of(engine, alice)
    assert states(run) == ["failed", "sent", "sent"]


def test_claims_never_exceed_what_the_connections_take_twice(alice, engine, provider):
    run = launched(make_mailing(alice, 100))
    provider.hold()
    with lane(engine, alice), lane(engine, alice):
        provider.wait_for(10)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert run.deliveries.filter(state="sending").count() <= 20
        provider.release()
    assert states(run) == ["sent"] * 100


def test_a_paused_mailing_keeps_its_letters_and_resumes(alice, engine, provider):
    mailing = make_mailing(alice, 5)
    run = launched(mailing)
    verbs.pause(mailing)
    assert slice_of(engine, alice) == slices.NOTHING_DUE
    assert states(run) == ["queued"] * 5
    verbs.resume(mailing)
    slice_of(engine, alice)
    assert states(run) == ["sent"] * 5


def block(mailing):
    User.objects.filter(pk=mailing.owner_id).update(is_active=False)


@pytest.mark.parametrize("stop", [verbs.pause, lambda mailing: verbs.switch_off(mailing, mailing.owner, "why"), block])
def test_a_stop_in_the_middle_works_within_two_seconds(alice, engine, provider, stop):
    mailing = make_mailing(alice, 50)
    run = launched(mailing)
    provider.hold()
    with lane(engine, alice):
        provider.wait_for(10)
        stop(mailing)
        time.sleep(2)
        provider.release()
    assert len(provider.letters) == 10
    assert states(run) == ["queued"] * 40 + ["sent"] * 10


def test_no_hand_over_begins_after_the_window(alice, engine, provider):
    mailing = make_mailing(alice, 50, end=timezone.now() + timedelta(seconds=1.5))
    run = launched(mailing)
    provider.hold()
    with lane(engine, alice):
        provider.wait_for(10)
        time.sleep(1.6)
        provider.release()
    closing.close(run.pk)
    run.refresh_from_db()
    assert len(provider.letters) == 10
    assert states(run) == ["expired"] * 40 + ["sent"] * 10
    assert run.state == "finished"


def test_an_interrupted_engine_hands_nothing_over_and_gives_back_what_it_claimed(alice, engine, provider):
    run = launched(make_mailing(alice, 50))
    provider.hold()
    with lane(engine, alice):
        provider.wait_for(10)
        engine.halt()
        provider.release()
    assert len(provider.letters) == 10
    assert states(run) == ["queued"] * 40 + ["sent"] * 10


def test_cancel_ends_what_is_queued_and_the_run(alice, engine, provider):
    mailing = make_mailing(alice, 5)
    run = launched(mailing)
    verbs.cancel(mailing)
    slice_of(engine, alice)
    closing.close(run.pk)
    run.refresh_from_db()
    assert (run.state, states(run)) == ("cancelled", ["cancelled"] * 5)
    assert not provider.letters


def test_an_edited_message_counts_from_the_next_run(alice, engine, provider):
    message = make_message(alice, text="Before")
    launched(make_mailing(alice, 1, message=message))
    message.text = "After"
    verbs.save_message(message)
    slice_of(engine, alice)
    assert b"Before" in provider.letters[0].content


def test_letters_whose_claim_was_never_answered_are_given_back_and_sent(alice, engine, provider, monkeypatch):
    run = launched(make_mailing(alice, 30))
    claim = statements.claim

    def broken(*arguments):
        claim(*arguments)
        monkeypatch.setattr(statements, "claim", claim)
        raise OperationalError("the connection broke before the answer")

    monkeypatch.setattr(statements, "claim", broken)
    with pytest.raises(OperationalError):
        slice_of(engine, alice)
    assert "sending" in states(run)
    wait_until(lambda: states(run) == ["queued"] * 30)
    slice_of(engine, alice)
    assert states(run) == ["sent"] * 30
    assert len(provider.letters) == 30
