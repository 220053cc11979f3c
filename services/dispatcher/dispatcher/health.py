"""`python -m dispatcher health control|bulk|scheduler|bounces`: whether that part works on this machine, or in
this container.

Workers are found by the heartbeats that Dramatiq keeps in the broker, the scheduler by its effect, the tick, and
whoever receives bounces by a greeting.
"""

import os
import platform
import smtplib
import time
from pathlib import Path
from typing import Any

import dramatiq
import redis
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from dramatiq.middleware import Middleware

from vestnik import heartbeats, jobs

SCHEDULER_STARTED = "vestnik:scheduler"
TICK_MAY_BE_LATE = 60.0
PATIENCE = 2.0  # with the queue, in seconds: on a busy machine it is no fault to be slow


class Unhealthy(Exception):
    """A part does not work; the text says why, in a sentence."""


def main(part: str, processes: int) -> int:
    """Print whether the part works, which should have so many worker processes; return the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dispatcher.settings")
    try:
        match part:
            case "scheduler":
                print(_scheduler())
            case "bounces":
                print(_bounces())
            case _:
                print(_workers(part, processes))
    except (Unhealthy, ImproperlyConfigured) as error:
        print(error)
        return 1
    return 0


class HeartbeatMiddleware(Middleware):
    """Gives each worker process its name at the broker, and delayed messages the time at which their delay ended."""

    def __init__(self, part: str) -> None:
        self._part = part

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """Give the process its name, by which its heartbeat is found."""
        redis_broker: Any = broker
        redis_broker.broker_id = heartbeats.new_name(self._part, os.getpid())

    def before_enqueue(self, broker: dramatiq.Broker, message: "dramatiq.Message[Any]", delay: int | None) -> None:
        """Note when a job enters its queue, in milliseconds since 1970: now, if its delay is over or it has none."""
        if delay is None:
            message.options[heartbeats.QUEUED_AT] = round(time.time() * 1000)


def note_scheduler() -> None:
    """Record that the scheduler has started: its first tick may take a while."""
    cache.set(SCHEDULER_STARTED, time.time(), timeout=None)


def _workers(part: str, processes: int) -> str:
    try:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
        beating = heartbeats.fresh(client)
    except (redis.RedisError, OSError) as error:
        raise Unhealthy(f"The queue does not answer, so nothing is known of {part}: {error}") from None
    here = {each.pid for each in beating if (each.host, each.part) == (platform.node(), part) and _lives(each.pid)}
    if len(here) < processes:
        raise Unhealthy(f"Of {processes} processes of {part}, {len(here)} have a heartbeat.")
    return f"{part}: {len(here)} processes work"


def _scheduler() -> str:
    last_tick, started = cache.get("vestnik:tick"), cache.get(SCHEDULER_STARTED)
    now = time.time()
    if last_tick is not None and now < _latest_after(last_tick):
        return f"the last tick was {now - last_tick:.0f} s ago"
    if started is not None and now < _latest_after(started):
        return f"started {now - started:.0f} s ago"
    if last_tick is None:
        raise Unhealthy("There was no tick as far as is known. Is the cache away?")
    raise Unhealthy(f"The last tick was {now - last_tick:.0f} s ago.")


def _bounces() -> str:
    if not settings.BOUNCE_DOMAIN:
        return "BOUNCE_DOMAIN is not set: bounces are not received"
    host, port = settings.BOUNCE_LISTEN.rpartition(":")[::2]
    everywhere = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104
    try:
        with smtplib.SMTP(everywhere.get(host, host.strip("[]")), int(port), timeout=PATIENCE) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise Unhealthy(f"What comes back is not received at {settings.BOUNCE_LISTEN}: {error}") from None
    return f"bounces: received at {settings.BOUNCE_LISTEN}"


def _latest_after(at: float) -> float:
    """Return when a tick after the next one would be late."""
    return at + jobs.horizon(at).total_seconds() + TICK_MAY_BE_LATE


def _lives(pid: int) -> bool:
    """Say whether the process lives: it does not if it is from before the container's restart, or only waits to be
    reaped.
    """
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except (ProcessLookupError, PermissionError):
        return False
    except FileNotFoundError:  # systems without /proc
        return True
