"""How account letters go from state to state: each statement under a name, with the reason for its form."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import connection

from vestnik.accounts.letters import GIVE_UP_AFTER

GRACE = timedelta(seconds=10)
"""How long after its claim a letter is left to a process that lost the lock, but may still settle it."""

WAITING = "state = 'queued' AND created_at > statement_timestamp() - %(give_up_after)s::interval"
# Whoever has the lock is alone: what others have in hand is abandoned, unless they only lost their connection.
ABANDONED = """
    state = 'sending' AND claimed_at < statement_timestamp() - %(grace)s::interval AND id <> ALL(%(in_hand)s::bigint[])
"""
DUE = f"""
    SELECT EXISTS (SELECT FROM accounts_accountletter WHERE {WAITING} AND due_at <= statement_timestamp())
        OR EXISTS (SELECT FROM accounts_accountletter WHERE {ABANDONED})
"""

# One at a time, when a connection is ready for it: what is claimed is in hand, and nothing has to be given back.
CLAIM = f"""
    UPDATE accounts_accountletter
    SET state = 'sending', due_at = NULL, claimed_at = clock_timestamp(), claim = claim + 1
    WHERE id = (
        SELECT id FROM accounts_accountletter WHERE {WAITING} AND due_at <= statement_timestamp()
        ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, claim, key, recipient, content
"""

# While the service is away all letters wait together, whatever jobs arrive: the ledger says when to try again.
PUT_OFF = """
    UPDATE accounts_accountletter SET due_at = statement_timestamp() + %(wait)s::interval
    WHERE state = 'queued' AND due_at < statement_timestamp() + %(wait)s::interval
"""

RESCUE = f"""
    UPDATE accounts_accountletter SET state = 'queued', due_at = statement_timestamp(), claimed_at = NULL
    WHERE {ABANDONED}
    RETURNING id
"""
EXPIRE = """
    UPDATE accounts_accountletter
    SET state = 'expired', due_at = NULL, content = '', settled_at = statement_timestamp()
    WHERE state = 'queued' AND created_at <= statement_timestamp() - %(give_up_after)s::interval
    RETURNING id, recipient, code, answer
"""
# Letters that ended: their recipient is of no use where nobody has that address (a deleted account, a mistyped one).
ERASE_RECIPIENTS = """
    UPDATE accounts_accountletter SET recipient = '', subject = '', answer = ''
    WHERE id = ANY(%(letters)s::bigint[]) AND NOT EXISTS (SELECT FROM accounts_user WHERE email = recipient OFFSET 0)
"""

# The hash of a letter's recipient is stored for counting alone.
FORGET_RECIPIENTS = """
    UPDATE accounts_accountletter SET recipient_key = NULL
    WHERE recipient_key IS NOT NULL AND created_at <= statement_timestamp() - %(counted)s::interval
"""


def something_is_due(in_hand: Collection[int] = ()) -> bool:
    """Say whether a letter could be handed over now. `in_hand`: ids of letters that this process has."""
    return bool(execute(DUE, give_up_after=GIVE_UP_AFTER, grace=GRACE, in_hand=list(in_hand))[0][0])


def execute(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Run one of the statements; return its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []
