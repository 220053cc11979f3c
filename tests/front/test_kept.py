"""What Redis keeps of the pages, and how it is left behind."""

import threading

import pytest
from django.core.cache import cache

from vestnik.front.page_cache import BLOG, FIGURES, cached, invalidate, key_of
from vestnik.settings import impatient


@pytest.fixture(autouse=True)
def empty(valkey):
    cache.clear()


def test_what_is_kept_is_not_made_again():
    made = []
    for _ in range(3):
        assert cached("title", 60, lambda: made.append(1) or "Old") == "Old"
    assert len(made) == 1


def test_what_is_invalidated_is_made_again():
    cached("title", 60, lambda: "Old")
    invalidate()
    assert cached("title", 60, lambda: "New") == "New"
    assert cached("title", 60, lambda: "Newer") == "New"


def test_what_is_invalidated_of_one_room_stays_in_another():
    cached("title", 60, lambda: "Old")
    invalidate(FIGURES)
    assert cached("title", 60, lambda: "New") == "Old"


def test_what_was_made_of_what_stood_before_the_change_is_not_met_after_it():
    begun, invalidated = threading.Event(), threading.Event()

    def make():
        begun.set()
        assert invalidated.wait(5)
        return "Old"

    thread = threading.Thread(target=lambda: cached("title", 60, make))
    thread.start()
    assert begun.wait(5)
    invalidate()
    invalidated.set()
    thread.join()
    assert cached("title", 60, lambda: "New") == "New"


def test_each_change_begins_a_version_of_its_own():
    threads = [threading.Thread(target=invalidate) for _ in range(8)]
    seen = {cache.get(key_of(BLOG))}
    for thread in threads:
        thread.start()
        thread.join()
        seen.add(cache.get(key_of(BLOG)))
    assert len(seen) == 9


def test_a_version_that_the_cache_dropped_is_followed_by_one_that_all_agree_on():
    cached("title", 60, lambda: "Old")
    cache.delete(key_of(BLOG))
    start, answers = threading.Barrier(8), []

    def ask():
        start.wait(5)
        answers.append(cached("title", 60, lambda: "New"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["New"] * 8
    assert cached("title", 60, lambda: "Newer") == "New"


def test_while_redis_is_away_everything_is_made_and_nothing_is_kept_for_after(settings):
    there = settings.CACHES
    away = {"default": {**there["default"], "LOCATION": impatient("unix:///nowhere/valkey.sock")}}
    for text in ("One", "Two"):
        settings.CACHES = away
        invalidate()
        assert cached("title", 60, lambda text=text: text) == text
        settings.CACHES = there
    assert list(cache._cache.get_client().scan_iter("*None*")) == []  # type: ignore[attr-defined]
    assert cached("title", 60, lambda: "Three") == "Three"


def test_what_is_kept_for_a_moment_is_gone_after_it():
    cached("title", 1, lambda: "Old")
    (key,) = cache._cache.get_client().scan_iter("*title*")  # type: ignore[attr-defined]
    assert 0 < cache._cache.get_client().pttl(key) <= 1000  # type: ignore[attr-defined]
