"""When there is something to do: whose letters are due, and when the next ones are (prepared, as in statements.py)."""

from collections.abc import Sequence

from dispatcher.ledger.statements import DUE, IN_ORDER, MAY_SEND, RUN_IN_CONTEXT, execute

# When an owner's lanes should be awake next, in seconds from now; runs that may not send do not count.
NEXT_DUE = f"""
    SELECT extract(epoch FROM min(due.at) - clock_timestamp())::float8
    FROM {RUN_IN_CONTEXT},
    LATERAL (
        SELECT d.due_at AS at FROM mailings_delivery d
        WHERE d.run_id = run.id AND d.state = 'queued' ORDER BY d.due_at LIMIT 1
    ) due
    WHERE (%(owner)s::bigint IS NULL OR run.owner_id = %(owner)s)
      AND (%(only)s::bigint[] IS NULL OR run.id = ANY(%(only)s::bigint[])) AND {MAY_SEND}
"""

# The tick's question: whose lanes should be awake?
OWNERS_WITH_LETTERS_DUE = f"""
    SELECT DISTINCT run.owner_id FROM {RUN_IN_CONTEXT}
    WHERE (%(only)s::bigint[] IS NULL OR run.id = ANY(%(only)s::bigint[])) AND {MAY_SEND}
      AND EXISTS (SELECT FROM mailings_delivery WHERE run_id = run.id AND {DUE} {IN_ORDER})
"""


def next_due(owner_id: int | None = None, only: Sequence[int] | None = None) -> float | None:
    """Return seconds until a letter is due (of the owner, of these runs); negative if overdue, None if none waits."""
    ((seconds,),) = execute(NEXT_DUE, owner=owner_id, only=None if only is None else list(only))
    return None if seconds is None else float(seconds)


def owners_with_letters_due(only: Sequence[int] | None = None) -> list[int]:
    """Return the owners of letters that are due and may be sent (of these runs)."""
    rows = execute(OWNERS_WITH_LETTERS_DUE, only=None if only is None else list(only))
    return [owner_id for (owner_id,) in rows]
