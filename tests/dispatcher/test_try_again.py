"""“Try the failed again”: inside the window, after it, beside everything else."""

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from dispatcher.ledger import closing, statements
from dispatcher.providers import memory
from dispatcher.providers.base import Outcome
from dispatcher.runs import launching, ticking
from tests.dispatcher.test_ledger import settle
from tests.dispatcher.test_sending import lane, launched, slice_of, states
from tests.elsewhere import begin, elsewhere
from tests.quarters import quarter
from tests.timing import wait_until
from vestnik import client_deletion
from vestnik.accounts.models import User
from vestnik.clients import verbs as clients
from vestnik.clients.models import Client
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run, Tally, Worker
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_mailing

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def failed(alice, engine, provider):
    """A finished run of four letters, two of which were refused."""
    return run_with_failures(alice, engine, provider)


def run_with_failures(owner, engine, provider, **settings):
    run = launched(make_mailing(owner, 4, **settings))
    for delivery in run.deliveries.order_by("pk")[:2]:
        provider.answers(delivery.address, memory.PERMANENT)
    slice_of(engine, owner)
    run.refresh_from_db()
    assert (run.state, states(run)) == ("finished", ["failed", "failed", "sent", "sent"])
    return run


def window_over(run):
    """As if the run's window had closed, an hour before the mailing's end."""
    Run.objects.filter(pk=run.pk).update(window_end=timezone.now() - timedelta(seconds=1))
    run.refresh_from_db()


def test_inside_the_window_the_failed_are_queued_again_with_fresh_attempts_and_the_run_is_open(
    failed, alice, engine, provider
):
    again = verbs.try_again(failed)
    assert (again.pk, again.state, again.finished_at) == (failed.pk, "open", None)
    assert states(failed) == ["queued", "queued", "sent", "sent"]
    for delivery in failed.deliveries.filter(state="queued"):
        assert (delivery.attempts, delivery.recoveries, delivery.settled_at) == (0, 0, None)
    assert {name: count for name, count in runs.totals(failed.pk).items() if count} == {
        "total": 4, "sent": 2, "attempts": 4, "left": 2,
    }  # fmt: skip
    slice_of(engine, alice)
    failed.refresh_from_db()
    assert (failed.state, states(failed)) == ("finished", ["sent"] * 4)
    assert {name: count for name, count in runs.totals(failed.pk).items() if count} == {
        "total": 4, "sent": 4, "attempts": 6,
    }  # fmt: skip
    assert len(provider.letters) == 6


def test_a_letter_tried_again_is_counted_out_in_the_quarter_it_failed_in(failed):
    yesterday = timezone.now() - DAY
    failed.deliveries.filter(state="failed").update(settled_at=yesterday)
    Tally.objects.update(hour=quarter(yesterday))
    verbs.try_again(failed)
    assert sum(Tally.objects.values_list("failed", flat=True)) == 0
    assert not Tally.objects.exclude(hour=quarter(yesterday)).exists()


def test_only_the_chosen_letters_are_tried_again(failed):
    chosen = failed.deliveries.filter(state="failed").first()
    sent = failed.deliveries.filter(state="sent").first()
    verbs.try_again(failed, delivery_ids=[chosen.pk, sent.pk])
    assert states(failed) == ["failed", "queued", "sent", "sent"]
    chosen.refresh_from_db()
    assert chosen.state == "queued"


def test_what_was_set_aside_is_tried_again_only_if_that_was_asked_for(alice, engine, provider, settings):
    settings.UNKNOWN_OUTCOMES = "hold"
    run = launched(make_mailing(alice, 1))
    provider.answers(run.deliveries.get().address, memory.UNKNOWN)
    slice_of(engine, alice)
    assert states(run) == ["unknown"]
    with pytest.raises(ValidationError, match="no letters"):
        verbs.try_again(run)
    run.refresh_from_db()
    assert run.state == "finished"
    verbs.try_again(run, ["unknown"])
    slice_of(engine, alice)
    assert (states(run), runs.totals(run.pk)["unknown"], runs.totals(run.pk)["sent"]) == (["sent"], 0, 1)


def test_in_an_open_run_the_failed_join_what_is_queued(alice, engine, provider):
    run = launched(make_mailing(alice, 3))
    delivery = run.deliveries.order_by("pk").first()
    provider.answers(delivery.address, memory.PERMANENT)
    provider.hold()
    with lane(engine, alice):
        provider.wait_for(3)
        provider.release(1)
        wait_until(lambda: "failed" in states(run))
        verbs.try_again(run)
        provider.release()
    slice_of(engine, alice)
    run.refresh_from_db()
    assert (run.state, states(run)) == ("finished", ["sent"] * 3)


def test_after_the_window_a_new_run_is_made_of_just_those_clients(failed, alice, engine, provider):
    window_over(failed)
    mailing = failed.mailing
    mailing.message.text = "Once more, {{ full_name }}"
    verbs.save_message(mailing.message)
    again = verbs.try_again(failed)
    assert again.pk != failed.pk
    assert (again.state, again.total, again.again_of_id, again.text) == (
        "open", 2, failed.pk, "Once more, {{ full_name }}\n\n-- \nAlice Archer\nUnsubscribe: {{ unsubscribe_url }}\n",
    )  # fmt: skip
    assert again.window_end == mailing.end
    assert again.filled_at is not None
    assert launching.launch(mailing.pk) == []
    slice_of(engine, alice)
    again.refresh_from_db()
    assert (again.state, states(again), states(failed)) == (
        "finished", ["sent", "sent"], ["failed", "failed", "sent", "sent"],
    )  # fmt: skip
    assert set(again.deliveries.values_list("client_id", flat=True)) == set(
        failed.deliveries.filter(state="failed").values_list("client_id", flat=True)
    )


def test_nobody_whom_a_later_try_has_written_to_is_written_to_once_more(failed, alice, engine, provider):
    window_over(failed)
    again = verbs.try_again(failed)
    refused = again.deliveries.order_by("pk").first()
    provider.answers(refused.address, memory.PERMANENT)
    slice_of(engine, alice)
    assert states(again) == ["failed", "sent"]
    window_over(again)
    third = verbs.try_again(failed)
    assert [delivery.client_id for delivery in third.deliveries.all()] == [refused.client_id]
    slice_of(engine, alice)
    for run in (failed, again):
        with pytest.raises(ValidationError, match="no letters"):
            verbs.try_again(run)
    assert mailing_runs(failed) == 3


def mailing_runs(run):
    return Run.objects.filter(mailing=run.mailing_id).count()


def test_after_the_end_of_the_mailing_it_is_refused(failed):
    window_over(failed)
    Mailing.objects.update(start=timezone.now() - DAY, end=timezone.now() - HOUR)
    with pytest.raises(ValidationError, match="move its end first"):
        verbs.try_again(failed)


def test_an_end_that_was_moved_forward_is_the_end_of_the_window_too(failed):
    mailing = failed.mailing
    mailing.end = timezone.now() + timedelta(minutes=5)
    verbs.save_mailing(mailing)
    assert verbs.try_again(failed).window_end == mailing.end


def deleted(mailing):
    verbs.delete_mailing(mailing)


def owner_blocked(mailing):
    User.objects.filter(pk=mailing.owner_id).update(is_active=False)


def switched_off(mailing):
    verbs.switch_off(mailing, mailing.owner, "complaints")


def another_run(mailing):
    verbs.send_now(mailing)


@pytest.mark.parametrize("after", [False, True], ids=["inside the window", "after it"])
@pytest.mark.parametrize("obstacle", [deleted, owner_blocked, switched_off, verbs.pause, another_run])
def test_it_is_refused_like_send_now(failed, obstacle, after):
    if after:
        window_over(failed)
    obstacle(failed.mailing)
    with pytest.raises(ValidationError):
        verbs.try_again(failed)
    assert states(failed) == ["failed", "failed", "sent", "sent"]
    failed.refresh_from_db()
    assert failed.state == "finished"


def test_a_cancelled_run_is_not_tried_again(alice, engine, provider):
    run = launched(make_mailing(alice, 2))
    provider.answers(run.deliveries.order_by("pk").first().address, memory.PERMANENT)
    claimed = statements.claim(run.pk, engine.lease.worker_id, 1, None)
    verbs.cancel(run.mailing)
    with pytest.raises(ValidationError, match="cancelled"):
        verbs.try_again(run)
    statements.give_back([letter.key for letter in claimed])
    closing.close(run.pk)
    with pytest.raises(ValidationError, match="cancelled"):
        verbs.try_again(run)
    assert states(run) == ["cancelled", "cancelled"]


@pytest.mark.parametrize("wrong", [["sent"], ["failed", "expired"], ["cancelled"]])
def test_other_states_are_refused(failed, wrong):
    with pytest.raises(ValidationError, match="Only failed and unknown"):
        verbs.try_again(failed, wrong)


@pytest.mark.parametrize("after", [False, True], ids=["inside the window", "after it"])
def test_letters_to_deleted_clients_stay_failed(failed, alice, after):
    if after:
        window_over(failed)
    gone, still_there = failed.deliveries.filter(state="failed").order_by("pk")
    client_deletion.delete_clients(alice, [Client.objects.get(pk=gone.client_id)])
    again = verbs.try_again(failed)
    gone.refresh_from_db()
    assert gone.state == "failed"
    assert list(again.deliveries.filter(state="queued").values_list("client_id", flat=True)) == [still_there.client_id]
    client_deletion.delete_clients(alice, [Client.objects.get(pk=still_there.client_id)])
    closing.close(again.pk)
    with pytest.raises(ValidationError, match="no letters"):
        verbs.try_again(failed)
    assert mailing_runs(failed) == 1 + after


@pytest.mark.parametrize("after", [False, True], ids=["inside the window", "after it"])
def test_a_double_click_does_it_once(failed, alice, engine, provider, after):
    if after:
        window_over(failed)
    for delivery in failed.deliveries.filter(state="failed"):
        provider.answers(delivery.address, memory.PERMANENT)
    click = uuid.uuid4()
    first = verbs.try_again(failed, request_id=click)
    slice_of(engine, alice)
    assert runs.totals(first.pk)["failed"] == 2
    second = verbs.try_again(failed, request_id=click)
    assert (second.pk, second.state, mailing_runs(failed)) == (first.pk, "finished", 1 + after)
    assert runs.totals(first.pk)["failed"] == 2


def test_two_clicks_at_once_make_one_run(failed):
    window_over(failed)
    click = uuid.uuid4()
    clicks = [begin(lambda: verbs.try_again(failed, request_id=click).pk) for _ in range(4)]
    assert len({other.result(30) for other in clicks}) == 1
    assert mailing_runs(failed) == 2


@pytest.fixture
def nearly_over(alice, engine):
    """An open run whose only letter was refused; nobody has looked since whether it is over."""
    run = launched(make_mailing(alice, 1))
    (letter,) = statements.claim(run.pk, engine.lease.worker_id, 1, None)
    settle(letter, engine.lease.worker_id, Outcome.PERMANENT)
    return run


def test_a_run_is_not_finished_over_letters_that_are_being_tried_again(nearly_over):
    with transaction.atomic():
        verbs.try_again(nearly_over)
        finishing = elsewhere(lambda: closing.finish(nearly_over.pk))
        assert not finishing.done()
    finishing.result(30)
    nearly_over.refresh_from_db()
    assert (nearly_over.state, states(nearly_over)) == ("open", ["queued"])


def test_a_run_that_is_being_finished_is_open_again(nearly_over):
    with transaction.atomic():
        assert closing.finish(nearly_over.pk)
        trying = elsewhere(lambda: verbs.try_again(nearly_over))
        assert not trying.done()
    trying.result(30)
    nearly_over.refresh_from_db()
    assert (nearly_over.state, states(nearly_over)) == ("open", ["queued"])


def test_a_receipt_that_is_being_written_decides(alice, engine, settings):
    settings.UNKNOWN_OUTCOMES = "hold"
    run = launched(make_mailing(alice, 1))
    (letter,) = statements.claim(run.pk, engine.lease.worker_id, 1, None)
    Worker.objects.update(ended_at=timezone.now(), died=True)
    statements.rescue()
    refused = []

    def try_it():
        with pytest.raises(ValidationError, match="no letters"):
            verbs.try_again(run, ["unknown"])
        refused.append(True)

    with transaction.atomic():
        settle(letter, engine.lease.worker_id, Outcome.ACCEPTED)
        elsewhere(try_it)
        assert refused
    assert (states(run), runs.totals(run.pk)["sent"]) == (["sent"], 1)


def test_a_late_receipt_settles_a_letter_that_is_queued_again(alice, engine, provider, settings):
    settings.UNKNOWN_OUTCOMES = "hold"
    run = launched(make_mailing(alice, 1))
    provider.hold()
    with lane(engine, alice):
        provider.wait_for(1)
        Worker.objects.update(ended_at=timezone.now(), died=True)
        ticking.rescue()
        assert states(run) == ["unknown"]
        verbs.try_again(run, ["unknown"])
        assert states(run) == ["queued"]
        provider.release()
    delivery = run.deliveries.get()
    assert (delivery.state, list(delivery.tries.values_list("outcome", flat=True))) == ("sent", ["accepted"])
    assert (runs.totals(run.pk)["sent"], runs.totals(run.pk)["unknown"]) == (1, 0)
    assert len(provider.letters) == 1


def test_a_launch_beside_it_makes_no_second_open_run(alice, engine, provider):
    """The occurrence that falls due while failed letters are tried again waits for them."""
    run = run_with_failures(alice, engine, provider, end=timezone.now() + 3 * DAY, periodicity="daily")
    verbs.try_again(run)
    past = timezone.now() - DAY
    Mailing.objects.update(start=past, next_at=past + DAY)
    assert launching.launch(run.mailing_id) == []
    assert mailing_runs(run) == 1
    slice_of(engine, alice)
    run.refresh_from_db()
    assert run.state == "finished"
    assert len(launching.launch(run.mailing_id)) == 1


def test_a_first_letter_that_was_accepted_after_all_is_not_tried_again_from_a_later_run(
    alice, engine, provider, settings
):
    settings.UNKNOWN_OUTCOMES = "hold"
    run = launched(make_mailing(alice, 1))
    provider.hold()
    with lane(engine, alice):
        provider.wait_for(1)
        Worker.objects.update(ended_at=timezone.now(), died=True)
        ticking.rescue()
        window_over(run)
        again = verbs.try_again(run, ["unknown"])
        again.deliveries.update(state="failed", due_at=None, settled_at=timezone.now())
        closing.close(again.pk)
        window_over(again)
        provider.release()
    assert (states(run), states(again)) == (["sent"], ["failed"])
    with pytest.raises(ValidationError, match="no letters"):
        verbs.try_again(again)


def test_what_an_earlier_run_may_have_written_was_known_and_does_not_keep_a_later_one_from_trying(
    alice, engine, provider, settings
):
    settings.UNKNOWN_OUTCOMES = "hold"
    run = launched(make_mailing(alice, 1))
    address = run.deliveries.get().address
    provider.answers(address, memory.UNKNOWN)
    slice_of(engine, alice)
    window_over(run)
    again = verbs.try_again(run, ["unknown"])
    provider.answers(address, memory.PERMANENT)
    slice_of(engine, alice)
    assert (states(run), states(again)) == (["unknown"], ["failed"])
    assert verbs.try_again(again).pk == again.pk


@pytest.mark.parametrize("ask", [verbs.try_again, lambda run: verbs.send_now(run.mailing)], ids=["again", "now"])
@pytest.mark.parametrize("after", [False, True], ids=["inside the window", "after it"])
def test_an_occurrence_that_is_due_goes_first(alice, engine, provider, ask, after):
    run = run_with_failures(alice, engine, provider, end=timezone.now() + 3 * DAY, periodicity="daily")
    if after:
        window_over(run)
    past = timezone.now() - DAY
    Mailing.objects.update(start=past, next_at=past + DAY)
    with pytest.raises(ValidationError, match="just about to start"):
        ask(run)
    (occurrence,) = launching.launch(run.mailing_id)
    slice_of(engine, alice)
    assert states(occurrence) == ["sent"] * 4
    ask(run)


def test_requests_that_come_again_in_any_order_do_their_work_once(failed, alice, engine, provider):
    first, second = uuid.uuid4(), uuid.uuid4()
    for click in (first, second):
        for delivery in failed.deliveries.filter(state="failed"):
            provider.answers(delivery.address, memory.PERMANENT)
        verbs.try_again(failed, request_id=click)
        slice_of(engine, alice)
    assert verbs.try_again(failed, request_id=first).pk == failed.pk
    assert states(failed) == ["failed", "failed", "sent", "sent"]


def test_a_request_that_was_refused_can_be_made_again(failed):
    click = uuid.uuid4()
    verbs.pause(failed.mailing)
    with pytest.raises(ValidationError):
        verbs.try_again(failed, request_id=click)
    verbs.resume(failed.mailing)
    verbs.try_again(failed, request_id=click)
    assert states(failed) == ["queued", "queued", "sent", "sent"]


@pytest.mark.parametrize("after", [False, True], ids=["inside the window", "after it"])
def test_letters_go_to_the_addresses_their_clients_have_by_now(failed, alice, engine, provider, after):
    if after:
        window_over(failed)
    client = Client.objects.get(pk=failed.deliveries.filter(state="failed").first().client_id)
    client.email = "mended@example.org"
    clients.save_client(client)
    again = verbs.try_again(failed)
    slice_of(engine, alice)
    assert "mended@example.org" in [letter.recipient for letter in provider.letters]
    assert again.deliveries.get(client_id=client.pk).address == "mended@example.org"
