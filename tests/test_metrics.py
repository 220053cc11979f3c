"""What Prometheus is told of the installation: figures that are right, cheap, and never an error."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from dispatcher.health import HeartbeatMiddleware
from dispatcher.pace import breaker
from tests.dead_jobs import dead_job
from tests.redis_in_trouble import memory_full, read_only
from tests.timing import wait_until
from tests.web.ledger import make_run
from vestnik import __version__, clock, heartbeats, jobs
from vestnik.mailings.ledger.models import Delivery, Worker
from vestnik.mailings.models import Mailing
from vestnik.mailings.outages import OutageReason
from vestnik.metrics.collector import InstallationCollector, Ledger, _ask_ledger

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


END_OTHER_SESSIONS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def figures() -> Iterator[InstallationCollector]:
    figures = InstallationCollector()
    yield figures
    figures.close()


def told(figures: InstallationCollector) -> dict[str, Any]:
    """The samples by name; with a label, by its value."""
    found: dict[str, Any] = {}
    for family in figures.collect():
        assert family.type == "gauge"
        for sample in family.samples:
            if sample.labels:
                (label,) = sample.labels.values()
                found.setdefault(sample.name, {})[label] = sample.value
            else:
                found[sample.name] = sample.value
    return {name.removeprefix("vestnik_"): value for name, value in found.items()}


def message(queue: str, age: float) -> "dramatiq.Message[Any]":
    """A job that was first enqueued so many seconds ago."""
    at = int((time.time() - age) * 1000)
    return dramatiq.Message(queue, "close", args=(1,), kwargs={}, options={}, message_timestamp=at)


def broker() -> redis.Redis:
    return redis.Redis.from_url(django_settings.REDIS_URL)


def test_an_installation_where_nothing_happened_has_zeros_and_no_tick(figures):
    queues = {"control": 0, "bulk": 0}
    assert told(figures) == {
        "info": {__version__: 1},
        "up": {"database": 1, "queue": 1, "cache": 1},
        "breaker_open": {"unavailable": 0, "misconfigured": 0, "refused": 0, "throttled": 0},
        "letters": {"sent": 0, "failed": 0, "expired": 0, "cancelled": 0, "unknown": 0},
        "letters_left": 0,
        "oldest_due_letter_seconds": 0,
        "workers": 0,
        "workers_died": 0,
        "queue_jobs": queues,
        "queue_age_seconds": queues,
        "dead_jobs": queues,
        "processes": queues,
    }


@pytest.mark.parametrize("trouble", [memory_full, read_only])
def test_a_redis_that_answers_and_takes_nothing_is_not_up_and_its_jobs_are_told(trouble, figures):
    jobs.TICK.enqueue()
    with trouble():
        found = told(figures)
        assert found["up"] == {"database": 1, "queue": 0, "cache": 0}
        assert "queue_jobs" in found
    assert told(figures)["up"] == {"database": 1, "queue": 1, "cache": 1}


def test_letters_are_told_by_what_became_of_them_and_how_many_are_left(alice, figures):
    make_run(alice, name="Over", sent=3, failed=1, expired=2)
    make_run(alice, name="Under way", sent=1, queued=4)

    assert told(figures)["letters"] == {"sent": 4, "failed": 1, "expired": 2, "cancelled": 0, "unknown": 0}
    assert told(figures)["letters_left"] == 4


def test_the_letter_that_waits_longest_is_told_unless_it_may_not_go(alice, figures):
    run = make_run(alice, name="Under way", queued=2)
    now = clock.now()
    first, second = run.deliveries.order_by("pk")
    Delivery.objects.filter(pk=first.pk).update(due_at=now + timedelta(hours=1))
    Delivery.objects.filter(pk=second.pk).update(due_at=now - timedelta(seconds=100))
    assert told(figures)["oldest_due_letter_seconds"] == pytest.approx(100, abs=20)

    Mailing.objects.update(paused_at=now)
    assert told(figures)["oldest_due_letter_seconds"] == 0
    Mailing.objects.update(paused_at=None)
    Delivery.objects.filter(pk=second.pk).update(due_at=now + timedelta(hours=1))
    assert told(figures)["oldest_due_letter_seconds"] == 0


def test_workers_that_died_are_told(figures):
    Worker.objects.create(name="one")
    Worker.objects.create(name="two", ended_at=clock.now(), died=True)
    Worker.objects.create(name="three", ended_at=clock.now())

    assert (told(figures)["workers"], told(figures)["workers_died"]) == (1, 1)


def test_a_queue_is_as_old_as_the_job_that_waits_longest(figures):
    dead_job()
    jobs.CLOSE.enqueue(1)
    jobs.CLOSE.enqueue(2)
    dramatiq.get_broker().enqueue(message("bulk", age=90))
    dramatiq.get_broker().enqueue(message("bulk", age=0))

    found = told(figures)
    assert found["queue_jobs"] == {"control": 2, "bulk": 2}
    assert found["queue_age_seconds"]["bulk"] == pytest.approx(90, abs=10)
    assert found["queue_age_seconds"]["control"] < 10
    assert sum(found["dead_jobs"].values()) == 1


def test_a_wanted_delay_is_no_waiting(figures):
    delayed = message("control", age=3600)
    HeartbeatMiddleware("control").before_enqueue(dramatiq.get_broker(), delayed, None)  # as its delay is over
    dramatiq.get_broker().enqueue(delayed)

    assert told(figures)["queue_age_seconds"]["control"] < 10


def test_processes_are_counted_by_their_fresh_heartbeats(figures):
    now = clock.now().timestamp() * 1000
    names = [heartbeats.new_name(part, pid) for part, pid in (("bulk", 1), ("bulk", 2), ("control", 3))]
    broker().zadd(heartbeats.KEY, {names[0]: now, names[1]: now - 16_000, names[2]: now, "enqueues-only": now})

    assert told(figures)["processes"] == {"control": 1, "bulk": 1}


def test_the_last_tick_and_the_breaker_are_told(figures):
    cache.set("vestnik:tick", 1_000_000_000.5, None)
    held = breaker.Breaker("a service")
    held._fail(OutageReason.MISCONFIGURED, "535 no", 99)

    found = told(figures)
    assert found["tick_timestamp_seconds"] == 1_000_000_000.5
    assert found["breaker_open"] == {"unavailable": 0, "misconfigured": 1, "refused": 0, "throttled": 0}


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("database", {"letters", "letters_left", "oldest_due_letter_seconds", "workers", "workers_died"}),
        ("queue", {"queue_jobs", "queue_age_seconds", "dead_jobs", "processes", "breaker_open"}),
        ("cache", {"tick_timestamp_seconds"}),
    ],
)
def test_what_does_not_answer_is_left_out_and_the_rest_is_told(part, missing, settings, monkeypatch, figures):
    urls = settings.REDIS_URL, settings.CACHE_URL
    cache.set("vestnik:tick", 1.0, None)
    everything = told(figures).keys()
    if part == "database":
        with connection.cursor() as cursor:
            cursor.execute(END_OTHER_SESSIONS)
        monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    else:
        setattr(settings, {"queue": "REDIS_URL", "cache": "CACHE_URL"}[part], "redis://127.0.0.1:9/0")

    found = told(figures)
    assert everything - found.keys() == missing
    assert found["up"] == {"database": 1, "queue": 1, "cache": 1} | {part: 0}

    monkeypatch.undo()
    settings.REDIS_URL, settings.CACHE_URL = urls
    assert told(figures).keys() == everything


def test_totals_that_take_long_are_asked_for_seldom(alice, figures, monkeypatch):
    make_run(alice, name="Over", sent=3)
    assert told(figures)["letters"]["sent"] == 3
    make_run(alice, name="Another", sent=1)

    monkeypatch.setattr(figures, "_totals_good_until", float("inf"))  # what a long time would have done
    assert told(figures)["letters"]["sent"] == 3
    monkeypatch.setattr(figures, "_totals_good_until", 0.0)
    assert told(figures)["letters"]["sent"] == 4


def test_a_database_that_takes_long_is_not_one_that_is_away(alice, figures, caplog):
    make_run(alice, name="Under way", sent=3, queued=2)
    before = told(figures)
    make_run(alice, name="Another", sent=1)

    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("LOCK TABLE mailings_tally IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        found = told(figures)
        assert time.monotonic() - began < 1.5
        assert found["up"]["database"] == 1
        assert before.keys() - found.keys() == {"letters_left"}
        assert found["letters"]["sent"] == 3  # as was known before
    assert "a metric of the ledger is left out, for it takes too long" in caplog.messages

    wait_until(lambda: told(figures)["letters"]["sent"] == 4)
    assert told(figures)["letters_left"] == 2


def test_no_figure_walks_the_letters(alice, figures):
    make_run(alice, name="Under way", sent=1, queued=4)

    with CaptureQueriesContext(connection) as asked:
        assert isinstance(_ask_ledger(), Ledger)

    about_letters = [query["sql"] for query in asked if "mailings_delivery" in query["sql"]]
    assert len(about_letters) == 1
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {about_letters[0]}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("SET enable_seqscan = on")
    assert "using delivery_queued" in plan
    assert "Sort" not in plan


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"vestnik_{name}", labels) or 0.0


@pytest.mark.parametrize(
    ("address", "room", "status"),
    [
        ("/en/blog/", "blog", "200"),
        ("/en/accounts/login/", "accounts", "200"),
        ("/mailings/", "mailings", "302"),
        ("/admin/login/", "admin", "302"),
        ("/nowhere/", "none", "404"),
    ],
)
def test_requests_are_counted_by_room_and_status(client, address, room, status):
    before = counted("http_requests_total", room=room, status=status)
    taken = counted("http_request_seconds_count", room=room)

    assert client.get(address).status_code == int(status)

    assert counted("http_requests_total", room=room, status=status) == before + 1
    assert counted("http_request_seconds_count", room=room) == taken + 1
