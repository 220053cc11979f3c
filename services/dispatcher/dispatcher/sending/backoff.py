"""How long to wait before something is tried again."""

import random

from django.conf import settings


def retry_after(attempts: int) -> float:
    """Return seconds to wait after the `attempts`-th charged attempt failed: exponential, capped, spread by a
    quarter.
    """
    seconds: float = min(settings.RETRY_CAP_SECONDS, settings.RETRY_BASE_SECONDS * 2 ** (attempts - 1))
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def probe_backoff(count: int) -> float:
    """Return seconds to stay away from a service that refused `count` times in a row."""
    seconds: float = settings.PROBE_BACKOFF[min(count, len(settings.PROBE_BACKOFF)) - 1]
    return seconds
