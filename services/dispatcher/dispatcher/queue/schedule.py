"""The crons, and the process that keeps to them."""

import time

import pendulum
import periodiq
from django.conf import settings

from dispatcher import actors
from dispatcher.queue.scheduler import Scheduler

LATE_SECOND = 55
"""Who starts so late in a minute begins with the next: the library sends a job if its minute is this one."""

actors.tick.options["periodic"] = periodiq.cron(settings.TICK_CRON)
actors.flush_views.options["periodic"] = periodiq.cron("* * * * *")


def run() -> None:
    """Enqueue the periodic jobs when it is time, until the process is stopped."""
    scheduler = Scheduler([actors.tick, actors.flush_views])
    if (second := pendulum.now().second) > LATE_SECOND:
        time.sleep(60 - second)
    scheduler.schedule()
    scheduler.loop()
