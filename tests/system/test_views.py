"""Views stay exact while the real process that adds them is killed."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone
from redis import Redis

from tests.timing import wait_until
from vestnik import jobs
from vestnik.blog import view_counter
from vestnik.blog.models import Post
from vestnik.redis_client import impatient_redis

FLUSHING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%UPDATE blog_post%%'"


@pytest.fixture
def posts(transactional_db, valkey, monkeypatch):
    monkeypatch.setattr(view_counter, "_silent_since", -1000.0)
    return [
        Post.objects.create(title=slug, slug=slug, content="<p>Text.</p>", draft=False, publish_at=timezone.now())
        for slug in ("post-a", "post-b")
    ]


def redis():
    return impatient_redis(once=True)


def views():
    return dict(Post.objects.values_list("slug", "views"))


def read(slug, times=1):
    for _ in range(times):
        assert view_counter.count_view(slug)


def left():
    return redis().exists(view_counter.VIEWS, view_counter.BATCH)


@contextmanager
def in_the_middle_of_a_flush():
    """The control worker has taken the batch and waits for a post's row while the block lasts."""
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(Post.objects.select_for_update())
            held.set()
            assert go_on.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    jobs.FLUSH_VIEWS.enqueue()
    wait_until(lambda: ask(FLUSHING))
    try:
        yield go_on
    finally:
        go_on.set()
        thread.join()


def ask(question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


def test_views_are_flushed_each_minute():
    script = (
        "from dispatcher import main, actors; from dispatcher.queue import schedule;"
        "print(actors.flush_views.options['periodic'].astuple() == __import__('periodiq').cron('* * * * *').astuple())"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "dispatcher.settings"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"


def test_a_worker_that_is_killed_before_it_commits_has_added_nothing(posts, run_dispatcher):
    dispatcher = run_dispatcher("control")
    read("post-a", 3)
    with in_the_middle_of_a_flush():
        dispatcher.kill("control")
    assert views() == {"post-a": 0, "post-b": 0}
    read("post-a")
    dispatcher.restart("control")
    jobs.FLUSH_VIEWS.enqueue()
    wait_until(lambda: not left())
    assert views() == {"post-a": 4, "post-b": 0}


def test_a_worker_that_is_killed_after_it_committed_has_not_added_twice(posts, run_dispatcher):
    dispatcher = run_dispatcher("control")
    read("post-a", 3)
    with in_the_middle_of_a_flush() as go_on:
        redis().client_pause(60_000, all=False)  # no writing: the batch cannot be dropped
        go_on.set()
        wait_until(lambda: views()["post-a"] == 3)
        dispatcher.kill("control")
        wait_until(lambda: not any("b" in client["flags"] for client in redis().client_list()))
        redis().client_unpause()
    assert left()
    read("post-b")
    dispatcher.restart("control")
    jobs.FLUSH_VIEWS.enqueue()
    wait_until(lambda: not left())
    assert views() == {"post-a": 3, "post-b": 1}


def test_workers_killed_at_any_moment_lose_and_double_no_view(posts, run_dispatcher, monkeypatch):
    # On a busy machine a third of a second may pass before Redis answers, and nobody knows whether it counted.
    monkeypatch.setattr(view_counter, "impatient_redis", lambda once: Redis.from_url(settings.REDIS_URL))
    dispatcher = run_dispatcher("control")
    over, counted = threading.Event(), Counter()

    def go_on_reading(slug):
        while not over.is_set():
            read(slug)
            view_counter.count_view(f"made-up-{counted[slug] % 5000}")  # so that a flush takes a while
            counted[slug] += 1
            if counted[slug] % 50 == 0:
                jobs.FLUSH_VIEWS.enqueue()

    readers = [threading.Thread(target=go_on_reading, args=[post.slug]) for post in posts]
    for thread in readers:
        thread.start()
    try:
        for moment in (0.31, 0.57, 0.83):
            time.sleep(moment)
            dispatcher.kill("control")
            dispatcher.restart("control")
    finally:
        over.set()
        for thread in readers:
            thread.join()
    jobs.FLUSH_VIEWS.enqueue()
    wait_until(lambda: not left(), 30)
    assert views() == dict(counted)
    assert min(counted.values()) > 100
