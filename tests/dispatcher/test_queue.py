"""What a worker fetched is never lost in Redis, and what was lost on the way leaves its lane's slot."""

import threading
import time
from uuid import uuid4

import dramatiq
import pytest
import redis
from django.conf import settings
from dramatiq.errors import ConnectionClosed, Retry

from dispatcher.queue import broker, middleware
from dispatcher.queue.scheduler import Scheduler
from dispatcher.sending import lanes
from tests import embedded
from vestnik import jobs


@pytest.fixture
def queue(valkey):
    found = broker.Broker(url=settings.REDIS_URL, namespace="vestnik")
    found.broker_id = str(uuid4())
    for name in ("control", "bulk"):
        found.declare_queue(name)
    return found


@pytest.fixture
def full(queue):
    """Redis has no memory left, until the end of the test or a call of this."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.config_set("maxmemory", "1")
    yield lambda: client.config_set("maxmemory", "0")
    client.config_set("maxmemory", "0")


def enqueue(queue, delay=None):
    message = dramatiq.Message(queue_name="bulk", actor_name="send", args=(1, 0, "t"), kwargs={}, options={})
    return queue.enqueue(message, delay=delay).options["redis_message_id"]


def taken(consumer):
    """What it takes within a second or so, by the broker's id."""
    found = []
    for _ in range(5):
        message = next(consumer)
        if message is not None:
            found.append(message.options["redis_message_id"])
    return found


@pytest.mark.parametrize("delay", [None, 60_000], ids=["at once", "delayed"])
def test_a_job_whose_answer_was_lost_on_the_way_is_taken_again(queue, delay):
    name = "bulk" if delay is None else "bulk.DQ"
    job = enqueue(queue, delay)
    assert queue.do_fetch(name, 8), "it lies in the set of what this worker has, and nobody has it"

    assert taken(queue.consume(name, prefetch=8, timeout=100)) == [job]


def test_what_the_threads_are_at_is_not_put_back_when_the_queue_returns(queue, full, monkeypatch):
    full()
    enqueue(queue), enqueue(queue)
    first = queue.consume("bulk", prefetch=8, timeout=100)
    in_hand = [next(first), next(first)]
    monkeypatch.setattr(first, "_in_doubt", True)
    assert taken(first) == []
    assert taken(queue.consume("bulk", prefetch=8, timeout=100)) == [], "a new consumer believed them lost"
    for message in in_hand:
        first.ack(message)
    assert queue.do_qsize("bulk") == 0


def test_what_waited_for_its_time_is_taken_again_by_a_new_consumer(queue):
    """Dramatiq forgets it with the connection."""
    job = enqueue(queue, 60_000)
    assert taken(queue.consume("bulk.DQ", prefetch=8, timeout=100)) == [job]
    assert taken(queue.consume("bulk.DQ", prefetch=8, timeout=100)) == [job]


def test_a_queue_without_memory_is_a_lost_connection_of_which_one_line_is_said(queue, full, caplog):
    consumer = queue.consume("bulk", prefetch=8, timeout=100)
    assert taken(consumer) == []
    with pytest.raises(ConnectionClosed, match="maxmemory"):
        enqueue(queue)
    full()
    job = enqueue(queue)
    assert taken(consumer) == [job]
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith("the queue does not answer, or takes nothing; jobs wait until it does: ")
    assert caplog.messages[1].startswith("the queue answers again, after ")


def test_an_acknowledgement_waits_for_the_queue(queue, full):
    full()
    enqueue(queue)
    consumer = queue.consume("bulk", prefetch=8, timeout=100)
    message = next(consumer)
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.config_set("maxmemory", "1")
    ends = threading.Thread(target=consumer.ack, args=[message])
    ends.start()
    time.sleep(0.7)
    assert ends.is_alive()
    full()
    ends.join(5)
    assert not ends.is_alive()
    assert queue.do_qsize("bulk") == 0


def slot(client, owner_id=1, number=0):
    return client.pttl(f"vestnik:lane:{owner_id}:{number}")


def test_a_lane_whose_message_did_not_reach_the_queue_leaves_its_slot_within_seconds(valkey, monkeypatch):
    """Redis took the token, and neither the message nor the token's release."""
    client = redis.Redis.from_url(settings.REDIS_URL)

    def gone(*args, **kwargs):
        monkeypatch.setattr(lanes, "impatient_redis", lambda: redis.Redis(port=1))
        return False

    monkeypatch.setattr(jobs.Job, "enqueue", gone)
    with pytest.raises(lanes.SlotUnknown):
        lanes.wake(1)
    assert 0 < slot(client) <= 10_000, "for ten minutes nobody can be woken"


def test_a_lane_whose_message_waits_keeps_its_slot_for_as_long_as_turns_take(valkey):
    lanes.wake(1)
    assert slot(redis.Redis.from_url(settings.REDIS_URL)) > 500_000


def test_slots_of_lanes_that_wait_are_free_again_and_those_of_lanes_that_work_are_not(valkey):
    client = redis.Redis.from_url(settings.REDIS_URL)
    lanes.wake(1)
    client.set("vestnik:lane:2:0", "works", px=10_000)
    lanes.free_waiting_slots()
    assert client.keys("vestnik:lane:*") == [b"vestnik:lane:2:0"]


def test_a_slot_that_redis_says_nothing_of_is_no_fault_of_the_program():
    """Which would be a traceback, and an event at Sentry."""
    assert issubclass(lanes.SlotUnknown, Retry)
    assert lanes.may_come_again(0, lanes.SlotUnknown(""))
    assert not lanes.may_come_again(0, ValueError())


def test_the_scheduler_says_once_that_the_queue_is_lost_and_once_that_it_is_back(valkey, full, caplog, monkeypatch):
    ticks = []
    monkeypatch.setattr(jobs.TICK.__class__, "enqueue", lambda job: ticks.append(job) or True)
    caplog.set_level("INFO")
    scheduler = Scheduler([])
    assert [scheduler.look() for _ in range(3)] == [False] * 3
    full()
    assert [scheduler.look() for _ in range(3)] == [True] * 3
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "the queue takes no jobs",
        "the queue takes jobs again",
    ]
    assert ticks == [jobs.TICK], "what is due is looked for at once"


def test_the_scheduler_looks_for_what_is_due_where_the_queue_was_restarted(valkey, monkeypatch):
    ticks = []
    monkeypatch.setattr(jobs.TICK.__class__, "enqueue", lambda job: ticks.append(job) or True)
    scheduler = Scheduler([])
    assert scheduler.look()
    embedded.SERVERS[1].crash()
    embedded.SERVERS[1].start()
    assert scheduler.look(), "it was away for so short a time that nobody noticed"
    assert len(ticks) == 2


def noted(message):
    """What the middleware does before and after a job."""
    dead = middleware.DeadJobMiddleware()
    dead.before_process_message(None, message)
    dead.after_process_message(None, message)


@pytest.fixture
def message(queue, monkeypatch):
    monkeypatch.setattr(middleware, "_is_away", False)
    enqueue(queue)
    return next(queue.consume("bulk", prefetch=8, timeout=100))


def test_a_queue_that_answers_late_is_one_line_in_the_log_and_no_traceback(message, caplog):
    redis.Redis.from_url(settings.REDIS_URL).execute_command("CLIENT", "PAUSE", "900", "ALL")
    noted(message)
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)]
    time.sleep(0.8)
    noted(message)
    assert len(caplog.records) == 1
    redis.Redis.from_url(settings.REDIS_URL).execute_command("CLIENT", "PAUSE", "900", "ALL")
    noted(message)
    assert len(caplog.records) == 2, "the next time is news again"
    time.sleep(0.8)


def test_a_connection_that_was_closed_while_it_was_read_is_the_same(message, caplog, monkeypatch):
    class Closed:
        def pipeline(self):
            raise ValueError("I/O operation on closed file")

        def delete(self, *names):
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(middleware, "impatient_redis", Closed)
    noted(message)
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)]
