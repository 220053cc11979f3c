"""Jobs that die: made through the broker itself, and by a real worker on jobs of the tests' own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dramatiq

from vestnik import dead_jobs
from vestnik.dead_jobs import DeadJob
from vestnik.redis_client import impatient_redis

ROOT = Path(__file__).parents[1]

WORKER = """
import json, os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "dispatcher.settings"
django.setup()
import dramatiq, sentry_sdk

def kill(path):
    open(path, "a").write("x")
    os.kill(os.getpid(), 9)

def fail(words):
    password = "seen nowhere"
    raise ValueError(words)

def succeed():
    pass

def stop():
    raise dramatiq.middleware.Shutdown

for function in (kill, fail, succeed, stop):
    options = {"throws": dramatiq.middleware.Shutdown} if function is stop else {"max_retries": 2}
    dramatiq.actor(function, queue_name="control", min_backoff=1, max_backoff=1, **options)
broker = dramatiq.get_broker()
broker.heartbeat_timeout, broker.maintenance_chance = 1000, 1_000_000
worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
worker.start()
try:
    broker.join("control", interval=50, timeout=20_000)
finally:
    worker.stop()
    sentry_sdk.flush(5)
"""
"""A worker of the dispatcher with its middleware and four jobs; it ends when nothing is left to do."""


def dead_job(job: str = "launch", *args: Any, queue: str = "control", error: str = "", traceback: str = "") -> DeadJob:
    """A job that died, of `error` if that was noted."""
    broker = dramatiq.get_broker()
    broker.declare_queue(queue)
    message: dramatiq.Message[Any] = dramatiq.Message(queue, job, args, {}, {})
    sent = broker.enqueue(message)
    consumer = broker.consume(queue, prefetch=100)
    for taken in consumer:
        assert taken is not None
        if taken.message_id == sent.message_id:
            break
    consumer.nack(taken)
    if error:
        dead_jobs.record(taken.options["redis_message_id"], error, traceback, 1)
    found = dead_jobs.one(taken.options["redis_message_id"])
    assert found is not None
    return found


def work(**variables: str) -> "subprocess.CompletedProcess[str]":
    """Let a worker do what is in the queue."""
    return subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def waiting(queue: str = "control") -> list[tuple[str, list[Any], dict[str, Any]]]:
    """What waits in the queue: job, arguments, options."""
    contents = [json.loads(content) for content in impatient_redis().hvals(f"vestnik:{queue}.msgs")]
    return [(each["actor_name"], each["args"], each["options"]) for each in contents]
