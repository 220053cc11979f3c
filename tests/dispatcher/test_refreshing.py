"""Public pages are fetched again, twice, by one at a time; what fails stays. aiohttp's own server plays nginx."""

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
import pytest
import redis
from aiohttp import web
from django.db.models import F
from django.utils import timezone

from dispatcher import page_refresh
from dispatcher.runs import ticking
from tests.elsewhere import begin
from tests.timing import in_time, wait_until
from vestnik import jobs
from vestnik.front import invalidation, page_cache
from vestnik.front.models import StalePage

SECRET = "a secret of sixteen"
PASSED_BY = {"X-Cache": "BYPASS"}


@dataclass
class Front:
    """Records what it is asked, and answers as it is told: by path, a function of the request."""

    url: str = ""
    requests: list[web.Request] = field(default_factory=list)
    answers: dict[str, object] = field(default_factory=dict)
    open: int = 0
    most_open: int = 0
    seconds: float = 0.0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.seconds)
            chosen = self.answers.get(request.path_qs)
            return await chosen(request) if chosen else web.Response(text="page", headers=PASSED_BY)
        finally:
            self.open -= 1

    @property
    def paths(self) -> list[str]:
        return [request.path_qs for request in self.requests]


def serve(front):
    """Serve it in a thread of its own; how to stop that."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def start():
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", front.answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        front.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        ready.set()
        return runner

    def work():
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(5)

    def stop():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)

    return stop


@pytest.fixture
def front(settings, valkey):
    front = Front()
    stop = serve(front)
    settings.FRONT_URL, settings.FRONT_SECRET, settings.SITE_URL = front.url, SECRET, "https://vestnik.example"
    yield front
    stop()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(page_refresh, "TIMEOUT", aiohttp.ClientTimeout(total=0.3))


def status(number, **headers):
    async def answer(request):
        return web.Response(status=number, headers={**PASSED_BY, **headers})

    return answer


async def hang(request):
    await asyncio.sleep(1.5)


async def break_off(request):
    request.transport.abort()


def mark(*paths):
    StalePage.objects.bulk_create([StalePage(path=path) for path in paths])


def a_moment_later():
    StalePage.objects.update(fetched_at=F("fetched_at") - page_refresh.AGAIN_AFTER)


def rows():
    return sorted(StalePage.objects.values_list("path", flat=True))


def asked(settings):
    """How long the jobs that were asked for wait, in milliseconds."""
    broker = redis.Redis.from_url(settings.REDIS_URL)
    found = [json.loads(body) for queue in ("control", "control.DQ") for body in broker.hvals(f"vestnik:{queue}.msgs")]
    return [
        job["options"].get("eta", job["message_timestamp"]) - job["message_timestamp"]
        for job in found
        if job["actor_name"] == "refresh_pages"
    ]


def test_each_page_is_fetched_and_a_moment_later_again(transactional_db, front, settings):
    mark("/en/", "/ru/", "/en/blog/?page=2", "/en/")
    page_refresh.refresh()
    assert sorted(front.paths) == ["/en/", "/en/blog/?page=2", "/ru/"]
    assert asked(settings) == [pytest.approx(770, abs=5)]
    page_refresh.refresh()  # somebody else's job comes between: too soon
    assert len(front.paths) == 3
    a_moment_later()
    page_refresh.refresh()
    assert Counter(front.paths) == {"/en/": 2, "/ru/": 2, "/en/blog/?page=2": 2}
    assert rows() == []
    assert len(asked(settings)) == 1


def test_the_second_time_comes_by_itself_after_the_pause(transactional_db, front):
    mark("/en/")
    page_refresh.refresh()
    began = time.monotonic()
    while rows():
        page_refresh.refresh()
        in_time(time.monotonic() - began, 3)
        time.sleep(0.02)
    assert time.monotonic() - began >= 0.65


def test_that_a_page_is_gone_is_an_answer(db, front):
    front.answers["/en/blog/gone/"] = status(404)
    mark("/en/blog/gone/")
    page_refresh.refresh()
    a_moment_later()
    page_refresh.refresh()
    assert rows() == []


@pytest.mark.parametrize("number", [302, 400, 403, 429, 500, 502, 503])
def test_any_other_answer_leaves_the_page_stale_and_others_are_fetched(db, front, caplog, number):
    front.answers["/ru/"] = status(number, Location="/en/")
    mark("/en/", "/ru/", "/en/blog/", "/ru/blog/")
    with caplog.at_level(logging.WARNING):
        page_refresh.refresh()
    assert Counter(front.paths) == {"/en/": 1, "/ru/": 1, "/en/blog/": 1, "/ru/blog/": 1}
    (line,) = caplog.messages
    assert f"/ru/ (answered {number})" in line
    assert StalePage.objects.get(fetched_at=None).path == "/ru/"
    a_moment_later()
    front.answers.clear()
    page_refresh.refresh()
    assert rows() == ["/ru/"]
    a_moment_later()
    page_refresh.refresh()
    assert rows() == []


def test_what_fails_is_tried_again_soon_by_one_job(transactional_db, front, settings):
    front.answers["/en/"] = status(503)
    mark("/en/")
    for _time in range(3):
        page_refresh.refresh()
    assert asked(settings) == [pytest.approx(2000, abs=5)]
    wait_until(lambda: not redis.Redis.from_url(settings.REDIS_URL).exists(page_refresh.TRIED_AGAIN))
    page_refresh.refresh()
    assert len(asked(settings)) == 2


def test_what_failed_for_as_long_as_copies_live_is_left_to_the_tick(transactional_db, front, settings):
    front.answers["/en/"] = status(503)
    mark("/en/")
    StalePage.objects.update(since=timezone.now() - timedelta(seconds=61))
    page_refresh.refresh()
    assert asked(settings) == []


def test_a_copy_that_was_not_passed_by_counts_as_not_fetched(db, front, caplog):
    for answer in ("HIT", "MISS", "STALE"):
        front.answers["/en/"] = status(200, **{"X-Cache": answer})
        mark("/en/")
        page_refresh.refresh()
        assert StalePage.objects.get().fetched_at is None
    assert "FRONT_SECRET" in caplog.text
    assert SECRET not in caplog.text


def test_while_the_front_is_away_rows_stay_and_one_line_says_so(db, front, settings, caplog):
    settings.FRONT_URL = "http://127.0.0.1:9"
    mark(*(f"/en/blog/?page={page}" for page in range(2, 300)))
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        page_refresh.refresh()
    in_time(time.monotonic() - began, 2)
    assert len(caplog.messages) == 1
    assert len(caplog.messages[0]) < 500
    assert StalePage.objects.filter(fetched_at=None).count() == 298


def test_a_front_that_hangs_is_left_after_a_few_pages(db, front, impatient):
    pages = [f"/en/blog/?page={page}" for page in range(2, 100)]
    front.answers = dict.fromkeys(pages, hang)
    mark(*pages)
    began = time.monotonic()
    page_refresh.refresh()
    in_time(time.monotonic() - began, 2)
    assert len(front.paths) <= 2 * page_refresh.AT_ONCE


def test_one_slow_page_does_not_hold_up_the_others(db, front, impatient):
    front.answers["/en/"] = hang
    mark("/en/", *(f"/en/blog/?page={page}" for page in range(2, 250)))
    began = time.monotonic()
    page_refresh.refresh()
    in_time(time.monotonic() - began, 4)
    assert StalePage.objects.get(fetched_at=None).path == "/en/"


def test_pages_that_break_off_do_not_stop_the_others(db, front):
    pages = [f"/en/blog/?page={page}" for page in range(2, 100)]
    front.answers = dict.fromkeys(pages[::3], break_off)
    mark(*pages)
    page_refresh.refresh()
    assert set(StalePage.objects.filter(fetched_at=None).values_list("path", flat=True)) == set(pages[::3])


def test_a_page_that_changes_while_it_is_fetched_is_fetched_once_more(transactional_db, front):
    changed = []

    async def change_once(request):
        if not changed:
            changed.append(True)
            await asyncio.wrap_future(begin(lambda: mark("/en/")))
        return web.Response(headers=PASSED_BY)

    front.answers["/en/"] = change_once
    mark("/en/")
    page_refresh.refresh()
    assert front.paths == ["/en/", "/en/"]
    a_moment_later()
    page_refresh.refresh()
    assert front.paths == ["/en/"] * 3
    assert rows() == []


def test_a_change_that_is_not_committed_yet_keeps_its_row(transactional_db, front):
    """Its number is lower than that of a page that was fetched meanwhile."""
    mark("/en/", "/en/")
    first, second = StalePage.objects.order_by("pk")
    StalePage.objects.filter(pk=second.pk).update(fetched_at=timezone.now())
    page_refresh.refresh()
    assert front.paths == ["/en/"]
    assert StalePage.objects.filter(pk=first.pk, fetched_at__isnull=False).exists()


def test_what_people_look_at_first_comes_before_the_depths_of_the_lists(db, front, monkeypatch):
    monkeypatch.setattr(page_refresh, "AT_ONCE", 1)
    monkeypatch.setattr(page_refresh, "CHUNK", 2)
    mark("/en/blog/?page=2", "/en/blog/?page=3", "/en/blog/?page=4", "/en/", "/en/blog/new/")
    again = StalePage.objects.create(path="/ru/", fetched_at=timezone.now() - timedelta(seconds=1))
    page_refresh.refresh()
    pages = [f"/en/blog/?page={page}" for page in (2, 3, 4)]
    assert front.paths == ["/en/", "/en/blog/new/", *pages, again.path]


def test_what_is_marked_while_much_is_fetched_does_not_wait_for_all_of_it(transactional_db, front):
    front.seconds = 0.005
    mark(*(f"/en/blog/?page={page}" for page in range(2, 400)))
    other = begin(page_refresh.refresh)
    wait_until(lambda: len(front.paths) >= 20)
    mark("/en/")
    page_refresh.refresh()  # its own job: another is at it
    other.result(30)
    assert front.paths.index("/en/") <= 2 * page_refresh.CHUNK


def test_two_jobs_at_once_fetch_each_page_once(transactional_db, front):
    front.seconds = 0.01
    mark(*(f"/en/blog/?page={page}" for page in range(2, 42)))
    for other in [begin(page_refresh.refresh) for _ in range(4)]:
        other.result(30)
    assert set(Counter(front.paths).values()) == {1}
    assert not StalePage.objects.filter(fetched_at=None).exists()


def test_five_hundred_pages_are_asked_for_a_few_at_a_time(db, front):
    front.seconds = 0.01
    mark(*(f"/en/blog/?page={page}" for page in range(2, 502)))
    began = time.monotonic()
    page_refresh.refresh()
    assert len(set(front.paths[:500])) == 500  # those that are fetched again in the meantime come after
    assert front.most_open <= page_refresh.AT_ONCE
    in_time(time.monotonic() - began, 15)


def test_the_secret_goes_to_the_front_alone_and_the_web_is_called_by_its_own_name(db, front, settings):
    stranger = Front()
    stop = serve(stranger)
    try:
        host = stranger.url.removeprefix("http://")
        front.answers["/en/"] = status(302, Location=f"{stranger.url}/stolen/")
        mark("/en/", f"//{host}/", f"@{host}/", f"{stranger.url}/", f"/\\{host}/")
        page_refresh.refresh()
    finally:
        stop()
    assert stranger.requests == []
    assert len(front.requests) == 5
    for request in front.requests:
        assert request.method == "GET"
        assert request.headers["X-Front-Refresh"] == SECRET
        assert request.headers["Host"] == "vestnik.example"


def test_a_cookie_that_comes_with_a_page_is_not_carried_to_the_next(db, front, monkeypatch):
    monkeypatch.setattr(page_refresh, "AT_ONCE", 1)
    front.answers["/en/"] = status(200, **{"Set-Cookie": "messages=hello; Path=/"})
    mark("/en/", "/ru/")
    page_refresh.refresh()
    assert front.paths == ["/en/", "/ru/"]
    assert "Cookie" not in front.requests[1].headers


def test_what_redis_keeps_is_left_behind_before_pages_are_made(transactional_db, front):
    """Whoever changed the page may not have reached the cache."""
    page_cache.cached("title", 60, lambda: "Old")
    made = []

    async def make(request):
        made.append(page_cache.cached("title", 60, lambda: "New"))
        return web.Response(headers=PASSED_BY)

    front.answers["/en/blog/"] = make
    mark("/en/blog/")
    page_refresh.refresh()
    assert made == ["New"]


def test_what_redis_keeps_of_the_blog_stays_where_only_figures_are_others(transactional_db, front):
    page_cache.cached("title", 60, lambda: "Old")
    page_cache.cached("number", 60, lambda: 1, page_cache.FIGURES)
    mark("/en/", "/ru/")
    page_refresh.refresh()
    assert page_cache.cached("title", 60, lambda: "New") == "Old"
    assert page_cache.cached("number", 60, lambda: 2, page_cache.FIGURES) == 2


def test_pages_that_are_marked_again_and_again_while_the_front_is_away_are_few_rows(db, front, settings):
    settings.FRONT_URL = "http://127.0.0.1:9"
    for _ in range(20):
        invalidation.mark(["/en/", "/ru/"])
        page_refresh.refresh()
    assert rows() == ["/en/", "/ru/"]


def test_without_a_front_nothing_is_fetched_and_what_was_marked_for_one_goes(db, front, settings):
    settings.FRONT_URL = ""
    mark("/en/")
    page_refresh.refresh()
    assert front.requests == []
    assert rows() == []


# The tick


@pytest.fixture
def enqueued(monkeypatch):
    found = []
    monkeypatch.setattr(jobs.Job, "enqueue", lambda job, *_args, delay=None: found.append(job.name))
    return found


def test_the_tick_asks_for_pages_that_were_overdue(db, front, enqueued):
    ticking.tick()
    assert enqueued == ["count_figures"]
    enqueued.clear()
    mark("/en/")
    ticking.tick()
    assert enqueued == ["count_figures"]
    enqueued.clear()
    StalePage.objects.update(since=timezone.now() - timedelta(seconds=11))
    ticking.tick()
    assert enqueued == ["count_figures", "refresh_pages"]
