"""Jobs that die are kept with what they died of, and can be tried again; those that kill workers are set aside."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from tests.dead_jobs import dead_job, waiting, work
from vestnik import dead_jobs, jobs, supervision
from vestnik.accounts.audit import AuditEntry
from vestnik.accounts.models import User
from vestnik.jobs import Job
from vestnik.redis_client import impatient_redis

pytestmark = pytest.mark.usefixtures("valkey")

KILL, FAIL, SUCCEED, STOP = (Job(name, jobs.CONTROL) for name in ("kill", "fail", "succeed", "stop"))


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.org", "a long password")


def keys() -> list[str]:
    """What Redis holds of single jobs."""
    return [key.decode() for pattern in ("died", "starts") for key in impatient_redis().keys(f"vestnik:{pattern}:*")]


# What they died of


def test_a_job_that_fails_is_tried_again_and_then_kept_with_what_it_died_of() -> None:
    FAIL.enqueue("no such thing")
    worker = work()

    assert worker.returncode == 0, worker.stderr
    (dead,) = dead_jobs.listed()
    assert (dead.job, dead.args, dead.queue) == ("fail", ("no such thing",), "control")
    assert (dead.error, dead.tries) == ("ValueError: no such thing", 3)
    assert dead.traceback.startswith("Traceback")
    assert dead.traceback.endswith("ValueError: no such thing\n")
    assert abs(timezone.now() - dead.died_at) < timedelta(minutes=1)
    assert keys() == [f"vestnik:died:{dead.id}"]
    kept = impatient_redis().ttl(f"vestnik:died:{dead.id}")
    assert timedelta(seconds=kept) > settings.DEAD_JOB_TTL


def test_what_it_died_of_names_nobody_and_no_secret() -> None:
    FAIL.enqueue(
        "smtp://u:hunter2@mail.example.org refused alice@example.org\n"
        "DETAIL:  Failing row contains (7, Alice,\nArcher)."
    )
    work()

    (dead,) = dead_jobs.listed()
    assert dead.error == "ValueError: smtp://[secret]@mail.example.org refused [address]"
    for text in ("hunter2", "alice@", "Archer", "seen nowhere"):
        assert text not in dead.traceback
    assert "Failing row contains (…)." in dead.traceback


def test_a_job_that_nobody_knows_dies_at_once() -> None:
    Job("dance", jobs.CONTROL).enqueue(1)
    work()

    (dead,) = dead_jobs.listed()
    assert (str(dead), dead.tries) == ("dance(1)", 0)
    assert dead.error.startswith("ActorNotFound: ")


def test_a_job_that_ends_well_or_is_stopped_with_its_worker_leaves_nothing() -> None:
    SUCCEED.enqueue()
    STOP.enqueue()
    worker = work()

    assert worker.returncode == 0
    assert dead_jobs.count() == 0
    assert waiting() == keys() == []


# Crash loops


def test_a_job_that_kills_its_worker_is_not_begun_a_fourth_time(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    KILL.enqueue(str(begun))
    codes = [work().returncode for _ in range(4)]

    assert codes == [-9, -9, -9, 0]
    assert begun.read_text() == "xxx"
    (dead,) = dead_jobs.listed()
    assert (dead.job, dead.error, dead.tries) == ("kill", "Its worker died three times while doing this.", 3)
    assert waiting() == []
    assert keys() == [f"vestnik:died:{dead.id}"]


def test_a_job_tried_again_after_it_killed_workers_has_all_its_tries(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    KILL.enqueue(str(begun))
    for _ in range(4):
        work()
    dead_jobs.requeue(*dead_jobs.listed())
    codes = [work().returncode for _ in range(4)]

    assert codes == [-9, -9, -9, 0]
    assert begun.read_text() == "x" * 6
    assert dead_jobs.count() == 1


def test_without_redis_the_middleware_lets_jobs_be_done(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    import dramatiq
    import redis
    from dramatiq.broker import MessageProxy

    from dispatcher.queue import middleware
    from dispatcher.queue.middleware import DeadJobMiddleware

    monkeypatch.setattr(middleware, "impatient_redis", lambda: redis.Redis.from_url("redis://127.0.0.1:1/0"))
    message = MessageProxy(dramatiq.Message("control", "fail", (), {}, {"redis_message_id": "x", "retries": 1}))
    message.stuff_exception(ValueError("no"))
    kept, broker = DeadJobMiddleware(), dramatiq.get_broker()
    kept.before_process_message(broker, message)
    kept.after_process_message(broker, message, exception=ValueError("no"))
    kept.after_skip_message(broker, message)
    kept.before_nack(broker, message)
    kept.after_nack(broker, message)

    assert not message.failed
    assert {record.levelname for record in caplog.records} == {"WARNING"}


# Looking at them


def test_the_dead_of_both_queues_are_listed_the_newest_first() -> None:
    died = [
        dead_job("launch", 1),
        dead_job("send", 5, 0, "token", 0, queue="bulk"),
        dead_job("close", 2),
    ]
    for seconds, message in enumerate(died):
        impatient_redis().zadd(f"vestnik:{message.queue}.XQ", {message.id: 1_000_000 + seconds})

    assert [str(message) for message in dead_jobs.listed()] == ["close(2)", "send(5, 0, 'token', 0)", "launch(1)"]
    assert [str(message) for message in dead_jobs.listed(1, 1)] == ["send(5, 0, 'token', 0)"]
    assert dead_jobs.listed(10, 3) == []
    assert dead_jobs.count() == 3


def test_one_that_died_without_a_word_says_how_often_it_was_tried() -> None:
    dead = dead_job("launch", 1)

    assert (dead.error, dead.traceback, dead.tries) == ("", "", 1)
    assert dead_jobs.one(dead.id) == dead
    assert dead_jobs.one("nothing") is None


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_jobs, "KEPT", 2)
    died = [dead_job("launch", number, error="E") for number in range(4)]
    for seconds, message in enumerate(died):
        impatient_redis().zadd("vestnik:control.XQ", {message.id: 1_000_000 + seconds})
    dead_jobs.prune("control")

    assert [message.args for message in dead_jobs.listed()] == [(3,), (2,)]
    assert impatient_redis().hlen("vestnik:control.XQ.msgs") == len(keys()) == 2


# Trying again, discarding


def test_a_job_tried_again_is_enqueued_as_if_for_the_first_time() -> None:
    FAIL.enqueue("no")
    work()
    (dead,) = dead_jobs.listed()
    dead_jobs.requeue(dead)

    ((job, args, options),) = waiting()
    assert (job, args) == ("fail", ["no"])
    assert list(options) == ["redis_message_id"]
    assert options["redis_message_id"] != dead.id
    assert dead_jobs.count() == 0
    assert keys() == []


def test_a_discarded_job_is_gone() -> None:
    dead_jobs.discard(dead_job("launch", 7, error="E"))

    assert dead_jobs.count() == 0
    assert waiting() == keys() == []


def test_what_somebody_was_faster_with_is_refused() -> None:
    dead = dead_job("launch", 7)
    dead_jobs.requeue(dead)

    for action in (dead_jobs.requeue, dead_jobs.discard):
        with pytest.raises(ValidationError, match="somebody was faster"):
            action(dead)
    assert len(waiting()) == 1


def test_a_superusers_action_is_in_the_audit_log(root: User) -> None:
    supervision.requeue(dead_job("launch", 7, error="ValueError: no"), root, "192.0.2.1")
    supervision.discard(dead_job("close", 8), root)

    first, second = AuditEntry.objects.order_by("pk")
    assert (first.actor_address, first.action, first.kind, first.label) == (root.email, "requeued", "job", "launch(7)")
    assert (first.reason, first.from_address, first.person_address) == ("ValueError: no", "192.0.2.1", "")
    assert (second.action, second.label) == ("discarded", "close(8)")


def test_whoever_is_no_superuser_is_refused(maria: User, alice: User) -> None:
    dead = dead_job("launch", 7)
    for person in (maria, alice):
        for action in (supervision.requeue, supervision.discard):
            with pytest.raises(ValidationError, match="Only administrators"):
                action(dead, person)

    assert dead_jobs.count() == 1
    assert waiting() == []
    assert not AuditEntry.objects.exists()


def test_a_queue_that_is_away_is_said_and_nothing_is_noted(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    dead = dead_job("launch", 7)
    with monkeypatch.context() as away:
        away.setattr(dead_jobs, "impatient_redis", lambda: redis.Redis.from_url("redis://127.0.0.1:1/0"))
        for ask in (dead_jobs.count, dead_jobs.listed, lambda: supervision.discard(dead, root)):
            with pytest.raises(dead_jobs.QueueAway):
                ask()

    assert dead_jobs.listed() == [dead]
    assert not AuditEntry.objects.exists()


def test_a_job_that_could_not_be_enqueued_stays_among_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    dead = dead_job("launch", 7)
    monkeypatch.setattr(dramatiq.broker, "global_broker", RedisBroker(url="redis://127.0.0.1:1/0"))
    with pytest.raises(dead_jobs.QueueAway):
        dead_jobs.requeue(dead)

    assert dead_jobs.listed() == [dead]


def test_two_who_requeue_a_job_at_once_put_it_into_the_queue_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = dead_job("launch", 7)
    both = threading.Barrier(2)
    looked = dead_jobs._refuse_gone

    def look(message: Any) -> None:
        looked(message)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # as two web processes would

    monkeypatch.setattr(dead_jobs, "_refuse_gone", look)
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(dead_jobs.requeue, message) for _ in range(2)]
        refused = [each.exception() for each in done]
    assert len(waiting()) == 1
    assert len([each for each in refused if each]) == 1
