"""Account mail: what Django's mail backend stored, handed over to the same service as the mailings' letters.

One job works at a time in the whole installation, so that a service that hangs keeps one thread of the control process
and leaves the others to launches. It has a provider of its own: the lanes' connections are in other processes.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dramatiq
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from dramatiq.middleware import Middleware

from dispatcher.pace import connection_slots
from dispatcher.pace.breaker import Open
from dispatcher.pace.pace import Pace
from dispatcher.providers import registry
from dispatcher.providers.base import Letter, Outcome, Provider, Receipt, Slots
from dispatcher.providers.errors import NoRoom, ProviderError, Unavailable
from dispatcher.sending import backoff
from dispatcher.sending.doubts import Doubts
from vestnik import addresses, clock, jobs, locks
from vestnik.accounts.letters import GIVE_UP_AFTER, AccountLetter, AccountLetterState

logger = logging.getLogger(__name__)

CONNECTIONS = 2
NO_ROOM = timedelta(seconds=1)
"""How long to stay away when other processes have all the connections: they give one up."""
CUT_OFF_SECONDS = 5.0
"""How long the service may take to answer the last letters of a process that stops."""
PARTING_SECONDS = 5.0
"""How long a process that stops waits for the receipts of letters that it has cut off."""
DATABASE_RETRY_SECONDS = 0.5
GRACE = timedelta(seconds=10)
"""How long after its claim a letter is left to another process that has lost the lock and may yet settle it."""

WAITING = "state = 'queued' AND created_at > statement_timestamp() - %(give_up_after)s::interval"
# Whoever has the lock is alone: what others have in hand they left behind, but for those who lost their connection.
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

RECOVER = f"""
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
# Letters that ended: whom they went to is of no use where nobody has that address (a deleted account, a mistyped one).
FORGET = """
    UPDATE accounts_accountletter SET recipient = '', subject = '', answer = ''
    WHERE id = ANY(%(letters)s::bigint[]) AND NOT EXISTS (SELECT FROM accounts_user WHERE email = recipient OFFSET 0)
"""


class AccountMail:
    """One per process: the way of account mail to the service."""

    def __init__(self, provider: Provider | None = None) -> None:
        self._slots = connection_slots.for_service()
        self._provider = provider or _provider(self._slots)
        self._pace = Pace(self._provider.name, self._provider.connections)
        self._doubts = Doubts(self._pace.breaker, self._provider.part)
        self._setbacks = 0
        self._held: timedelta | None = None
        self._halted = False
        self._in_hand: set[int] = set()
        self._at_rest = threading.Event()
        self._at_rest.set()

    def work(self) -> None:
        """Hand over everything that is due, unless somebody is at it, who will look for it once more when done."""
        try:
            while not self._halted and something_is_due(self._in_hand):
                with locks.alone("vestnik.account_mail") as alone:
                    if not alone:
                        return
                    self._at_rest.clear()
                    try:
                        self._hand_over()
                    finally:
                        self._at_rest.set()
        except Error as error:
            jobs.ACCOUNT_MAIL.enqueue(delay=self._set_back(error))

    def halt(self) -> None:
        """Begin no hand-over from now on; what is still in hand a few seconds later is cut off."""
        self._halted = True
        timer = threading.Timer(CUT_OFF_SECONDS, self._provider.close)
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        """Leave the service. What is still in hand is cut off, and its receipt written."""
        self.halt()
        self._provider.close()
        self._at_rest.wait(PARTING_SECONDS)
        self._pace.close()
        self._slots.close()

    def _hand_over(self) -> None:
        for (letter_id,) in _execute(RECOVER, grace=GRACE, in_hand=list(self._in_hand)):
            logger.warning(
                "account letter %d was in hand of a process that died; should it go twice, its Message-ID is the same",
                letter_id,
            )
        claimed: set[int] = set()
        wait: timedelta | None = None
        try:
            self._look_around()
            with self._beating():
                self._pace.breaker.ask()
                for receipt in self._provider.deliver(self._letters(claimed)):
                    self._setbacks = 0
                    self._pace.heard(receipt)
                    self._settle(receipt)
                    self._pace.breaker.tell()
                self._pace.breaker.ask()
            wait = self._held
        except Open as error:
            wait = timedelta(seconds=error.wait)
        except NoRoom:
            wait = NO_ROOM
        except ProviderError as error:
            opened = self._pace.breaker.failed(error)
            wait = self._set_back(error) if opened is None else timedelta(seconds=opened)
        finally:
            self._pace.breaker.leave()
            self._in_hand -= claimed
        if wait is not None:
            _execute(PUT_OFF, wait=wait)
            jobs.ACCOUNT_MAIL.enqueue(delay=wait)

    def _settle(self, receipt: Receipt) -> None:
        """A refusal that may be of us is no letter's end, but by its last try: there are few, and people wait."""
        if receipt.doubtful:
            self._doubts.refused(receipt, lambda _: None)
            receipt = replace(receipt, outcome=Outcome.TEMPORARY)
        elif receipt.outcome is Outcome.ACCEPTED:
            self._doubts.taken(receipt)
        settle(receipt)

    def _look_around(self) -> None:
        self._pace.renew()
        self._doubts.decide()

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """As the lease of a sending process does: what is shared with others is kept while letters are in hand."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(settings.BEAT.total_seconds()):
                self._look_around()

        thread = threading.Thread(target=beat, name="account mail", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _set_back(self, error: Exception) -> timedelta:
        """Once more in a row: for how long to stay away."""
        self._setbacks += 1
        wait = timedelta(seconds=backoff.setback(self._setbacks))
        log = logger.warning if isinstance(error, Unavailable) else logger.error
        words = addresses.masked(str(error))
        log("no account mail can be handed over for %.0f s: %s", wait.total_seconds(), words)
        return wait

    def _letters(self, claimed: set[int]) -> Iterator[Letter | None]:
        self._held = None
        while not self._halted and self._pace.breaker.passes:
            if self._pace.breaker.trying:
                yield None
                continue
            grant = self._pace.take(None, 1, urgent=True)
            if not grant.count:
                self._held = timedelta(seconds=grant.wait)
                return
            found = _execute(CLAIM, give_up_after=GIVE_UP_AFTER)
            if not found:
                self._pace.give_back(None, 1)
                return
            ((letter_id, claim, key, recipient, content),) = found
            claimed.add(letter_id)
            self._in_hand.add(letter_id)
            self._pace.handed_over(None, (letter_id, claim))
            yield Letter(letter_id, claim, key, settings.MAIL_FROM, recipient, bytes(content))


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
    # A letter that was taken for abandoned, and was not, is queued again: a receipt for good still ends it.
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
            _execute(FORGET, letters=[letter.pk])
    if letter.state in (AccountLetterState.FAILED, AccountLetterState.EXPIRED):
        _log_end(letter.pk, letter.recipient, letter.state, letter.code, letter.answer)


def _verdict(outcome: Outcome, letter: AccountLetter, in_time: bool) -> AccountLetterState:
    if outcome == Outcome.ACCEPTED:
        return AccountLetterState.SENT
    if outcome == Outcome.PERMANENT or letter.attempts >= settings.MAX_ATTEMPTS:
        return AccountLetterState.FAILED
    return AccountLetterState.QUEUED if in_time else AccountLetterState.EXPIRED


def something_is_due(in_hand: Collection[int] = ()) -> bool:
    """Whether a letter could be handed over now. `in_hand`: those this process has, which nobody left behind."""
    return bool(_execute(DUE, give_up_after=GIVE_UP_AFTER, grace=GRACE, in_hand=list(in_hand))[0][0])


def tidy() -> None:
    """What the tick does here: give up what is too old, hint at what is due, or was in hand of a process that died."""
    with transaction.atomic():
        given_up = _execute(EXPIRE, give_up_after=GIVE_UP_AFTER)
        _execute(FORGET, letters=[letter_id for letter_id, *_ in given_up])
    for letter_id, recipient, code, answer in given_up:
        _log_end(letter_id, recipient, AccountLetterState.EXPIRED, code, answer)
    if something_is_due():
        jobs.account_mail()


def _execute(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def _id(receipt: Receipt) -> int:
    return receipt.letter.delivery_id


def _log_end(letter_id: int, recipient: str, state: str, code: int | None, answer: str) -> None:
    domain, words = addresses.domain(recipient), addresses.masked(answer, recipient)
    logger.error("account letter %d to somebody at %s %s: %s %s", letter_id, domain, state, code or "no code", words)


def _provider(shared: Slots) -> Provider:
    return registry.provider_from(settings.MAIL_SERVICE_URL, CONNECTIONS, shared, settings.EHLO_NAME)


_account_mail: AccountMail | None = None
_lock = threading.Lock()


def deliver() -> None:
    """The job. This process's provider is made when it first has something to do (and so after the fork)."""
    global _account_mail
    with _lock:
        if _account_mail is None:
            _account_mail = AccountMail()
    _account_mail.work()


class AccountMailMiddleware(Middleware):
    """Halts account mail when its worker process is told to stop, and leaves the service when the jobs have ended."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        if _account_mail:
            _account_mail.halt()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        if _account_mail:
            _account_mail.stop()
