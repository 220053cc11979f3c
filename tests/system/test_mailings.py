"""The whole way: a mailing is saved, real workers launch and send it, a real SMTP server receives it."""

import time
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from tests.timing import in_time, wait_until
from vestnik import jobs
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing, shift


def over(mailing, count=1):
    return lambda: mailing.runs.exclude(state=Run.State.OPEN).count() == count


def recipients(post):
    return sorted(letter.recipient for letter in post.letters)


def addresses(run):
    return sorted(run.deliveries.values_list("address", flat=True))


def test_a_mailing_whose_time_has_come_is_sent_at_once(alice, post, run_dispatcher):
    run_dispatcher()
    mailing = make_mailing(alice, 300)
    saved = time.monotonic()
    post.wait_for(300)
    in_time(post.letters[0].arrived - saved, 2)
    wait_until(over(mailing))
    run = mailing.runs.get()
    assert recipients(post) == addresses(run)
    assert run.state == "finished"
    assert runs.totals(run.pk)["sent"] == 300


def test_a_start_a_few_seconds_ahead_is_kept_to_the_second(alice, post, run_dispatcher):
    run_dispatcher()
    ahead = 3
    mailing = make_mailing(alice, 50, start=timezone.now() + timedelta(seconds=ahead))
    saved = time.monotonic()
    post.wait_for(50)
    late = post.letters[0].arrived - saved - ahead
    assert late > -0.1
    in_time(late, 1.5)
    wait_until(over(mailing))


def test_a_daily_mailing_runs_again_when_its_second_day_comes(alice, post, run_dispatcher):
    run_dispatcher()
    mailing = make_mailing(alice, 5, end=timezone.now() + timedelta(days=10), periodicity="daily")
    wait_until(over(mailing))
    day = timedelta(days=1)
    with transaction.atomic():  # the launch that the run's end hinted at sees both, or none
        shift(mailing, day)
        Run.objects.update(occurrence=timezone.now() - day - timedelta(seconds=5))
    jobs.tick()
    wait_until(over(mailing, 2))
    assert len(post.letters) == 10


def test_the_tick_finds_what_was_never_enqueued(alice, post, run_dispatcher, monkeypatch):
    monkeypatch.setattr(jobs.Job, "enqueue", lambda *args, **kwargs: False)
    mailing = make_mailing(alice, 5)
    monkeypatch.undo()
    run_dispatcher()
    jobs.tick()
    post.wait_for(5)
    wait_until(over(mailing))


def test_the_scheduler_ticks(alice, post, run_dispatcher, monkeypatch):
    """periodiq sends the jobs of the minute it starts in; the tick launches what nobody enqueued."""
    monkeypatch.setattr(jobs.Job, "enqueue", lambda *args, **kwargs: False)
    mailing = make_mailing(alice, 5)
    monkeypatch.undo()
    run_dispatcher("control", "bulk", "scheduler")
    wait_until(over(mailing), 75)
    assert len(post.letters) == 5


def test_a_flushed_valkey_loses_nothing(alice, post, run_dispatcher):
    post.letters_per_second = 400
    run_dispatcher()
    mailing = make_mailing(alice, 1000)
    post.wait_for(300)
    redis.Redis.from_url(settings.REDIS_URL).flushall()
    jobs.tick()
    wait_until(over(mailing), 30)
    assert recipients(post) == addresses(mailing.runs.get())


@pytest.mark.parametrize("paused", [False, True], ids=["under way", "paused"])
def test_a_run_is_closed_when_its_window_ends_and_not_by_the_next_tick(alice, post, run_dispatcher, paused):
    post.letters_per_second = 60
    run_dispatcher(TICK_CRON="0 0 1 1 *")
    end = timezone.now() + timedelta(seconds=6)
    mailing = make_mailing(alice, 1500, end=end)
    post.wait_for(5)
    if paused:
        verbs.pause(mailing)
    wait_until(over(mailing), 20)
    run = mailing.runs.get()
    assert (run.finished_at - end).total_seconds() < 1.5, "what is on its way takes a third of a second"
    assert runs.totals(run.pk)["expired"] > 400
    mailing.refresh_from_db()
    assert mailing.paused_at is None


def test_pause_keeps_the_letters_and_resume_sends_the_rest(alice, post, run_dispatcher):
    post.letters_per_second = 200
    run_dispatcher()
    mailing = make_mailing(alice, 600)
    post.wait_for(100)
    verbs.pause(mailing)
    paused = time.monotonic()
    time.sleep(2.5)
    halted = len(post.letters)
    assert halted < 600
    assert all(letter.arrived < paused + 2.1 for letter in post.letters)
    time.sleep(0.5)
    assert len(post.letters) == halted
    verbs.resume(mailing)
    wait_until(over(mailing))
    assert recipients(post) == addresses(mailing.runs.get())


def test_cancel_in_the_middle_ends_the_run(alice, post, run_dispatcher):
    post.letters_per_second = 200
    run_dispatcher()
    mailing = make_mailing(alice, 600)
    post.wait_for(100)
    verbs.cancel(mailing)
    wait_until(over(mailing))
    run = mailing.runs.get()
    totals = runs.totals(run.pk)
    assert run.state == "cancelled"
    assert totals["sent"] == len(post.letters)
    assert totals["sent"] + totals["cancelled"] == 600


def test_a_service_slower_than_any_lease_gets_no_letter_twice(alice, post, run_dispatcher):
    post.hold()
    run_dispatcher()
    mailing = make_mailing(alice, 60)
    post.wait_until(lambda: len(post.held) >= 20, 20)
    time.sleep(12)  # longer than a worker without heartbeat lives
    jobs.tick()
    time.sleep(1)
    assert not mailing.runs.get().deliveries.filter(recoveries__gt=0).exists()
    post.release()
    wait_until(over(mailing), 30)
    assert recipients(post) == addresses(mailing.runs.get())


def test_a_stopped_worker_gives_back_what_it_did_not_hand_over(alice, post, run_dispatcher):
    post.letters_per_second = 200
    dispatcher = run_dispatcher()
    mailing = make_mailing(alice, 400)
    post.wait_for(100)
    dispatcher.stop("bulk")
    run = mailing.runs.get()
    assert set(run.deliveries.values_list("state", flat=True)) <= {"queued", "sent"}
    assert run.deliveries.filter(state="sent").count() == len(post.letters)
    dispatcher.restart("bulk")
    jobs.tick()
    wait_until(over(mailing), 40)
    assert recipients(post) == addresses(run)
