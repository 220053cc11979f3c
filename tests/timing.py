"""What has to happen soon. A machine may be busy with something else just then, so whoever is late is asked again.

A test that raises `NotInTime` is run again, twice at most (`--only-rerun` in pyproject.toml). Any other failure counts
at once, and so does what is late three times in a row.
"""


class NotInTime(AssertionError):
    """It came about late, or not within the time that a test can wait."""


def in_time(seconds: float, limit: float, what: object = "") -> None:
    """Raise NotInTime if so many seconds are more than the limit."""
    if seconds > limit:
        raise NotInTime(f"{seconds:.2f} s instead of {limit:g} s at most {what}".rstrip())
