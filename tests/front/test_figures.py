"""The home page's figures: right, hinted at by everything that changes them, counted by one and not too often."""

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connections
from django.utils import timezone

from dispatcher import account_erasure
from dispatcher.ledger import closing
from dispatcher.runs import launching, ticking
from tests.elsewhere import begin, elsewhere
from vestnik import account_deletion as accounts
from vestnik import client_deletion, homepage_hint, supervision
from vestnik.clients import import_jobs
from vestnik.clients import verbs as clients
from vestnik.clients.importing import import_clients
from vestnik.clients.models import Client
from vestnik.front import homepage_stats, invalidation
from vestnik.front.models import Figures, StalePage
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Delivery, Run
from vestnik.mailings.models import Mailing
from vestnik.settings import impatient
from vestnik.testing.factories import make_clients, make_import, make_mailing

NOWHERE = "unix:///nowhere/valkey.sock"


def waiting(settings):
    """The delays, in seconds, of the counts that were asked for and not begun."""
    broker = redis.Redis.from_url(settings.REDIS_URL)
    found = []
    for queue in ("control", "control.DQ"):
        jobs = [json.loads(body) for body in broker.hvals(f"vestnik:{queue}.msgs")]
        found += [
            round((job["options"].get("eta", job["message_timestamp"]) - job["message_timestamp"]) / 1000)
            for job in jobs
            if job["actor_name"] == "count_figures"
        ]
    return found


def told():
    now = homepage_stats.current()
    return now.mailings, now.active_mailings, now.clients


def long_ago():
    Figures.objects.update(counted_at=timezone.now() - timedelta(hours=1))


def count_again():
    long_ago()
    homepage_stats.count()
    return told()


def test_before_the_first_count_there_is_nothing(db):
    assert told() == (0, 0, 0)


def test_clients_of_several_owners_with_one_address_are_one(alice, bob, valkey):
    for owner in (alice, bob):
        clients.create_client(owner, "ann@example.org")
        clients.create_client(owner, f"friend-of-{owner.pk}@example.org")
    homepage_stats.count()
    assert told() == (0, 0, 3)


def test_a_mailing_is_active_from_its_first_run_until_its_last_is_over_unless_it_is_held(alice, valkey):
    once = make_mailing(alice, 1)
    daily = make_mailing(alice, 1, end=timezone.now() + timedelta(days=5), periodicity="daily")
    assert count_again() == (2, 0, 2)
    for mailing in (once, daily):
        launching.launch(mailing.pk)
    assert count_again() == (2, 2, 2)
    verbs.pause(once)
    assert count_again() == (2, 1, 2)
    verbs.resume(once)
    for run in Run.objects.all():
        Delivery.objects.filter(run=run).update(state="sent", due_at=None)
        assert closing.finish(run.pk)
    assert count_again() == (2, 1, 2)  # one more is to come
    verbs.switch_off(daily, alice, "Complaints")
    assert count_again() == (2, 0, 2)
    verbs.delete_mailing(once)
    assert count_again() == (1, 0, 2)


def test_pages_read_one_row(alice, valkey, django_assert_num_queries):
    make_clients(alice, 5)
    homepage_stats.count()
    with django_assert_num_queries(1):
        assert homepage_stats.current().clients == 5


def test_other_figures_make_the_home_pages_stale_and_the_same_do_not(alice, valkey, settings):
    settings.FRONT_URL = "http://front.test"
    make_clients(alice, 1)
    homepage_stats.count()
    assert sorted(StalePage.objects.values_list("path", flat=True)) == ["/en/", "/ru/"]
    StalePage.objects.all().delete()
    count_again()
    assert not StalePage.objects.exists()


# What is hinted at


def import_three(alice):
    work = make_import(alice, [b"email\na@example.org\nb@example.org\nc@example.org\n"], "clients.csv")
    import_jobs.run_import(work.pk)
    assert Client.objects.count() == 3


def import_by_command(alice, tmp_path):
    path = Path(tmp_path, "clients.csv")
    path.write_text("email\na@example.org\n")
    with path.open("rb") as file:
        import_clients(alice, file)


def open_run(alice):
    run = runs.open_run(mailing := make_mailing(alice, 1), mailing.end)
    Run.objects.filter(pk=run.pk).update(filled_at=timezone.now())
    return run


def finished(alice):
    mailing = make_mailing(alice, 1)
    (run,) = launching.launch(mailing.pk)
    Delivery.objects.filter(run=run).update(state="failed", due_at=None, settled_at=timezone.now())
    assert closing.finish(run.pk)
    return run


def held(mailing, **how):
    Mailing.objects.filter(pk=mailing.pk).update(**how)
    return mailing


def deleted(user):
    accounts.delete_account(user)
    return user


NOW = timezone.now()
# By name: what has to be there before, and what is done then.
ACTIONS = {
    "a client is made": (lambda alice: alice, lambda alice: clients.create_client(alice, "ann@example.org")),
    "a client gets another address": (lambda alice: make_clients(alice, 1)[0], clients.save_client),
    "clients are deleted": (
        lambda alice: make_clients(alice, 3),
        lambda made: client_deletion.delete_clients(made[0].owner, made),
    ),
    "clients are imported": (lambda alice: alice, import_three),
    "a mailing is made": (lambda alice: alice, make_mailing),
    "a mailing is saved": (make_mailing, verbs.save_mailing),
    "a mailing is deleted": (make_mailing, verbs.delete_mailing),
    "a mailing is paused": (make_mailing, verbs.pause),
    "a mailing is resumed": (lambda alice: held(make_mailing(alice), paused_at=NOW), verbs.resume),
    "a mailing is switched on": (lambda alice: held(make_mailing(alice), switched_off_at=NOW), verbs.switch_on),
    "a mailing is sent now": (
        lambda alice: make_mailing(alice, 1, start=NOW + timedelta(hours=1), end=NOW + timedelta(hours=2)),
        verbs.send_now,
    ),
    "a mailing is launched": (lambda alice: make_mailing(alice, 1), lambda mailing: launching.launch(mailing.pk)),
    "a run is over": (open_run, lambda run: closing.close(run.pk)),
    "failed letters are tried again": (finished, verbs.try_again),
    "an account is erased": (deleted, lambda user: account_erasure.erase(user.pk)),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_whatever_changes_them_hints_at_a_count(action, alice, valkey, settings, django_capture_on_commit_callbacks):
    prepare, do = ACTIONS[action]
    there = prepare(alice)
    with django_capture_on_commit_callbacks(execute=True):
        do(there)
    assert waiting(settings) == [0]


def test_a_manager_who_switches_a_mailing_off_hints_at_a_count(
    alice, maria, valkey, settings, django_capture_on_commit_callbacks
):
    mailing = make_mailing(alice)
    with django_capture_on_commit_callbacks(execute=True):
        supervision.switch_off(mailing, maria, "Complaints")
    assert waiting(settings) == [0]


def test_an_import_hints_once_and_only_if_it_brought_somebody(
    alice, valkey, settings, tmp_path, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks() as hints:
        import_by_command(alice, tmp_path)
    assert len(hints) == 1
    with django_capture_on_commit_callbacks() as hints:
        import_by_command(alice, tmp_path)
    assert hints == []


def test_what_is_refused_hints_at_nothing(alice, valkey, settings, django_capture_on_commit_callbacks):
    clients.create_client(alice, "ann@example.org")
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(ValidationError):
        clients.create_client(alice, "ann@example.org")
    assert waiting(settings) == []


# How often they are counted


def test_a_thousand_hints_are_one_job(transactional_db, valkey, settings):
    for _ in range(1000):
        homepage_hint.changed()
    assert waiting(settings) == [0]


def test_who_comes_too_soon_comes_again_in_time_and_once(transactional_db, valkey, settings):
    Figures.objects.create(counted_at=timezone.now(), seconds=0.5)
    for _ in range(5):
        homepage_stats.count()
        homepage_hint.changed()
    delays = waiting(settings)
    assert delays
    assert all(9 <= delay <= 10 for delay in delays)
    assert homepage_stats.current().seconds == 0.5


def test_a_hint_that_comes_while_it_is_counted_is_a_count_more(alice, transactional_db, valkey, settings, monkeypatch):
    mark = invalidation.mark

    def meanwhile(paths, room):
        elsewhere(lambda: clients.create_client(alice, "bea@example.org"))
        mark(paths, room)

    monkeypatch.setattr(invalidation, "mark", meanwhile)
    clients.create_client(alice, "ann@example.org")
    redis.Redis.from_url(settings.REDIS_URL).delete("vestnik:control.msgs")  # the job is at work
    homepage_stats.count()
    assert told() == (0, 0, 1)
    assert waiting(settings) == [0]
    monkeypatch.undo()
    assert count_again() == (0, 0, 2)


@pytest.mark.parametrize(("seconds", "pause"), [(0.001, 1), (3, 60), (3600, 600)])
def test_counting_takes_a_twentieth_of_the_time_at_most(seconds, pause, transactional_db, valkey, settings):
    Figures.objects.create(counted_at=timezone.now() - timedelta(seconds=pause - 0.5), seconds=seconds)
    homepage_stats.count()
    assert waiting(settings) == [0]  # half a second
    assert homepage_stats.current().seconds == seconds
    Figures.objects.update(counted_at=timezone.now() - timedelta(seconds=pause))
    homepage_stats.count()
    assert homepage_stats.current().seconds != seconds


def test_a_clock_that_was_set_back_does_not_put_counting_off(transactional_db, valkey, settings):
    Figures.objects.create(counted_at=timezone.now() + timedelta(days=1), seconds=7)
    homepage_stats.count()
    assert homepage_stats.current().seconds != 7


def test_never_are_two_counts_under_way(transactional_db, valkey, settings, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    active = Mailing.objects.active

    def slowly():
        begun.set()
        assert go_on.wait(10)
        return active()

    with monkeypatch.context() as patch:
        patch.setattr(Mailing.objects, "active", slowly, raising=False)
        other = begin(homepage_stats.count)
        assert begun.wait(10)
    try:
        homepage_stats.count()
        assert not Figures.objects.exists()
        assert waiting(settings) == [1]
    finally:
        go_on.set()
        other.result(30)
    assert Figures.objects.exists()


def test_without_redis_nobody_waits_and_the_tick_has_them_counted(
    alice, transactional_db, valkey, settings, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(homepage_hint, "impatient_redis", lambda: redis.Redis.from_url(impatient(NOWHERE)))
        clients.create_client(alice, "ann@example.org")
        assert waiting(settings) == []
    ticking.tick()
    assert waiting(settings) == [0]
    homepage_stats.count()
    assert told() == (0, 0, 1)


def test_a_cache_that_is_away_makes_no_flood_of_jobs(transactional_db, valkey, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": impatient(NOWHERE)}}
    Figures.objects.create(counted_at=timezone.now(), seconds=1)
    for _ in range(50):
        homepage_hint.changed()
    homepage_stats.count()
    for _ in range(50):
        homepage_hint.changed()
    assert len(waiting(settings)) == 2  # the first is the one at work
    cache.close()
    connections.close_all()
