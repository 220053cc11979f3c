"""Each job of `vestnik.jobs`, bound to the one function that does it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dramatiq

from dispatcher import closing, lanes, launching, ticking
from vestnik import jobs

MINUTE = timedelta(minutes=1).total_seconds() * 1000


def bind(job: jobs.Job, function: Callable[..., Any], **options: Any) -> "dramatiq.Actor[..., Any]":
    """Make `function` the actor of `job`."""
    make: Callable[..., dramatiq.Actor[..., Any]] = dramatiq.actor(actor_name=job.name, queue_name=job.queue, **options)
    return make(function)


# Idempotent, all of them, and found again by the tick: a few quick retries, then the next tick.
launch = bind(jobs.LAUNCH, launching.launch_and_wake, max_retries=3, time_limit=60 * MINUTE)
close = bind(jobs.CLOSE, closing.close, max_retries=3, time_limit=60 * MINUTE)
wake = bind(jobs.WAKE, lanes.wake, max_retries=1)
tick = bind(jobs.TICK, ticking.tick, max_retries=0, time_limit=60 * MINUTE)

# A lane ends by itself, by its slice and the provider's time limits; a retried one would be a second lane.
send = bind(jobs.SEND, lanes.run_slice, max_retries=0, time_limit=24 * 60 * MINUTE)
