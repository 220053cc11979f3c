"""What has to happen soon. A machine may be busy with something else just then, so whoever is late is asked again.

A test that raises `NotInTime` is run again, twice at most (`--only-rerun` in pyproject.toml). Any other failure counts
at once, and so does what is late three times in a row.
"""

import time
from collections.abc import Callable
from typing import Any


class NotInTime(AssertionError):
    """It came about late, or not within the time that a test can wait."""


def in_time(seconds: float, limit: float, what: object = "") -> None:
    """Raise NotInTime if so many seconds are more than the limit."""
    if seconds > limit:
        raise NotInTime(f"{seconds:.2f} s instead of {limit:g} s at most {what}".rstrip())


def wait_until(holds: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Return what `holds` does as soon as that is true, asked fifty times a second.

    Raises AssertionError after so many seconds: enough for a busy machine to start some processes.
    """
    deadline = time.monotonic() + timeout
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
    return found
