"""What was handed over lately, by the ledger: for windows that Redis has forgotten.

All of them are refilled at once, by one statement for each kind of limited key. It counts attempts that began within
the longest window, which the index on their time finds; letters in somebody's hand, for they may have been handed over
just now; and account mail. Nothing is granted meanwhile.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice

from django.db import connection
from redis.exceptions import LockError

from dispatcher.pace.limits.rules import EVERY_OTHER, Windows
from dispatcher.pace.limits.windows import PREFIX, Counter

PROVIDER, OWNER, DOMAIN = "provider", "owner:", "domain:"

PAUSE = 1.5
"""Seconds until tokens are granted again: by then all processes have said what they hold (`Limits.renew`)."""

LOCK_SECONDS = 120.0
CHUNK = 500
"""Rows that are loaded into Redis at a time."""

_ATTEMPTS = """
    SELECT {key}, extract(epoch FROM statement_timestamp() - attempt.began_at)::float8, 1
    FROM mailings_attempt attempt {joins}
    WHERE attempt.began_at > statement_timestamp() - %(longest)s * interval '1 second'
"""
_IN_HAND = "SELECT {key}, 0, 1 FROM mailings_delivery delivery {joins} WHERE delivery.state = 'sending'"
# Of account mail only the end is known: all tries count as if they had been then, and now where there is no end yet.
_ACCOUNT_MAIL = """
    SELECT {key}, coalesce(extract(epoch FROM statement_timestamp() - letter.settled_at)::float8, 0),
           least(letter.claim, letter.attempts + 1)
    FROM accounts_accountletter letter
    WHERE letter.claim > 0
      AND (letter.settled_at IS NULL OR letter.settled_at > statement_timestamp() - %(longest)s * interval '1 second')
"""
# Ages are rounded down to buckets of the shortest window that they still matter for.
_COUNTED = """
    SELECT key, floor(age / width) * width, sum(count)::bigint FROM (
        SELECT *, CASE WHEN age < 1 THEN 0.005 WHEN age < 60 THEN 0.3 WHEN age < 3600 THEN 18 ELSE 432 END AS width
        FROM ({handed_over}) AS it (key, age, count)
    ) AS aged
    WHERE %(only)s::text[] IS NULL OR key = ANY(%(only)s::text[])
    GROUP BY 1, 2
"""

# Looked up one by one: what was handed over within a day may be a small part of all there is, or all of it.
_DELIVERY = """CROSS JOIN LATERAL (
        SELECT run_id, address FROM mailings_delivery WHERE id = attempt.delivery_id LIMIT 1
    ) delivery"""
_RUN = "CROSS JOIN LATERAL (SELECT owner_id FROM mailings_run WHERE id = delivery.run_id LIMIT 1) run"
_DOMAIN = "split_part({}, '@', 2)"

BY_PROVIDER = " UNION ALL ".join(
    (
        _ATTEMPTS.format(key="''", joins=""),
        _IN_HAND.format(key="''", joins=""),
        _ACCOUNT_MAIL.format(key="''"),
    )
)
BY_OWNER = " UNION ALL ".join(
    (
        _ATTEMPTS.format(key="run.owner_id::text", joins=f"{_DELIVERY} {_RUN}"),
        _IN_HAND.format(key="run.owner_id::text", joins=_RUN),
    )
)
BY_DOMAIN = " UNION ALL ".join(
    (
        _ATTEMPTS.format(key=_DOMAIN.format("delivery.address"), joins=_DELIVERY),
        _IN_HAND.format(key=_DOMAIN.format("delivery.address"), joins=""),
    )
)


@dataclass(frozen=True, slots=True)
class Rules:
    """All limits of an installation."""

    provider: Windows
    owner: Windows
    domains: dict[str, Windows]

    def of_domain(self, domain: str) -> Windows:
        """Return the limits of a domain."""
        return self.domains.get(domain) or self.domains.get(EVERY_OTHER, ())


def refill(counter: Counter, rules: Rules) -> bool:
    """Refill all windows from the ledger; return False if somebody else is at it.

    Raises redis.RedisError or django.db.Error if one of them is away; then somebody begins again.
    """
    lock = counter.client.lock(f"{PREFIX}refilling", timeout=LOCK_SECONDS, blocking=False)
    if not lock.acquire():
        return False
    try:
        if not counter.vouched_for():
            counter.clear()
            _load(counter, rules, lambda: lock.extend(LOCK_SECONDS, replace_ttl=True))
            lock.extend(LOCK_SECONDS, replace_ttl=True)
            counter.vouch(PAUSE)
    except LockError:  # it took too long: another has begun again
        return False
    finally:
        with suppress(LockError):
            lock.release()
    return True


def _load(counter: Counter, rules: Rules, go_on: Callable[[], object]) -> None:
    """Load all that the ledger knows; `go_on` is called before each part, and raises if it may not."""
    rows = chain(
        ((PROVIDER, rules.provider, *row[1:]) for row in _handed_over(BY_PROVIDER, rules.provider)),
        ((f"{OWNER}{row[0]}", rules.owner, *row[1:]) for row in _handed_over(BY_OWNER, rules.owner)),
        ((f"{DOMAIN}{row[0]}", rules.of_domain(row[0]), *row[1:]) for row in _of_domains(rules)),
    )
    while chunk := list(islice(rows, CHUNK)):
        go_on()
        used, windows = defaultdict(list), {}
        for key, limits, age, count in chunk:
            used[key].append((max(0, int(age * 1e6)), count))
            windows[key] = [window.seconds for window in limits]
        counter.load(used, windows)


def _of_domains(rules: Rules) -> Iterator[tuple[str, float, int]]:
    windows = tuple(chain.from_iterable(rules.domains.values()))
    return _handed_over(BY_DOMAIN, windows, None if EVERY_OTHER in rules.domains else list(rules.domains))


def _handed_over(statement: str, windows: Windows, only: list[str] | None = None) -> Iterator[tuple[str, float, int]]:
    """Yield (key, seconds ago, how many) of what was handed over within the longest window; of `only` these keys."""
    if windows:
        with connection.cursor() as cursor:
            longest = max(window.seconds for window in windows)
            cursor.execute(_COUNTED.format(handed_over=statement), {"longest": longest, "only": only})
            yield from cursor.fetchall()
