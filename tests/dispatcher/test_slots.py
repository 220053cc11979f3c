import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.conf import settings as configured

from dispatcher.pace import connection_slots
from dispatcher.pace.connection_slots import RedisSlots
from dispatcher.providers.base import Slots
from tests.timing import in_time

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture
def server():
    return redis.Redis.from_url(configured.REDIS_URL)


def process(limit=10, **options):
    return RedisSlots("slots", limit, **{"grace": 0, **options})


def take(some, most=100):
    return sum(some.take() for _ in range(most))


def test_all_processes_together_have_so_many(server):
    one, other = process(), process()
    assert take(one, 7) == 7
    assert take(other, 7) == 3
    one.release()
    assert take(other, 7) == 1


def test_it_is_what_a_provider_asks_for():
    some: Slots = process()
    assert some.take() is True


def test_without_a_limit_there_are_as_many_as_one_likes_and_nobody_waits_for_redis(caplog):
    unlimited = process(None, redis_url="redis://127.0.0.1:1/0")
    began = time.monotonic()
    assert take(unlimited) == 100
    unlimited.release()
    unlimited.renew()
    unlimited.close()
    in_time(time.monotonic() - began, 1)
    assert caplog.text == ""
    one, other = process(None), process(None)
    assert (take(one), take(other)) == (100, 100)


def holds(slots, count):
    """It has so many connections, which are open."""
    for _ in range(count):
        assert slots.take()
        slots.opened()


def refused(slots):
    """The service refuses one more; whether that is a lack of room."""
    assert slots.take()
    crowded = slots.crowded()
    slots.release()
    return crowded


def test_a_connection_that_is_refused_while_another_process_has_some_is_a_lack_of_room_and_remembered(monkeypatch):
    monkeypatch.setattr(connection_slots, "ROOM_SECONDS", 1.0)
    one, other = process(None), process(None)
    holds(one, 3)
    assert refused(other)
    assert not other.take()
    assert not one.take()
    one.release()
    assert other.take()
    assert one.limited
    time.sleep(1.1)
    assert other.take(), "it is never tried again"


def test_a_connection_that_breaks_off_once_keeps_nobody_to_what_there_is_for_long(monkeypatch):
    monkeypatch.setattr(connection_slots, "FIRST_ROOM_SECONDS", 0.3)
    one, other = process(None), process(None)
    holds(one, 1)
    assert refused(other)
    assert not other.take()
    time.sleep(0.35)
    assert take(other, 20) == 20


def test_a_lack_of_room_that_is_found_again_and_again_is_remembered_longer_each_time(monkeypatch):
    monkeypatch.setattr(connection_slots, "FIRST_ROOM_SECONDS", 0.3)
    monkeypatch.setattr(connection_slots, "ROOM_SECONDS", 1.2)
    one, other = process(None), process(None)
    holds(one, 3)
    for seconds in (0.3, 0.6, 1.2, 1.2):
        assert refused(other)
        time.sleep(seconds - 0.15)
        assert not other.take()
        time.sleep(0.2)
    time.sleep(1.2)
    assert refused(other)
    time.sleep(0.35)
    assert other.take(), "what was long ago is no sign any more"


def test_several_that_are_refused_at_once_are_one_sign_of_a_lack_of_room(monkeypatch):
    monkeypatch.setattr(connection_slots, "FIRST_ROOM_SECONDS", 0.3)
    one, others = process(None), [process(None) for _ in range(5)]
    holds(one, 3)
    assert all(other.take() for other in others)
    assert all(other.crowded() for other in others)
    for other in others:
        other.release()
    time.sleep(0.4)
    assert others[0].take()


def test_one_s_own_connections_show_a_lack_of_room_too():
    one = process(None)
    holds(one, 2)
    assert refused(one)
    assert not one.take()
    assert not process(None).take()


def test_a_connection_that_is_refused_while_nobody_has_any_is_no_lack_of_room():
    one, other = process(None), process(None)
    assert one.take()  # and has none yet
    assert not refused(other)
    assert not refused(one)
    assert take(other) == 100


def test_what_others_want_is_given_up_down_to_an_even_share():
    one, other = process(6), process(6)
    holds(one, 6)
    assert one.renew() == 0
    assert not other.take()
    assert one.renew() == 3
    for _ in range(3):
        one.release()
    assert take(other, 5) == 3
    assert (one.renew(), other.renew()) == (0, 0)


def test_where_there_are_fewer_than_processes_they_take_turns(monkeypatch):
    monkeypatch.setattr(connection_slots, "TURN_SECONDS", 0.3)
    one, other = process(1), process(1)
    holds(one, 1)
    assert not other.take()
    assert one.renew() == 0, "its turn has only begun"
    time.sleep(0.35)
    assert one.renew() == 1
    one.release()
    assert not one.take(), "the other waits for its first"
    assert other.take()
    assert not one.take()
    time.sleep(0.35)
    assert other.renew() == 1


def test_threads_of_a_process_never_take_too_many():
    one, other = process(), process()
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: (one, other)[number % 2].take(), range(60)))
    assert sum(taken) == 10


def test_a_process_that_ends_leaves_its_slots():
    one, other = process(), process()
    take(one)
    one.close()
    assert take(other) == 10


HOLDER = """
from dispatcher.pace.connection_slots import RedisSlots
slots = RedisSlots("slots", 10, lease=1, grace=0)
assert all(slots.take() for _ in range(10))
print("ready", flush=True)
input()
"""


def test_the_slots_of_a_killed_process_are_free_when_its_lease_has_ended():
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "ready\n"
        holder.kill()
    other = process()
    assert take(other) == 0
    time.sleep(1.1)
    assert take(other) == 10


def test_who_renews_keeps_its_slots():
    one, other = process(lease=0.4), process()
    take(one, 6)
    for _ in range(6):
        time.sleep(0.1)
        one.renew()
    assert take(other) == 4


def test_nobody_takes_more_than_an_even_share_while_others_want_theirs():
    one, other, third = process(), process(), process()
    assert take(one, 9) == 9
    assert take(other, 3) == 1  # and then wants more
    for _ in range(6):
        one.release()
    assert take(one) == 2  # it has five
    assert take(other) == 4
    third.take()
    for some in (one, other):
        some.release()
        some.release()
    assert (take(one), take(third), take(other)) == (1, 3, 0)


def test_who_does_not_want_any_more_leaves_them_to_others(monkeypatch):
    monkeypatch.setattr(connection_slots, "WANTED_SECONDS", 0.3)
    one, other = process(), process()
    take(one)
    assert not other.take()
    one.release()
    assert not one.take()
    time.sleep(0.4)
    assert one.take()


def test_after_redis_forgot_what_is_held_is_announced_before_anybody_takes_more(server):
    one, other = process(), process(grace=0.5)
    assert take(one, 8) == 8
    server.flushall()
    assert take(other) == 0
    one.renew()
    time.sleep(0.6)
    assert take(other) == 2


def test_an_old_state_is_not_trusted(server):
    one, other = process(grace=0.5), process(grace=0.5)
    assert take(one, 1) == 0
    time.sleep(0.6)
    assert take(one, 8) == 8
    server.hset("slots", one._worker, "1 9999999999999999 0")  # as it was some time before the restart
    server.script_flush()
    assert take(other) == 0
    one.renew()
    time.sleep(0.6)
    assert take(other) == 2


def test_while_redis_is_away_there_are_no_slots_and_nobody_waits_long():
    some = process(redis_url="redis://127.0.0.1:1/0")
    began = time.monotonic()
    assert take(some) == 0
    some.release()
    some.renew()
    some.close()
    in_time(time.monotonic() - began, 1)


def test_what_was_held_is_held_when_redis_is_back(server):
    one, other = process(), process()
    assert take(one, 4) == 4
    server.execute_command("CLIENT", "PAUSE", 600, "ALL")
    assert not one.take()  # Redis gives one all the same, once it goes on; nobody hears of it
    one.release()
    server.ping()
    one.renew()
    assert take(other) == 7


def test_the_service_s_slots_are_as_many_as_its_address_says(settings):
    settings.MAIL_SERVICE_URL = "smtp://mail.example.org?total=2"
    one, other = connection_slots.for_service(), connection_slots.for_service()
    assert not one.take()
    time.sleep(connection_slots.GRACE_SECONDS + 0.1)
    assert [one.take(), other.take(), one.take()] == [True, True, False]
    settings.MAIL_SERVICE_URL = "smtp://mail.example.org"
    assert take(connection_slots.for_service()) == 100
