"""What becomes of an account letter: receipts are written down, and letters that are too old given up."""

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from dispatcher.account_mail import statements
from dispatcher.providers.base import Outcome, Receipt
from dispatcher.sending import backoff
from vestnik import addresses, clock, jobs
from vestnik.accounts.letters import COUNTED, GIVE_UP_AFTER, AccountLetter, AccountLetterState

logger = logging.getLogger(__name__)

DATABASE_RETRY_SECONDS = 0.5


def settle(receipt: Receipt) -> None:
    """Write a receipt down, however long the database is away. Written twice, it counts once."""
    while True:
        try:
            _settle(receipt)
            return
        except (OperationalError, InterfaceError) as error:
            logger.error("the receipt of account letter %d waits for the database: %s", _id(receipt), error)
            connection.close()
            time.sleep(DATABASE_RETRY_SECONDS)


def _settle(receipt: Receipt) -> None:
    final = receipt.outcome in (Outcome.ACCEPTED, Outcome.PERMANENT)
    # A letter that was taken for abandoned by mistake is queued again: a final receipt still ends it.
    in_hand = [AccountLetterState.SENDING, *([AccountLetterState.QUEUED] if final else [])]
    with transaction.atomic():
        letter = (
            AccountLetter.objects.select_for_update()
            .defer("content")
            .filter(pk=_id(receipt), claim=receipt.letter.claim, state__in=in_hand)
            .first()
        )
        if letter is None:
            return
        now = clock.now()
        if receipt.outcome is Outcome.RETURNED:
            letter.state, letter.claimed_at, letter.due_at = AccountLetterState.QUEUED, None, now
            letter.save()
            return
        letter.attempts += 1
        letter.code, letter.answer = receipt.code, receipt.answer
        letter.claimed_at = letter.due_at = None
        wait = timedelta(seconds=max(backoff.retry_after(letter.attempts), receipt.retry_after or 0.0))
        letter.state = _verdict(receipt.outcome, letter, now + wait < letter.created_at + GIVE_UP_AFTER)
        if letter.state == AccountLetterState.QUEUED:
            letter.due_at = now + wait
            jobs.account_mail(wait)
        else:
            letter.content, letter.settled_at = b"", now
        letter.save()
        if letter.settled_at:
            statements.execute(statements.ERASE_RECIPIENTS, letters=[letter.pk])
    if letter.state in (AccountLetterState.FAILED, AccountLetterState.EXPIRED):
        _log_end(letter.pk, letter.recipient, letter.state, letter.code, letter.answer)


def _verdict(outcome: Outcome, letter: AccountLetter, in_time: bool) -> AccountLetterState:
    if outcome == Outcome.ACCEPTED:
        return AccountLetterState.SENT
    if outcome == Outcome.PERMANENT or letter.attempts >= settings.MAX_ATTEMPTS:
        return AccountLetterState.FAILED
    return AccountLetterState.QUEUED if in_time else AccountLetterState.EXPIRED


def expire() -> None:
    """Do the tick's part: give up letters that are too old, and hint at those that are due or abandoned.

    Also erase the recipients of letters that do not count any more.
    """
    with transaction.atomic():
        given_up = statements.execute(statements.EXPIRE, give_up_after=GIVE_UP_AFTER)
        statements.execute(statements.ERASE_RECIPIENTS, letters=[letter_id for letter_id, *_ in given_up])
    for letter_id, recipient, code, answer in given_up:
        _log_end(letter_id, recipient, AccountLetterState.EXPIRED, code, answer)
    statements.execute(statements.FORGET_RECIPIENTS, counted=COUNTED)
    if statements.something_is_due():
        jobs.account_mail()


def _id(receipt: Receipt) -> int:
    return receipt.letter.delivery_id


def _log_end(letter_id: int, recipient: str, state: str, code: int | None, answer: str) -> None:
    domain, said = addresses.domain(recipient), addresses.masked(answer, recipient)
    logger.error("account letter %d to somebody at %s %s: %s %s", letter_id, domain, state, code or "no code", said)
