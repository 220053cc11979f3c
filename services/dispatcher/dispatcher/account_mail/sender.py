"""Account mail: what Django's e-mail backend stored, handed over to the same service as the mailings' letters.

One job works at a time in the whole installation, so that a service that hangs occupies one thread of the control
process and leaves the others to launches. It has a provider of its own: the lanes' connections are in other processes.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import Error

from dispatcher.account_mail import settling, statements
from dispatcher.pace import connection_slots
from dispatcher.pace.breaker import CircuitOpen
from dispatcher.pace.pace import Pace
from dispatcher.providers import registry
from dispatcher.providers.base import Letter, Outcome, Provider, Receipt, Slots
from dispatcher.providers.errors import ConnectionLimitReached, ProviderError, Unavailable
from dispatcher.sending import backoff, doubts
from dispatcher.sending.doubts import Doubts
from vestnik import addresses, jobs, locks
from vestnik.accounts.letters import GIVE_UP_AFTER
from vestnik.senders import signing

logger = logging.getLogger(__name__)

CONNECTIONS = 2
NO_ROOM = timedelta(seconds=1)
"""How long to stay away while other processes have all the connections: they give one up."""
CUT_OFF_SECONDS = 5.0
"""How long the service may take to answer the last letters of a process that stops."""
PARTING_SECONDS = 5.0
"""How long a process that stops waits for the receipts of letters that it has cut off."""


class AccountMailSender:
    """Hands account mail over to the service. One per process."""

    def __init__(self, provider: Provider | None = None) -> None:
        self._slots = connection_slots.for_service()
        self._provider = provider or _provider(self._slots)
        self._pace = Pace(self._provider.name, self._provider.connections)
        self._doubts = Doubts(self._pace.breaker, self._provider.part, few=doubts.MANY)
        self._failures = 0
        self._held: timedelta | None = None
        self._halted = False
        self._in_hand: set[int] = set()
        self._at_rest = threading.Event()
        self._at_rest.set()

    def work(self) -> None:
        """Hand over everything that is due, unless another process is at it, which looks again when it is done."""
        try:
            while not self._halted and statements.something_is_due(self._in_hand):
                with locks.held(locks.ACCOUNT_MAIL) as alone:
                    if not alone:
                        return
                    self._at_rest.clear()
                    try:
                        self._hand_over()
                    finally:
                        self._at_rest.set()
        except Error as error:
            jobs.ACCOUNT_MAIL.enqueue(delay=self._back_off(error))

    def halt(self) -> None:
        """Begin no hand-over from now on; what is in hand is cut off after CUT_OFF_SECONDS."""
        self._halted = True
        timer = threading.Timer(CUT_OFF_SECONDS, self._provider.close)
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        """Disconnect from the service. What is still in hand is cut off, and its receipt written."""
        self.halt()
        self._provider.close()
        self._at_rest.wait(PARTING_SECONDS)
        self._pace.close()
        self._slots.close()

    def _hand_over(self) -> None:
        for (letter_id,) in statements.execute(statements.RESCUE, grace=statements.GRACE, in_hand=list(self._in_hand)):
            logger.warning(
                "account letter %d was in hand of a process that died; should it go twice, its Message-ID is the same",
                letter_id,
            )
        claimed: set[int] = set()
        wait: timedelta | None = None
        try:
            self._look_around()
            with self._beating(), self._pace.circuit() as check:
                check()
                for receipt in self._provider.deliver(self._letters(claimed)):
                    self._failures = 0
                    self._pace.record(receipt)
                    self._settle(receipt)
                    self._pace.breaker.publish()
                check()
            wait = self._held
        except CircuitOpen as error:
            wait = timedelta(seconds=error.wait)
        except ConnectionLimitReached:
            wait = NO_ROOM
        except ProviderError as error:
            wait = self._back_off(error)
        finally:
            self._in_hand -= claimed
        if wait is not None:
            statements.execute(statements.PUT_OFF, wait=wait)
            jobs.ACCOUNT_MAIL.enqueue(delay=wait)

    def _settle(self, receipt: Receipt) -> None:
        """Write the receipt down. A refusal that may be about us ends no letter before its last try: there are few, and
        people wait.
        """
        if receipt.doubtful:
            self._doubts.refused(receipt, lambda _: None)
            receipt = replace(receipt, outcome=Outcome.TEMPORARY)
        elif receipt.outcome is Outcome.ACCEPTED:
            self._doubts.taken(receipt)
        settling.settle(receipt)

    def _look_around(self) -> None:
        self._pace.renew()
        self._doubts.decide()

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Keep, while letters are in hand, what is shared with other processes, as the lease of a sending process
        does.
        """
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

    def _back_off(self, error: Exception) -> timedelta:
        """Count another failure in a row; return for how long to stay away."""
        self._failures += 1
        wait = timedelta(seconds=backoff.probe_backoff(self._failures))
        log = logger.warning if isinstance(error, Unavailable) else logger.error
        said = addresses.masked(str(error))
        log("no account mail can be handed over for %.0f s: %s", wait.total_seconds(), said)
        return wait

    def _letters(self, claimed: set[int]) -> Iterator[Letter | None]:
        self._held = None
        sign = signing.signer_of(None, settings.MAIL_FROM)
        while not self._halted and self._pace.breaker.passes:
            if self._pace.breaker.trying:
                yield None
                continue
            grant = self._pace.take(None, 1, urgent=True)
            if not grant.count:
                self._held = timedelta(seconds=grant.wait)
                return
            found = statements.execute(statements.CLAIM, give_up_after=GIVE_UP_AFTER)
            if not found:
                self._pace.give_back(None, 1)
                return
            ((letter_id, claim, key, recipient, content),) = found
            claimed.add(letter_id)
            self._in_hand.add(letter_id)
            self._pace.handed_over(None, (letter_id, claim))
            if sign is not None:
                content = sign(bytes(content), datetime.now(UTC))
            yield Letter(letter_id, claim, key, settings.MAIL_FROM, recipient, bytes(content))


def _provider(shared: Slots) -> Provider:
    return registry.provider_from(settings.MAIL_SERVICE_URL, CONNECTIONS, shared, settings.EHLO_NAME)
