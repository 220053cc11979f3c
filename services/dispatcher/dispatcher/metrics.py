"""What this process counts of its work, for Prometheus."""

import dramatiq
from dramatiq.middleware import Middleware

from dispatcher.providers.base import Outcome
from vestnik.metrics import Histogram, Summary, port

ATTEMPT_SECONDS = Histogram(
    "vestnik_attempt_seconds",
    "How long it took to hand a letter of a mailing over, by what came of it.",
    ["outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
LIMIT_WAIT_SECONDS = Summary(
    "vestnik_limit_wait_seconds",
    "How often a limit left no letter to be claimed, or put one off, and for how long, as was foreseen.",
    ["limit"],
)

_attempts = {outcome: ATTEMPT_SECONDS.labels(outcome.value) for outcome in set(Outcome) - {Outcome.RETURNED}}
_waits = {limit: LIMIT_WAIT_SECONDS.labels(limit) for limit in ("service", "installation", "owner", "domain")}


def attempt(outcome: Outcome, seconds: float) -> None:
    """Count a hand-over by its outcome and the seconds it took."""
    if outcome in _attempts:
        _attempts[outcome].observe(seconds)


def waits(limit: str, seconds: float) -> None:
    """Count a wait of so many seconds for a limit; "service" is the one that the mail service asked for itself."""
    _waits[limit].observe(seconds)


class MetricsMiddleware(Middleware):
    """Opens the metrics' port in each worker process."""

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """Open the port in the new process."""
        port.serve()
