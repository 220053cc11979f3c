"""A job that is to wait begins when its time has come: probes, retries and launches are such jobs."""

import time
from datetime import timedelta
from statistics import median

from django.core.cache import cache

from tests.timing import in_time, wait_until
from vestnik import jobs


def test_jobs_that_wait_begin_when_their_time_has_come(run_dispatcher):
    run_dispatcher("control")
    in_time(median(lateness() for _ in range(7)), 0.35, "after it was due")


def lateness() -> float:
    """In seconds, of a job in an idle queue."""
    time.sleep(1)  # the queue is looked at less and less often while nothing comes
    due = time.time() + 0.6
    jobs.TICK.enqueue(delay=timedelta(seconds=0.6))
    wait_until(lambda: cache.get("vestnik:tick", 0) >= due, 5)
    return float(cache.get("vestnik:tick") - due)
