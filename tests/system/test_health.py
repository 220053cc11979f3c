"""The health commands of the dispatcher's parts, asked of real processes."""

import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import psutil
import pytest
import redis
from django.conf import settings
from django.core.cache import cache

from tests.system.processes import ROOT, Dispatcher, of_tests
from tests.timing import wait_until
from vestnik import heartbeats

LONG_AGO = timedelta(hours=1).total_seconds()


def health(part: str, **variables: str) -> tuple[int, str]:
    """The exit code and the line."""
    done = subprocess.run(
        [sys.executable, "-m", "dispatcher", "health", part],
        cwd=ROOT,
        env=of_tests(9, **variables),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert not done.stderr
    assert len(done.stdout.splitlines()) == 1
    return done.returncode, done.stdout.strip()


def fifteen_seconds_later() -> None:
    """What time would do: heartbeats are old, but of those who go on beating."""
    broker = redis.Redis.from_url(settings.REDIS_URL)
    for name in broker.zrange(heartbeats.KEY, 0, -1):
        broker.zincrby(heartbeats.KEY, -heartbeats.FRESH.total_seconds() * 1000, name)


def beating() -> set[heartbeats.Process]:
    return heartbeats.fresh(redis.Redis.from_url(settings.REDIS_URL))


def test_a_part_is_well_while_each_of_its_processes_beats(run_dispatcher: Callable[..., Dispatcher]) -> None:
    dispatcher = run_dispatcher("control", "bulk")
    assert health("control") == (0, "control: 1 processes work")
    assert health("bulk") == (0, "bulk: 2 processes work")

    workers = sorted(each.pid for each in beating() if each.part == "bulk")
    assert set(workers) <= {child.pid for child in psutil.Process(dispatcher.master("bulk")).children()}
    os.kill(workers[0], signal.SIGSTOP)
    try:
        fifteen_seconds_later()
        wait_until(lambda: workers[1] in {each.pid for each in beating()})
        assert health("bulk") == (1, "Of 2 processes of bulk, 1 have a heartbeat.")
        wait_until(lambda: "control" in {each.part for each in beating()})
        assert health("control")[0] == 0
    finally:
        os.kill(workers[0], signal.SIGCONT)
    wait_until(lambda: workers[0] in {each.pid for each in beating()})
    assert health("bulk")[0] == 0


def test_a_part_that_is_gone_is_not_well_though_its_last_heartbeat_is_fresh(
    run_dispatcher: Callable[..., Dispatcher],
) -> None:
    dispatcher = run_dispatcher("control")
    wait_until(beating)
    dispatcher.kill("control")

    assert {each.part for each in beating()} == {"control"}
    assert health("control") == (1, "Of 1 processes of control, 0 have a heartbeat.")


def test_processes_of_other_hosts_do_not_count(valkey: None, transactional_db: None) -> None:
    broker = redis.Redis.from_url(settings.REDIS_URL)
    name = heartbeats.new_name("control", os.getpid())
    broker.zadd(heartbeats.KEY, {name.replace(platform.node(), "another"): time.time() * 1000, "unnamed": 1e15})
    assert health("control")[0] == 1

    broker.zadd(heartbeats.KEY, {name: time.time() * 1000})
    assert health("control") == (0, "control: 1 processes work")


@pytest.mark.parametrize("part", ["control", "bulk"])
def test_without_the_queue_nothing_is_known(part: str, transactional_db: None) -> None:
    code, said = health(part, REDIS_URL="redis://127.0.0.1:9/0")

    assert code == 1
    assert said.startswith(f"The queue does not answer, so nothing is known of {part}")


def test_the_scheduler_is_well_while_ticks_come_and_a_while_after_its_start(
    valkey: None, run_dispatcher: Callable[..., Dispatcher]
) -> None:
    assert health("scheduler") == (1, "There was no tick as far as is known. Is the cache away?")

    dispatcher = run_dispatcher("scheduler")
    wait_until(lambda: cache.get("vestnik:scheduler"))
    code, said = health("scheduler")
    assert (code, said[:8]) == (0, "started ")
    dispatcher.stop("scheduler")

    cache.set("vestnik:scheduler", time.time() - LONG_AGO, None)
    assert health("scheduler")[0] == 1
    cache.set("vestnik:tick", time.time() - LONG_AGO, None)
    code, said = health("scheduler")
    assert code == 1
    assert re.fullmatch(r"The last tick was 36\d\d s ago\.", said)

    dispatcher.start("scheduler")
    dispatcher.start("control")
    wait_until(lambda: time.time() - cache.get("vestnik:tick") < 60, 90)
    cache.delete("vestnik:scheduler")
    code, said = health("scheduler")
    assert code == 0
    assert said.startswith("the last tick was ")


def test_a_scheduler_whose_ticks_are_far_between_is_well_until_the_one_after_the_next(valkey: None) -> None:
    to_come = (datetime.now().astimezone() + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    cron = f"0 {to_come:%-H},{to_come + timedelta(hours=1):%-H} * * *"
    last = to_come + timedelta(hours=1) - timedelta(days=1)
    for ticked, code in ((last, 0), (last - timedelta(days=1), 1)):
        cache.set("vestnik:tick", ticked.timestamp(), None)
        assert health("scheduler", TICK_CRON=cron)[0] == code


def test_a_part_that_there_is_not_is_told_how_to_ask() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dispatcher", "health", "web"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
