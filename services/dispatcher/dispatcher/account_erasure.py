"""Erasing what a deleted account owned: in chunks that are committed one by one, so that it can be resumed anywhere.

Rows are erased in the order in which they refer to one another; the user's own row goes last, so that the tick finds
the accounts that are not erased yet.
"""

import logging
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from dispatcher.ledger import closing
from vestnik import account_deletion, homepage_hint, jobs, locks
from vestnik.accounts.models import User
from vestnik.mailings.ledger.models import Run, RunState
from vestnik.mailings.models import Mailing

logger = logging.getLogger(__name__)

CHUNK = 20_000
"""Rows that one statement deletes or empties: seconds of work, whatever the account's size."""

MAILINGS_AT_ONCE = 100
"""Mailings locked against launches at once: PostgreSQL's table of locks is not large."""

AGAIN = timedelta(seconds=10)
"""When to come back for an account of which letters are still in hand."""

# While a run still has its content, its letters may still have addresses: the run is emptied last.
RUNS_TO_EMPTY = """
    SELECT id FROM mailings_run
    WHERE owner_id = %(owner)s AND (subject, html, text, sender, sender_name, reply_to) <> ('', '', '', '', '', '')
"""

# By the unique index on (run, client): where a chunk ends the next begins. An answer may quote the address.
EMPTY_LETTERS = """
    WITH chosen AS MATERIALIZED (
        SELECT id, client_id FROM mailings_delivery
        WHERE run_id = %(run)s AND client_id > %(after)s ORDER BY client_id LIMIT %(chunk)s
    ), emptied AS (
        UPDATE mailings_delivery SET address = '' WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND address <> ''
    ), silenced AS (
        UPDATE mailings_attempt SET answer = ''
        WHERE delivery_id = ANY (ARRAY(SELECT id FROM chosen)) AND answer <> ''
    ), silenced_too AS (
        UPDATE mailings_deliveryevent SET answer = ''
        WHERE run_id = %(run)s AND kind IN ('bounced', 'complained')
          AND client_id = ANY (ARRAY(SELECT client_id FROM chosen)) AND answer <> ''
    )
    SELECT max(client_id) FROM chosen
"""


def erase(user_id: int) -> None:
    """Erase what a deleted account owned, and then the account; later, if letters of it are in hand.

    One account at a time in the whole installation; whoever has erased one hints at those that wait. Idempotent.
    """
    with locks.held(locks.ERASURE) as alone:
        if not alone or user_id not in account_deletion.deleted_accounts() or not _erase(user_id):
            return
    logger.info("account %d is erased", user_id)
    homepage_hint.changed()
    for waiting in account_deletion.deleted_accounts():
        jobs.erase(waiting)


def _erase(user_id: int) -> bool:
    """Erase, and say whether nothing is left."""
    if not _end_runs(user_id):
        _come_back(user_id)
        return False
    _delete_mailings(user_id)
    if not _end_runs(user_id):  # launched while the account was being deleted
        _come_back(user_id)
        return False
    _empty_ledger(user_id)
    account_deletion.hand_over_messages(user_id)
    _delete_belongings(user_id, account_deletion.OF_ACCOUNT)
    try:
        _delete(User.objects.filter(pk=user_id))
    except IntegrityError as error:
        logger.error("account %d is erased but for its row, for something refers to it: %s", user_id, error)
        return False
    return True


def _come_back(user_id: int) -> None:
    """Enqueue one job for later, however many were here meanwhile: the tick sends one each time."""
    if cache.add(f"vestnik:erase:{user_id}", True, AGAIN.total_seconds()):
        jobs.erase(user_id, AGAIN)


def _end_runs(user_id: int) -> bool:
    """End the open runs; return False if letters of theirs are still in hand."""
    under_way = Run.objects.filter(owner_id=user_id, state=RunState.OPEN)
    under_way.filter(cancelled_at=None).update(cancelled_at=Now())
    for run_id in list(under_way.values_list("pk", flat=True)):
        closing.close(run_id)
    return not under_way.exists()


def _delete_mailings(user_id: int) -> None:
    """Delete the mailings; their runs stay in the ledger."""
    _delete_belongings(user_id, account_deletion.OF_MAILINGS)
    mailings = Mailing.objects.filter(owner=user_id).order_by("pk")
    while chosen := list(mailings.values_list("pk", flat=True)[:MAILINGS_AT_ONCE]):
        with transaction.atomic():
            locks.wait_for_each(locks.LAUNCH, chosen)  # a launch under way is waited for, the next finds nothing
            Run.objects.filter(mailing__in=chosen).update(mailing=None)
            _delete(Mailing.objects.filter(pk__in=chosen))
    Mailing.objects.filter(switched_off_by=user_id).update(switched_off_by=None)


def _empty_ledger(user_id: int) -> None:
    """Remove from the ledger what it says of people: to whom letters went, and what they said."""
    with connection.cursor() as cursor:
        cursor.execute(RUNS_TO_EMPTY, {"owner": user_id})
        for (run_id,) in sorted(cursor.fetchall()):
            after: int | None = 0
            while after is not None:
                cursor.execute(EMPTY_LETTERS, {"run": run_id, "after": after, "chunk": CHUNK})
                (after,) = cursor.fetchone()
            Run.objects.filter(pk=run_id).update(subject="", html="", text="", sender="", sender_name="", reply_to="")


def _delete_belongings(user_id: int, belongings: account_deletion.Belongings) -> None:
    for model, way in belongings:
        _delete(model._base_manager.filter(**{way: user_id}))


def _delete(rows: "QuerySet[Any]") -> None:
    """Delete rows, some thousands a transaction, by SQL alone: Django's collector would read each of them first."""
    table = rows.model._base_manager.order_by()
    while table.filter(pk__in=rows.values("pk")[:CHUNK])._raw_delete(DEFAULT_DB_ALIAS):
        pass
