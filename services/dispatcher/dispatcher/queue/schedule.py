"""The crons, and the process that runs them."""

import time

import pendulum
import periodiq
from django.conf import settings

from dispatcher import actors
from dispatcher.queue.scheduler import Scheduler

LATE_SECOND = 55
"""Seconds of a minute after which the next one is waited for: the library sends jobs of the present minute."""

actors.tick.options["periodic"] = periodiq.cron(settings.TICK_CRON)
actors.flush_views.options["periodic"] = periodiq.cron("* * * * *")


def run() -> None:
    """Enqueue the periodic jobs when it is time, until the process is stopped."""
    scheduler = Scheduler([actors.tick, actors.flush_views])
    if (second := pendulum.now().second) > LATE_SECOND:
        time.sleep(60 - second)
    scheduler.schedule()
    scheduler.loop()
