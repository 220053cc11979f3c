import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from dispatcher.ledger import closing, statements
from dispatcher.runs import launching
from tests.timing import in_time
from vestnik.accounts.models import User
from vestnik.clients.models import Membership
from vestnik.mailings import verbs
from vestnik.mailings.ledger.models import Delivery, Run, Worker
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_clients, make_list, make_mailing, shift

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def daily(alice, number=2, days=10, **settings):
    return make_mailing(alice, number, end=timezone.now() + days * DAY, periodicity="daily", **settings)


def finish(run):
    Delivery.objects.filter(run=run).update(state="sent", due_at=None)
    assert closing.finish(run.pk)


def later(mailing, by):
    """As if that time had gone by for the mailing and its runs."""
    shift(mailing, by)
    for run in mailing.runs.all():
        run.occurrence = run.occurrence and run.occurrence - by
        run.window_end -= by
        run.save()
    return mailing


def test_a_launch_takes_each_client_of_the_audience_once(alice, bob):
    both = make_list(alice, 3)
    other = make_list(alice, 2)
    Membership.objects.create(client_list=other, client=both.clients.first())
    (single,) = make_clients(alice, 1)
    make_clients(bob, 5)
    mailing = make_mailing(alice, lists=[both, other], clients=[single, both.clients.last()])
    (run,) = launching.launch(mailing.pk)
    assert run.total == run.deliveries.count() == 6
    assert set(run.deliveries.values_list("client_id", flat=True)) == {
        *both.clients.values_list("pk", flat=True), *other.clients.values_list("pk", flat=True), single.pk,
    }  # fmt: skip


def test_a_launched_occurrence_is_not_launched_again(alice):
    mailing = daily(alice)
    (run,) = launching.launch(mailing.pk)
    assert launching.launch(mailing.pk) == []
    mailing.refresh_from_db()
    assert mailing.next_at == run.occurrence + DAY
    assert run.window_end == mailing.next_at
    assert Mailing.objects.with_status().get(pk=mailing.pk).status == "running"  # type: ignore[attr-defined]


def test_a_run_freezes_message_sender_and_reply_address(alice):
    mailing = make_mailing(alice, 1, sender_name="Archer & Co")
    (run,) = launching.launch(mailing.pk)
    mailing.message.subject = "Changed"
    verbs.save_message(mailing.message)
    run.refresh_from_db()
    assert (run.subject, run.sender, run.sender_name, run.reply_to) == (
        "News", "herald@vestnik.test", "Archer & Co", "alice@example.org",
    )  # fmt: skip
    assert len(run.key) == 16


def test_an_empty_audience_finishes_the_run_at_once_and_says_why(alice):
    mailing = make_mailing(alice, 0)
    (run,) = launching.launch(mailing.pk)
    run.refresh_from_db()
    assert (run.state, run.reason, run.total) == ("finished", "the audience is empty", 0)
    assert Mailing.objects.with_status().get(pk=mailing.pk).status == "completed"  # type: ignore[attr-defined]


def test_what_is_not_due_is_not_launched(alice):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    assert launching.launch(mailing.pk) == []
    assert Mailing.objects.with_status().get(pk=mailing.pk).status == "created"  # type: ignore[attr-defined]


def test_an_occurrence_inside_its_window_is_launched_late(alice):
    mailing = later(daily(alice), 5 * HOUR)
    (run,) = launching.launch(mailing.pk)
    assert run.occurrence == mailing.start


def test_occurrences_whose_window_closed_while_the_service_was_down_are_missed(alice):
    mailing = later(daily(alice, start=timezone.now() + timedelta(seconds=1)), 3 * DAY + HOUR)
    (run,) = launching.launch(mailing.pk)
    assert run.occurrence == mailing.start + 3 * DAY
    others = mailing.runs.exclude(pk=run.pk).order_by("occurrence")
    assert [(other.state, other.occurrence - mailing.start) for other in others] == [
        ("missed", n * DAY) for n in range(3)
    ]
    assert not Delivery.objects.exclude(run=run).exists()


def test_a_mailing_created_with_a_start_in_the_past_launches_the_open_occurrence_only(alice):
    mailing = daily(alice, start=timezone.now() - 3 * DAY - HOUR)
    (run,) = launching.launch(mailing.pk)
    assert run.occurrence == mailing.start + 3 * DAY
    assert mailing.runs.count() == 1


@pytest.mark.parametrize("hold", ["paused", "switched off", "owner blocked", "owner not confirmed"])
def test_a_held_occurrence_waits_and_is_launched_when_the_hold_ends_inside_its_window(alice, maria, hold):
    mailing = daily(alice)
    begin_hold(mailing, alice, maria, hold)
    assert launching.launch(mailing.pk) == []
    assert not mailing.runs.exists()
    end_hold(mailing, alice, hold)
    assert len(launching.launch(mailing.pk)) == 1


@pytest.mark.parametrize("hold", ["paused", "switched off", "owner blocked", "owner not confirmed"])
def test_a_held_occurrence_whose_window_closes_is_skipped_with_the_reason(alice, maria, hold):
    mailing = daily(alice)
    begin_hold(mailing, alice, maria, hold)
    later(mailing, DAY)
    assert launching.launch(mailing.pk) == []
    run = mailing.runs.get()
    assert (run.state, run.reason, run.total) == ("skipped", hold, 0)


def test_a_pause_that_ended_after_the_window_skips_and_does_not_miss(alice):
    mailing = daily(alice)
    verbs.pause(mailing)
    later(mailing, DAY)
    verbs.resume(mailing)
    (run,) = launching.launch(mailing.pk)
    assert [other.state for other in mailing.runs.exclude(pk=run.pk)] == ["skipped"]


def begin_hold(mailing, owner, manager, hold):
    if hold == "paused":
        verbs.pause(mailing)
    elif hold == "switched off":
        verbs.switch_off(mailing, manager, "spam")
    else:
        owner.is_active = hold != "owner blocked"
        owner.confirmed_at = None if hold == "owner not confirmed" else owner.confirmed_at
        owner.save()


def end_hold(mailing, owner, hold):
    if hold == "paused":
        verbs.resume(mailing)
    elif hold == "switched off":
        verbs.switch_on(mailing)
    else:
        owner.is_active, owner.confirmed_at = True, timezone.now()
        owner.save()


def test_the_next_occurrence_expires_what_is_left_of_the_one_before(alice):
    mailing = daily(alice)
    (first,) = launching.launch(mailing.pk)
    later(mailing, DAY)
    (second,) = launching.launch(mailing.pk)
    first.refresh_from_db()
    assert first.state == "finished"
    assert set(first.deliveries.values_list("state", flat=True)) == {"expired"}
    assert second.occurrence == first.occurrence + DAY


def test_the_next_occurrence_waits_for_the_letters_in_hand_of_the_one_before(
    alice, monkeypatch, django_capture_on_commit_callbacks
):
    hinted = []
    mailing = daily(alice)
    (first,) = launching.launch(mailing.pk)
    worker = Worker.objects.create(name="w", provider="memory", beat_at="2100-01-01T00:00Z").pk
    (letter,) = statements.claim(first.pk, worker, 1, None)
    later(mailing, DAY)
    assert launching.launch(mailing.pk) == []
    first.refresh_from_db()
    assert first.state == "open"
    monkeypatch.setattr("vestnik.jobs.Job.enqueue", lambda job, *args, **_: hinted.append((job.name, *args)))
    statements.give_back([letter.key])
    with django_capture_on_commit_callbacks(execute=True):
        assert closing.close(first.pk)
    assert ("launch", mailing.pk) in hinted
    assert len(launching.launch(mailing.pk)) == 1


def test_send_now_makes_one_run_of_one_request(alice):
    import uuid

    mailing = daily(alice, start=timezone.now() + HOUR)
    request = uuid.uuid4()
    first = verbs.send_now(mailing, request)
    assert verbs.send_now(mailing, request) == first
    (run,) = launching.launch(mailing.pk)
    assert run == first
    assert (run.occurrence, run.total, run.window_end) == (None, 2, mailing.next_at)
    assert launching.launch(mailing.pk) == []


def test_a_run_cancelled_before_its_letters_are_written_gets_none(alice):
    mailing = daily(alice, start=timezone.now() + HOUR)
    run = verbs.send_now(mailing)
    verbs.cancel(mailing)
    assert launching.launch(mailing.pk) == []
    assert closing.close(run.pk)
    run.refresh_from_db()
    assert (run.state, run.total) == ("cancelled", 0)


def test_the_31st_is_planned_in_the_mailings_own_zone(alice):
    from datetime import UTC, datetime

    mailing = make_mailing(
        alice, 1, start=datetime(2099, 1, 31, 6, tzinfo=UTC), end=datetime(2100, 1, 1, tzinfo=UTC),
        periodicity="monthly", time_zone="Europe/Berlin",
    )  # fmt: skip
    assert mailing.next_at == mailing.start


def test_a_million_would_be_written_by_one_statement(alice, django_assert_max_num_queries):
    mailing = make_mailing(alice, 500)
    with django_assert_max_num_queries(25):
        (run,) = launching.launch(mailing.pk)
    assert Run.objects.get(pk=run.pk).total == 500


def test_a_launch_is_quick_though_the_statistics_know_nothing_of_its_clients(alice, bob):
    """As after a large import: the planner expects a client or two, and would compare each with each."""
    for owner in (bob, *(User.objects.create_user(f"owner{number}@example.org") for number in range(20))):
        make_list(owner, 5)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE clients_client, clients_membership, clients_clientlist")
    everybody = make_list(alice, 20_000)
    mailing = make_mailing(alice, lists=[everybody])
    before = time.monotonic()
    (run,) = launching.launch(mailing.pk)
    assert run.total == 20_000
    in_time(time.monotonic() - before, 5)
