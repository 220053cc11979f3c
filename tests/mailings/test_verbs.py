from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from vestnik import access, client_deletion, jobs
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing, Message
from vestnik.testing.factories import make_clients, make_list, make_mailing, make_message

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def test_the_owner_is_granted_everything_on_what_they_make(alice, bob):
    mailing = make_mailing(alice, 1)
    for thing in (mailing, mailing.message, mailing.lists.get()):
        for action in access.ACTIONS:
            assert access.may(alice, action, thing)
            assert not access.may(bob, action, thing)
        assert list(type(thing).objects.visible_to(alice)) == [thing]
        assert not type(thing).objects.visible_to(bob).exists()


def test_the_unconfirmed_the_blocked_and_managers_change_nothing(alice, bob, maria):
    mailing = make_mailing(alice, 1)
    alice.confirmed_at = None
    assert access.may(alice, "view", mailing)
    assert not access.may(alice, "change", mailing)
    alice.confirmed_at, alice.is_active = timezone.now(), False
    assert not access.may(alice, "view", mailing)
    own = make_mailing(maria, 1)
    assert not access.may(maria, "change", own)


@pytest.mark.parametrize("end", [timedelta(0), -HOUR])
def test_an_end_that_is_not_after_the_start_is_refused_beside_its_field(alice, end):
    start = timezone.now() + DAY
    with pytest.raises(ValidationError) as refusal:
        make_mailing(alice, 1, start=start, end=start + end)
    assert "end" in refusal.value.message_dict
    assert not Mailing.objects.exists()


def test_an_end_in_the_past_is_refused(alice):
    with pytest.raises(ValidationError, match="past"):
        make_mailing(alice, 1, start=timezone.now() - 2 * DAY, end=timezone.now() - DAY)


@pytest.mark.parametrize(
    ("field", "value"),
    [("time_zone", "Mars/Olympus"), ("name", "Two\nlines"),
     ("sender_name", "Evil\r\nBcc: x@y.zz"), ("periodicity", "hourly")],
)  # fmt: skip
def test_bad_settings_are_refused_beside_their_field(alice, field, value):
    with pytest.raises(ValidationError) as refusal:
        make_mailing(alice, 1, **{field: value})
    assert field in refusal.value.message_dict


@pytest.mark.parametrize(
    ("subject", "text", "field"),
    [
        ("Hello\r\nBcc: everybody@example.org", "text", "subject"),
        ("Hello", "   ", "text"),
        ("Hello {{ password }}", "text", "subject"),
        ("Hello", "{{ attributes. }}", "text"),
        ("x" * 251, "text", "subject"),
        ("Hello", "null \x00 byte", "text"),
    ],
)
def test_a_bad_message_is_refused_beside_its_field(alice, subject, text, field):
    with pytest.raises(ValidationError) as refusal:
        verbs.create_message(alice, subject=subject, text=text)
    assert field in refusal.value.message_dict
    assert not Message.objects.exists()


def test_only_ones_own_clients_lists_and_messages_make_a_mailing(alice, bob):
    for settings in (
        {"lists": [make_list(bob, 1)]},
        {"clients": make_clients(bob, 1)},
        {"message": make_message(bob)},
    ):
        with pytest.raises(ValidationError):
            make_mailing(alice, 1, **settings)


def test_a_message_in_use_is_not_deleted(alice):
    mailing = make_mailing(alice, 1)
    with pytest.raises(ValidationError, match="uses this message"):
        verbs.delete_message(mailing.message)


def test_a_mailing_with_an_open_run_is_not_deleted_and_afterwards_leaves_its_runs(alice):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    run = verbs.send_now(mailing)
    with pytest.raises(ValidationError, match="cancel it first"):
        verbs.delete_mailing(mailing)
    Run.objects.update(state="finished", finished_at=timezone.now())
    verbs.delete_mailing(mailing)
    run.refresh_from_db()
    assert (run.mailing_id, run.owner_id) == (None, alice.pk)


def test_deleting_an_account_leaves_the_ledger(alice):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    verbs.send_now(mailing)
    alice.delete()
    assert not Mailing.objects.exists()
    assert Run.objects.get().mailing_id is None


@pytest.mark.parametrize("state", ["open run", "paused", "over"])
def test_send_now_is_refused_with_a_sentence(alice, state):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    if state == "open run":
        verbs.send_now(mailing)
    elif state == "paused":
        verbs.pause(mailing)
    else:
        Mailing.objects.update(start=timezone.now() - DAY, end=timezone.now() - HOUR)
    with pytest.raises(ValidationError):
        verbs.send_now(mailing)
    assert Run.objects.count() == (state == "open run")


def test_cancel_without_a_run_is_refused(alice):
    with pytest.raises(ValidationError):
        verbs.cancel(make_mailing(alice, 1))


def test_a_new_end_moves_the_window_of_the_open_run(alice):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    run = verbs.send_now(mailing)
    assert run.window_end == mailing.start
    mailing.start, mailing.end = mailing.start + HOUR, mailing.end + 2 * HOUR
    verbs.save_mailing(mailing)
    run.refresh_from_db()
    assert run.window_end == mailing.start


def test_an_edit_of_the_schedule_plans_after_the_last_occurrence(alice):
    now = timezone.now()
    mailing = make_mailing(alice, 1, start=now - timedelta(seconds=1), end=now + 30 * DAY, periodicity="daily")
    runs.open_run(mailing, now + DAY, occurrence=mailing.start)
    Mailing.objects.update(next_at=mailing.start + DAY)
    mailing.periodicity = "weekly"
    verbs.save_mailing(mailing)
    mailing.refresh_from_db()
    assert mailing.next_at == mailing.start + 7 * DAY


def test_an_edit_of_the_name_keeps_what_is_planned_and_held(alice):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    stale = Mailing.objects.get()
    verbs.pause(mailing)
    planned = stale.next_at
    stale.name = "Renamed"
    verbs.save_mailing(stale)
    mailing.refresh_from_db()
    assert (mailing.name, mailing.next_at, mailing.hold) == ("Renamed", planned, "paused")


def test_pause_is_idempotent_and_a_managers_stop_is_not_the_owners_to_end(alice, maria):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    verbs.pause(mailing)
    mailing.refresh_from_db()
    first = mailing.paused_at
    verbs.pause(mailing)
    verbs.switch_off(mailing, maria, "complaints")
    verbs.resume(mailing)
    mailing.refresh_from_db()
    assert first is not None
    assert mailing.paused_at is None
    assert (mailing.hold, mailing.switched_off_reason) == ("switched off", "complaints")


def test_a_deleted_client_is_no_longer_in_the_audience(alice):
    from vestnik.mailings import audience

    mailing = make_mailing(alice, 2)
    client_deletion.delete_clients(alice, mailing.lists.get().clients.all()[:1])
    assert audience.of(mailing).count() == 1


@pytest.mark.parametrize(
    ("starts_in", "told"),
    [(-timedelta(minutes=1), [None]), (timedelta(seconds=20), [timedelta(seconds=20)]), (HOUR, [])],
    ids=["due", "soon", "later"],
)
def test_the_dispatcher_is_told_of_what_is_due_or_soon_will_be_and_when(
    alice, monkeypatch, django_capture_on_commit_callbacks, starts_in, told
):
    hints = []

    def note(job, *args, delay=None):
        if job is jobs.LAUNCH:
            hints.append((*args, delay))

    monkeypatch.setattr(jobs.Job, "enqueue", note)
    with django_capture_on_commit_callbacks(execute=True):
        mailing = make_mailing(alice, 1, start=timezone.now() + starts_in)
    assert [pk for pk, _delay in hints] == [mailing.pk] * len(told)
    for (_pk, delay), wanted in zip(hints, told, strict=True):
        assert (delay is None) == (wanted is None)
        assert wanted is None or timedelta(0) <= wanted - delay < timedelta(seconds=10)
