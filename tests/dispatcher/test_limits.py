import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis
from django.conf import settings as configured
from django.core.exceptions import ImproperlyConfigured
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dispatcher.ledger import statements
from dispatcher.pace.limits import Permit, RateLimits, refill, rules, windows
from dispatcher.runs import launching
from tests.timing import in_time
from vestnik import clock
from vestnik.accounts.letters import AccountLetter
from vestnik.mailings.ledger.models import Attempt, Worker
from vestnik.testing.factories import make_mailing

SETTINGS = {
    "RATE_LIMITS": rules.windows,
    "OWNER_RATE_LIMITS": rules.windows,
    "DOMAIN_RATE_LIMITS": rules.domain_windows,
}


@pytest.fixture(autouse=True)
def no_limits(settings, valkey, db, monkeypatch):
    for name, parse in SETTINGS.items():
        setattr(settings, name, parse(name, ""))
    monkeypatch.setattr(refill, "PAUSE", 0.0)  # where there is nobody else to wait for


@pytest.fixture
def server():
    return redis.Redis.from_url(configured.REDIS_URL)


def limit(settings, **texts):
    for name, text in texts.items():
        setattr(settings, name, SETTINGS[name](name, text))


class World:
    """Several processes with clocks of their own, in a time that the test controls."""

    def __init__(self, server):
        self.server, self.now = server, 1_800_000_000_000_000
        self.handed_over = []  # (owner, time)
        self.advance(0)

    def advance(self, seconds):
        self.now += int(seconds * 1e6)
        self.server.set("test:now", self.now)

    def process(self, offset=0.0):
        limits = RateLimits(
            clock=lambda: self.now / 1e6 - 1_799_999_000 + offset,
            redis_clock="local now = tonumber(redis.call('GET', 'test:now'))",
        )
        limits.tokens = Counter()  # type: ignore[attr-defined]
        return limits

    def take(self, limits, owner, most, urgent=False):
        grant = limits.take(owner, most, urgent)
        limits.tokens[owner] += grant.count
        return grant

    def hand_over(self, limits, owner, count):
        count = min(count, limits.tokens[owner]) if limits.fresh else 0
        limits.tokens[owner] -= count
        for _ in range(count):
            self.handed_over.append((owner, self.now))
            limits.used(owner)
        self.check()
        return count

    def check(self):
        for window in configured.RATE_LIMITS:
            assert self.within(window.seconds) <= window.limit
        for window, owner in itertools.product(configured.OWNER_RATE_LIMITS, (1, 2)):
            assert self.within(window.seconds, owner) <= window.limit

    def within(self, seconds, owner=None):
        return sum(
            1 for who, when in self.handed_over if when > self.now - seconds * 1e6 and (owner is None or who == owner)
        )


# What the settings say


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  ", ()),
        ("50/s", ((50, 1),)),
        ("50/s, 2000/min, 100000/day", ((50, 1), (2000, 60), (100000, 86400))),
        ("9/d,8/hour , 7 / minutes,6/sec", ((6, 1), (7, 60), (8, 3600), (9, 86400))),
        ("10000000/H", ((10_000_000, 3600),)),
    ],
)
def test_limits_are_read(text, expected):
    assert rules.windows("RATE_LIMITS", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("0/s", "-1/s", "+1/s", "1.5/s", "1e9/s", "1000000000/s", "10000001/day", "1_000/s", "٣/s", "/s", "many/s"),
        *("5", "5/", "5/week", "5/m", "5/s/s", "5 per s", "5/s,", ",5/s", "5/s;6/min", "5/s, 6/sec"),
    ],
)
def test_impossible_limits_are_refused_by_the_name_of_their_variable(text):
    with pytest.raises(ImproperlyConfigured, match=r"^RATE_LIMITS: .*$"):
        rules.windows("RATE_LIMITS", text)


def test_limits_of_domains_are_read():
    found = rules.domain_windows("DOMAIN_RATE_LIMITS", "GMail.com=20/s,1000/h; *=100/s; почта.рф=1/s")
    assert found == {"gmail.com": ((20, 1), (1000, 3600)), "*": ((100, 1),), "xn--80a1acny.xn--p1ai": ((1, 1),)}


@pytest.mark.parametrize(
    "text",
    [
        *("gmail.com", "gmail.com=", "=5/s", "gmail=5/s", "*.com=5/s", "@gmail.com=5/s", "a b.com=5/s", "a.com=5"),
        *("a.com=5/s;", "a.com=5/s,b.com=6/s", "a.com=5/s;A.com=6/s", "*=5/s;*=6/s", "a.com=0/s", "a.com=5/s,6/s"),
    ],
)
def test_impossible_limits_of_domains_are_refused(text):
    with pytest.raises(ImproperlyConfigured, match=r"^DOMAIN_RATE_LIMITS: .*$"):
        rules.domain_windows("DOMAIN_RATE_LIMITS", text)


def test_an_impossible_limit_stops_the_start():
    environment = {**os.environ, "OWNER_RATE_LIMITS": "0/s"}
    started = subprocess.run(
        [sys.executable, "-c", "import dispatcher.settings"], env=environment, capture_output=True, text=True
    )
    assert started.returncode != 0
    assert "ImproperlyConfigured: OWNER_RATE_LIMITS: '0/s': a whole number of letters" in started.stderr


# Tokens


def test_without_limits_nobody_asks_redis():
    limits = RateLimits("redis://127.0.0.1:1/0")
    assert not limits.active
    assert limits.take(1, 40) == Permit(40, 0.0, of_owner=False)
    assert limits.domain_wait("a@example.org") == 0.0
    limits.used(1)
    limits.give_back(1, 39)
    limits.renew()
    limits.close()


def test_tokens_are_shared_by_all_processes(settings):
    limit(settings, RATE_LIMITS="50/s")
    one, other = RateLimits(), RateLimits()
    assert one.active
    assert one.take(1, 30).count == 30
    assert other.take(2, 30).count == 20
    refused = other.take(2, 30)
    assert (refused.count, refused.of_owner) == (0, False)
    assert 0 < refused.wait <= 1


def test_tokens_that_were_given_back_can_be_taken_at_once(settings):
    limit(settings, RATE_LIMITS="50/h")
    one, other = RateLimits(), RateLimits()
    one.take(None, 50, urgent=True)
    one.give_back(None, 20)
    one.renew()
    assert other.take(None, 50, urgent=True).count == 20


def test_a_process_that_ends_gives_back_what_it_did_not_use(settings):
    limit(settings, RATE_LIMITS="50/s")
    one, other = RateLimits(), RateLimits()
    one.take(1, 50)
    one.used(1, 10)
    one.close()
    assert other.take(1, 50).count == 40


def test_an_owner_s_limit_holds_for_the_owner_alone(settings):
    limit(settings, RATE_LIMITS="50/s", OWNER_RATE_LIMITS="20/s, 30/min")
    limits = RateLimits()
    assert limits.take(1, 40).count == 20
    refused = limits.take(1, 40)
    assert (refused.count, refused.of_owner) == (0, True)
    assert limits.take(2, 40).count == 20
    assert limits.take(3, 40) == Permit(10, 0.0, of_owner=False)
    refused = limits.take(3, 40)
    assert (refused.count, refused.of_owner) == (0, False)


def test_account_mail_is_limited_by_the_provider_alone_and_may_use_up_the_day(settings):
    limit(settings, RATE_LIMITS="200/day", OWNER_RATE_LIMITS="1/s")
    limits = RateLimits()
    assert sum(limits.take(owner, 1).count for owner in range(1, 300)) == 198
    assert limits.take(None, 5, urgent=True).count == 2
    assert limits.take(None, 5, urgent=True).count == 0


@pytest.mark.parametrize(("text", "ordinary"), [("1/h", 1), ("2/day", 1), ("100/h", 99), ("10/s", 10), ("10/min", 10)])
def test_of_long_windows_a_hundredth_is_kept_for_account_mail(text, ordinary):
    assert rules.windows("", text)[0].ordinary == ordinary


def test_the_wait_is_until_the_window_has_room_again(settings, server):
    limit(settings, RATE_LIMITS="10/min")
    world = World(server)
    limits = world.process()
    world.take(limits, 1, 10)
    world.hand_over(limits, 1, 4)
    for _ in range(4):
        world.advance(5)
        limits.renew()
    world.hand_over(limits, 1, 6)
    grant = world.take(limits, 1, 10)
    assert grant.count == 0
    assert 40 <= grant.wait <= 40.5
    world.advance(grant.wait)
    assert world.take(limits, 1, 10).count == 4


PROCESS = st.integers(0, 1)
OWNER = st.sampled_from([1, 1, 2, None])
MOST = st.sampled_from([20, 20, 3])
ACTIONS = st.one_of(
    st.tuples(st.just("send"), PROCESS, OWNER, MOST),
    st.tuples(st.just("send"), PROCESS, OWNER, MOST),
    st.tuples(st.just("take"), PROCESS, OWNER, MOST),
    st.tuples(st.just("hand over"), PROCESS),
    st.tuples(st.just("give back"), PROCESS),
    st.tuples(st.just("renew"), PROCESS),
    st.tuples(st.just("die"), PROCESS),
    st.tuples(st.just("lose the answer"), PROCESS),
    # Around the ends of windows, and of their buckets; beyond a lease.
    st.tuples(st.just("wait"), st.sampled_from([0.001, 0.004, 0.99, 0.998, 1.0, 1.006])),
    st.tuples(st.just("wait"), st.sampled_from([0.004, 8, 11, 59.9, 60.3, 700])),
)


@hypothesis_settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(ACTIONS, max_size=60))
@example([("take", 0, 1, 20), ("wait", 11), ("send", 1, 1, 20), ("hand over", 0)])
@example([("take", 0, 1, 20), ("wait", 11), ("send", 1, 1, 20), ("send", 0, 1, 20)])
@example([("send", 0, 1, 20), ("wait", 11), ("die", 0), ("send", 1, 1, 20)])
@example([("send", 0, 1, 20), ("wait", 0.004), ("renew", 0), ("wait", 0.99), ("wait", 0.004), ("send", 1, 1, 20)])
def test_no_window_ever_holds_more_than_its_limit(settings, server, actions):
    limit(settings, RATE_LIMITS="20/s, 25/min, 100/h", OWNER_RATE_LIMITS="9/s, 12/min")
    server.flushall()
    world = World(server)
    processes = [world.process(), world.process(12345.678)]
    for action, *arguments in actions:
        if action == "wait":
            world.advance(*arguments)
            continue
        number, *rest = arguments
        limits = processes[number]
        if action == "send":
            world.take(limits, *rest)
            world.hand_over(limits, rest[0], 20)
        elif action == "take":
            world.take(limits, *rest, urgent=rest[0] is None)
        elif action == "hand over":
            for owner in limits.tokens:
                world.hand_over(limits, owner, 20)
        elif action == "give back":
            for owner, count in limits.tokens.items():
                limits.give_back(owner, count)
            limits.tokens.clear()
        elif action == "renew":
            limits.renew()
        elif action == "die":
            processes[number] = world.process()
        else:
            lose_the_answer(limits)
    # Nothing leaks: when all is over and old, all of the limits is there again.
    for limits in processes:
        limits.close()
    world.advance(11)
    world.take(world.process(), 1, 1)
    world.advance(3700)
    assert world.take(world.process(), 1, 20).count == 9


def lose_the_answer(limits):
    """Redis does what it is told, and the connection breaks before its answer is there."""
    exchange = limits._counter.exchange

    def broken(reports, most):
        exchange(reports, most)
        raise redis.ConnectionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits._counter, "exchange", broken)
        with pytest.raises(redis.ConnectionError):
            limits.take(1, 3)


@pytest.mark.parametrize("text", ["200/s", "40/s, 2000/min"])
def test_nearly_all_of_the_limit_can_be_used(settings, server, text):
    limit(settings, RATE_LIMITS=text)
    world = World(server)
    processes = [world.process(), world.process()]
    asks, seconds, step = [0.0, 0.0], 20, 0.01
    for number in range(int(seconds / step)):
        now = number * step
        for which, limits in enumerate(processes):
            if limits.tokens[1]:
                world.hand_over(limits, 1, 2)
            elif now >= asks[which]:
                asks[which] = now + world.take(limits, 1, 20).wait
            if number % 100 == 0:
                limits.renew()
        world.advance(step)
    assert len(world.handed_over) >= 0.93 * configured.RATE_LIMITS[0].limit * seconds


SENDER = """
import json, sys, time
from django.conf import settings
from dispatcher.pace.limits import RateLimits, rules

settings.RATE_LIMITS = rules.windows("", "200/s")
limits = RateLimits()
limits.renew()
print("ready", flush=True)
input()
handed_over, renewed, end = [], 0.0, time.monotonic() + 3
while time.monotonic() < end:
    if time.monotonic() > renewed + 1:
        limits.renew()
        renewed = time.monotonic()
    grant = limits.take(1, 10)
    for _ in range(grant.count):
        handed_over.append(time.monotonic())
        limits.used(1)
    time.sleep(grant.wait)
limits.close()
print(json.dumps(handed_over))
"""


def start(program):
    """Another process, once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_several_processes_keep_a_limit_together(settings):
    limit(settings, RATE_LIMITS="200/s")
    processes = [start(SENDER) for _ in range(4)]
    RateLimits().take(1, 1)  # here is a database to refill from
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda process: process.communicate("go\n", timeout=60)[0], processes))
    handed_over = sorted(itertools.chain.from_iterable(json.loads(answer) for answer in answers))
    assert max(busiest(handed_over, 1.0)) <= 200
    assert len(handed_over) >= 0.9 * 200 * 3


def busiest(times, seconds):
    """How many there are in the windows that end with each of them."""
    first = 0
    for last, when in enumerate(times):
        while times[first] <= when - seconds:
            first += 1
        yield last - first + 1


HOLDER = """
from django.conf import settings
from dispatcher.pace.limits import RateLimits, rules, windows

settings.RATE_LIMITS = rules.windows("", "100/min")
windows.LEASE_SECONDS = 1.0
limits = RateLimits()
assert limits.take(1, 60).count == 60
print("ready", flush=True)
input()
"""


def test_what_a_killed_process_held_counts_from_the_end_of_its_lease(settings):
    limit(settings, RATE_LIMITS="100/min")
    limits = RateLimits()
    assert limits.take(1, 40).count == 40
    with start(HOLDER) as process:
        process.kill()
    assert limits.take(1, 100).wait <= 1  # somebody may give tokens back
    time.sleep(1.1)
    assert limits.take(1, 100).count == 0
    limits.give_back(1, 40)
    assert limits.take(1, 100).count == 40
    limits.used(1, 40)
    assert 58 < limits.take(1, 1).wait < 61


def test_tokens_of_a_process_that_nobody_heard_of_for_long_are_not_fresh(settings, server):
    limit(settings, RATE_LIMITS="100/s")
    world = World(server)
    limits = world.process()
    assert limits.fresh
    limits.take(1, 10)
    world.advance(8)
    assert limits.fresh
    limits.renew()
    world.advance(8)
    assert limits.fresh
    world.advance(1.5)
    assert not limits.fresh
    limits.renew()  # too late: others may have done without it
    assert not limits.fresh
    assert limits.take(1, 10).count == 0
    limits.give_back(1, 10)
    assert limits.fresh
    assert limits.take(1, 10).count == 10


# While Redis is away, and after


def test_without_an_answer_take_raises_and_the_rest_does_not(settings):
    limit(settings, RATE_LIMITS="100/s", DOMAIN_RATE_LIMITS="*=5/s")
    limits = RateLimits("redis://127.0.0.1:1/0")
    with pytest.raises(redis.RedisError):
        limits.take(1, 1)
    with pytest.raises(redis.RedisError):
        limits.domain_wait("a@example.org")
    limits.used(1)
    limits.give_back(1, 1)
    limits.renew()
    limits.close()


def test_what_redis_did_not_hear_it_hears_later(settings, server):
    limit(settings, RATE_LIMITS="100/h")
    limits = RateLimits()
    assert limits.take(1, 40).count == 40
    server.execute_command("CLIENT", "PAUSE", 700, "ALL")
    limits.used(1, 30)
    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        limits.take(1, 20)  # Redis does it all the same, once it goes on
    limits.give_back(1, 10)
    in_time(time.monotonic() - began, 2)
    server.ping()
    limits.renew()
    other = RateLimits()
    # What was used may have been told twice; it is never forgotten, and nothing stays outstanding for good.
    assert 100 - 2 * 30 - 1 <= other.take(1, 100).count <= 100 - 30


@pytest.mark.parametrize("lost", ["everything", "what was not saved"])
def test_windows_survive_that_redis_forgets(settings, server, alice, bob, lost, monkeypatch):
    limit(settings, RATE_LIMITS="100/h", OWNER_RATE_LIMITS="90/day", DOMAIN_RATE_LIMITS="example.org=81/h; *=5/s")
    limits = RateLimits()
    assert limits.take(alice.pk, 60).count == 60
    (run,) = launching.launch(make_mailing(alice, 70).pk)
    deliveries = list(run.deliveries.order_by("pk"))
    worker = Worker.objects.create(name="w", provider="memory")
    now = clock.now()
    Attempt.objects.bulk_create(
        Attempt(
            delivery=delivery,
            claim=1,
            outcome="accepted",
            charged=True,
            began_at=now - timedelta(minutes=30 if number else 61),
            duration=0.1,
            worker=worker,
        )
        for number, delivery in enumerate(deliveries[:61])
    )
    assert len(statements.claim(run.pk, worker.pk, 7, None)) == 7
    AccountLetter.objects.create(
        recipient="c@example.org", content=b"", key="k", state="sent", due_at=None, claim=2, attempts=1, settled_at=now
    )
    if lost == "everything":
        server.flushall()
    else:
        server.script_flush()  # as after a restart, with the state of some time before
    monkeypatch.setattr(refill, "PAUSE", 1.5)
    limits = RateLimits()
    paused = limits.take(alice.pk, 100)
    assert paused.count == 0
    assert 0 < paused.wait <= refill.PAUSE
    time.sleep(paused.wait)
    used = 60 + 7 + 2
    held = 60 if lost == "what was not saved" else 0  # by a process that nobody has heard of yet
    assert limits.take(bob.pk, 100).count == max(0, 99 - used - held)
    limits.give_back(bob.pk, 100)
    assert limits.take(alice.pk, 100).count == max(0, min(99 - used - held, 89 - 68 - held))
    # The domain: 67 of the letters, and of its 81 in an hour it may take all.
    waits = [limits.domain_wait("x@example.org") for _ in range(20)]
    assert [bool(wait) for wait in waits] == [False] * 14 + [True] * 6
    assert 25 * 60 < waits[14] < 31 * 60


def test_the_second_process_does_not_refill_again(settings, server, alice):
    limit(settings, RATE_LIMITS="100/h")
    RateLimits().take(1, 1)
    other = RateLimits()
    with server.lock("vestnik:limits:refilling", timeout=5):
        assert other.take(1, 1).count == 1
        server.delete(windows.READY)
        assert other.take(1, 1) == Permit(0, 0.2, of_owner=False)
    assert other.take(1, 1).count == 1


def test_the_last_process_with_other_windows_has_its_way(settings, server):
    limit(settings, RATE_LIMITS="100/h")
    old = RateLimits()
    assert old.take(1, 10).count == 10
    limit(settings, RATE_LIMITS="50/s, 100/h")
    new = RateLimits()
    assert new.take(1, 10).count == 10
    assert old.take(1, 10).count == 0
    assert new.take(1, 10).count == 10
    limit(settings, RATE_LIMITS="20/s, 200/h")  # the same windows, other numbers
    assert RateLimits().take(1, 10).count == 0
    server.delete(windows.READY)  # as when the new ones have been gone for a while
    assert old.take(1, 1).count == 1


# Domains


def test_a_domain_takes_what_its_limit_allows_and_the_others_theirs(settings):
    limit(settings, DOMAIN_RATE_LIMITS="gmail.com=20/s,1000/h; *=3/s")
    limits = RateLimits()
    assert not limits.active
    assert [bool(limits.domain_wait("a@gmail.com")) for _ in range(22)] == [False] * 20 + [True] * 2
    assert [bool(limits.domain_wait("a@a.org")) for _ in range(4)] == [False] * 3 + [True]
    assert [bool(limits.domain_wait("a@b.org")) for _ in range(4)] == [False] * 3 + [True]


def test_letters_of_a_full_domain_queue_up(settings, server):
    limit(settings, DOMAIN_RATE_LIMITS="gmail.com=20/s")
    world = World(server)
    limits, other = world.process(), world.process()
    assert not any(limits.domain_wait("a@gmail.com") for _ in range(20))
    waits = [who.domain_wait("a@gmail.com") for who in (limits, other) * 100]
    assert 0.99 < waits[0] - windows.MARGIN_SECONDS <= 1.005
    assert all(0.05 <= later - sooner < 0.056 for sooner, later in itertools.pairwise(waits))
    world.advance(3600)  # none of them came
    assert [bool(limits.domain_wait("a@gmail.com")) for _ in range(21)] == [False] * 20 + [True]
    assert limits.domain_wait("a@gmail.com") < 1.2


@pytest.mark.parametrize(("text", "seconds"), [("gmail.com=20/s", 100), ("gmail.com=40/s, 1000/h", 2 * 3600)])
def test_a_heap_of_letters_to_one_domain_is_put_off_about_once_each(settings, server, text, seconds):
    limit(settings, DOMAIN_RATE_LIMITS=text)
    world = World(server)
    limits = world.process()
    queue, sent, put_off, now, naps = [0.0] * 2000, [], 0, 0.0, itertools.cycle([0.02, 0.1])
    while queue:
        due, queue = [it for it in queue if it <= now], [it for it in queue if it > now]
        for _ in due:
            if wait := limits.domain_wait("a@gmail.com"):
                queue.append(now + wait)
                put_off += 1
            else:
                sent.append(now)
        nap = max(next(naps), min(queue, default=now) - now)
        world.advance(nap)
        now += nap
    assert len(sent) == 2000
    for window in configured.DOMAIN_RATE_LIMITS["gmail.com"]:
        assert max(busiest(sent, window.seconds)) <= window.limit
    assert put_off <= 1.2 * 2000
    assert sent[-1] <= 1.1 * seconds


# The cost


def test_taking_tokens_costs_a_few_pings(settings, server):
    limit(settings, RATE_LIMITS="10000/s, 500000/min, 10000000/day", OWNER_RATE_LIMITS="10000/s, 10000000/day")
    limits = RateLimits()

    def slice_of_work():
        limits.take(1, 10)
        limits.used(1, 10)

    slice_of_work()
    ratios = []
    for _ in range(5):
        ping, work = seconds_for(server.ping), seconds_for(slice_of_work)
        ratios.append(work / ping)
    print(f"take: {work * 1e6:.0f} µs, PING: {ping * 1e6:.0f} µs")
    assert min(ratios) < 20


def seconds_for(action, times=200):
    began = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - began) / times
