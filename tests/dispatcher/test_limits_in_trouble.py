"""Limits when their parts fail: a Redis that forgot, a clock set back, refills that take long."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.conf import settings as configured
from django.utils import timezone

from dispatcher.pace.limits import RateLimits, refill, rules
from tests.web.ledger import make_run
from vestnik.accounts.models import User
from vestnik.mailings.ledger.models import Attempt, Delivery, Worker


@pytest.fixture
def limited(settings: Any, valkey: None, db: None) -> Callable[..., None]:
    def limit(provider: str = "", owner: str = "", domain: str = "") -> None:
        settings.RATE_LIMITS = rules.windows("RATE_LIMITS", provider)
        settings.OWNER_RATE_LIMITS = rules.windows("OWNER_RATE_LIMITS", owner)
        settings.DOMAIN_RATE_LIMITS = rules.domain_windows("DOMAIN_RATE_LIMITS", domain)

    limit()
    return limit


@pytest.fixture
def server() -> redis.Redis:
    return redis.Redis.from_url(configured.REDIS_URL)


def test_tokens_that_others_hold_count_after_redis_forgot_though_the_ledger_is_empty(
    limited: Any, server: redis.Redis
) -> None:
    limited("50/s")
    one, other = RateLimits(), RateLimits()
    for limits in (one, other):  # both know the rules at work
        limits.take(1, 1)
        limits.close()
    one, other = RateLimits(), RateLimits()
    time.sleep(1.2)
    held = one.take(1, 50).count  # and is about to claim
    server.flushall()
    taken = other.take(1, 50).count
    one.used(1, held)
    other.used(1, taken)
    assert held + taken <= 50, f"{held} + {taken} in one instant"


def test_a_clock_set_back_by_an_hour_does_not_stop_sending_for_an_hour(limited: Any, server: redis.Redis) -> None:
    limited("50/s")
    now = 1_800_000_000_000_000
    server.set("test:now", now)
    limits = RateLimits(redis_clock="local now = tonumber(redis.call('GET', 'test:now'))")
    granted = 0
    for _step in range(100):
        now += 100_000
        server.set("test:now", now)
        granted = limits.take(1, 50).count
        limits.used(1, granted)
    now -= 3_600_000_000
    waits = []
    for _step in range(100):
        now += 100_000
        server.set("test:now", now)
        grant = limits.take(1, 50)
        limits.used(1, grant.count)
        waits.append((grant.count, grant.wait))
    assert sum(count for count, _wait in waits) > 0, f"nothing for ten seconds; told to wait {waits[-1][1]:.0f} s"


def test_a_refill_that_outlasts_its_lock_vouches_for_nothing(
    limited: Any, server: redis.Redis, monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    limited("50/day")
    run = make_run(alice, sent=40)
    assert Attempt.objects.filter(delivery__run=run).count() == 40
    monkeypatch.setattr(refill, "LOCK_SECONDS", 0.2)
    one, other = RateLimits(), RateLimits()
    load = refill._load
    loaded, forgotten = threading.Event(), threading.Event()

    def slowly(counter: Any, its_rules: Any, go_on: Any) -> None:
        if counter is one._counter:
            load(counter, its_rules, go_on)
            time.sleep(0.3)  # the lock is gone
            loaded.set()
            assert forgotten.wait(5)
            return
        forgotten.set()  # the other has emptied the windows, and reads the ledger
        time.sleep(0.5)
        load(counter, its_rules, go_on)

    monkeypatch.setattr(refill, "_load", slowly)
    monkeypatch.setattr(refill, "PAUSE", 0.0)
    results: list[int] = []

    def first() -> None:
        results.append(one.take(1, 50).count)

    thread = threading.Thread(target=first)
    thread.start()
    assert loaded.wait(5)
    second = threading.Thread(target=lambda: other.take(1, 50))
    second.start()
    thread.join(5)
    second.join(5)
    assert results[0] <= 10, f"40 of 50 were sent today, and {results[0]} more are granted"


def test_windows_are_refilled_from_a_ledger_with_many_domains(limited: Any, server: redis.Redis, alice: User) -> None:
    limited(domain="*=5/s,100/min,1000/h,10000/day")
    run = make_run(alice, sent=1)
    worker, now = Worker.objects.get(), timezone.now()
    made = Delivery.objects.bulk_create(
        Delivery(run=run, client_id=10**6 + n, address=f"a@d{n}.example.org", state="sent", claim=1, settled_at=now)
        for n in range(6_000)
    )
    Attempt.objects.bulk_create(
        Attempt(delivery=each, claim=1, outcome="accepted", charged=True, code=250, began_at=now, duration=0.1,
                worker=worker)
        for each in made
    )  # fmt: skip
    limits, ends = RateLimits(), time.monotonic() + 10
    while limits.domain_wait("bob@new.example.org") and time.monotonic() < ends:  # may not raise
        time.sleep(0.1)
    assert time.monotonic() < ends
