"""Every lock that several processes see: PostgreSQL's advisory locks, by their names.

A lock of a transaction ends with it, one of a connection with the `with` block or the process, whichever comes first.
The version before takes the same locks while it is being replaced: a name is changed only with what it guards.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

ACCOUNT_MAIL = "vestnik.account_mail"
"""Handing over the letters that Vestnik itself writes."""
BLOG = "vestnik.blog"
"""Changing posts: which pages a change touches depends on all the others."""
CLOSE = "vestnik.close"
"""Closing runs (`dispatcher.ledger.statements.CLOSE_OUT`)."""
DOMAIN_CHECKS = "vestnik.domains"
"""Asking the DNS of domains."""
ERASURE = "vestnik.erase"
"""Erasing what a deleted account owned."""
HOMEPAGE_STATS = "vestnik.figures"
"""Counting the figures of the home page."""
IMPORT = "vestnik.import"
"""Importing a file; the number is the owner's."""
IMPORT_SLOT = "vestnik.import.slot"
"""One of the slots for imports at once; the number is the slot's."""
LAUNCH = "vestnik.launch"
"""Launching a mailing; the number is the mailing's."""
OWNERS_FILES = "vestnik.owner.files"
"""Accepting a file of clients, which are limited for each owner; the number is the owner's."""
OWNERS_LISTS = "vestnik.owner.lists"
"""Creating a list, likewise."""
OWNERS_SENDERS = "vestnik.owner.senders"
"""Adding a sender or a domain, likewise."""
OWNERS_SHARES = "vestnik.owner.shares"
"""Sharing something, likewise."""
PAGE_REFRESH = "vestnik.refresh"
"""Having nginx fetch public pages again."""
PICTURE = "vestnik.picture:"
"""Storing a picture; its key follows the colon."""
SHARE = "vestnik.share"
"""Sharing with an address, or confirming it; keyed by the address."""
TICK = "vestnik.tick"
"""The tick."""

Number = int | str
"""Which of many objects the lock is about; a string stands for its hash."""


def wait(name: str, number: Number = 0) -> None:
    """Take the lock until the transaction ends; wait for whoever has it."""
    _one(f"SELECT pg_advisory_xact_lock({_key(number)})", name, number)


def wait_for_each(name: str, numbers: Collection[int]) -> None:
    """Take the lock of each of these numbers until the transaction ends; wait for whoever has one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, number)) FROM unnest(%s::bigint[]) AS it (number)",
            [name, list(numbers)],
        )


def take(name: str, number: Number = 0) -> bool:
    """Take the lock until the transaction ends, unless somebody else has it. Return whether it was taken."""
    return bool(_one(f"SELECT pg_try_advisory_xact_lock({_key(number)})", name, number))


@contextmanager
def held(name: str, number: Number = 0) -> Iterator[bool]:
    """Take the lock for as long as the block lasts, unless somebody else has it. Yields whether it was taken.

    The lock is the connection's and not a transaction's: none has to be open meanwhile.
    """
    taken = bool(_one(f"SELECT pg_try_advisory_lock({_key(number)})", name, number))
    try:
        yield taken
    finally:
        if taken:
            _one(f"SELECT pg_advisory_unlock({_key(number)})", name, number)


def is_taken(name: str, number: int) -> bool:
    """Say whether somebody has the lock now."""
    return bool(
        _one(
            "SELECT EXISTS (SELECT FROM pg_locks, (SELECT hashtextextended(%s, %s) AS key) AS wanted"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid::bigint = (key >> 32) & 4294967295 AND objid::bigint = key & 4294967295)",
            name,
            number,
        )
    )


def _key(number: Number) -> str:
    return f"hashtextextended(%s, {'hashtextextended(%s, 0)' if isinstance(number, str) else '%s'})"


def _one(query: str, name: str, number: Number) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, [name, number])
        return cursor.fetchone()[0]
