"""What a lane has claimed of a run: small claims, from a moving lower bound, as the process's window has room."""

import logging
import time
from collections import deque
from dataclasses import replace

from django.conf import settings

from dispatcher import metrics
from dispatcher.ledger import rows, statements
from dispatcher.pace.limits import Permit
from dispatcher.providers import refusals
from dispatcher.providers.base import Outcome, Receipt, visible
from dispatcher.sending import backoff, doubts
from dispatcher.sending.engine import Engine
from vestnik import addresses

logger = logging.getLogger(__name__)


class Claims:
    """One lane's letters of one run, from claim to receipt."""

    def __init__(self, engine: Engine, owner_id: int, run_id: int) -> None:
        self.exhausted = False
        """Whether the last claim found nothing due."""
        self.held: Permit | None = None
        """The limit that stood in the way of the last claim."""
        self._engine, self._owner_id, self._run_id = engine, owner_id, run_id
        self._bound: rows.Bound | None = None
        self._waiting: deque[rows.Claimed] = deque()
        self._put_off: list[tuple[rows.Key, float]] = []
        self._handed_over: dict[int, int] = {}  # delivery → attempts charged before
        self._unwritable = 0

    @property
    def outstanding(self) -> int:
        """How many letters were handed over and not answered yet."""
        return len(self._handed_over)

    def next(self) -> rows.Claimed | None:
        """Return the next letter in hand.

        None if the window has no room, a limit is reached (`held`), nothing is due (`exhausted`), or nothing of what
        was claimed now may go: then others come.
        """
        if not self._waiting:
            self._claim()
        return self._waiting[0] if self._waiting else None

    def hand_over(self) -> None:
        """Note that the letter that `next` returned is handed over now."""
        claimed = self._waiting.popleft()
        self._handed_over[claimed.delivery_id] = claimed.attempts
        self._engine.pace.handed_over(self._owner_id, claimed.key)

    def put_off(self, seconds: float) -> None:
        """Put the letter that `next` returned off by so many seconds: its domain takes no more for so long."""
        self._put_off.append((self._waiting.popleft().key, seconds))
        self._engine.pace.give_back(self._owner_id, 1)

    def answered(self, receipt: Receipt) -> None:
        """Have a receipt written down."""
        self._settle(receipt, late=False)
        self._engine.pace.breaker.publish()
        self._engine.doubts.tell()

    def answered_late(self, receipt: Receipt) -> None:
        """Have a receipt written down that came after the lane had left.

        Called in a thread of the provider's, which must not be kept waiting.
        """
        self._settle(receipt, late=True)

    def _settle(self, receipt: Receipt, late: bool) -> None:
        attempts = self._handed_over.pop(receipt.letter.delivery_id)
        if attempts and receipt.outcome is Outcome.TEMPORARY and receipt.code and refusals.may_meet_everybody(receipt):
            receipt = replace(receipt, in_doubt=True)
        self._engine.pace.record(receipt)
        settlement = rows.Settlement(
            delivery_id=receipt.letter.delivery_id,
            claim=receipt.letter.claim,
            worker_id=self._engine.lease.worker_id,
            outcome=receipt.outcome,
            code=receipt.code,
            answer=receipt.answer,
            began=receipt.began,
            duration=receipt.duration,
            retry_after=max(backoff.retry_after(attempts + 1), receipt.retry_after or 0.0),
            run_id=self._run_id,
            final=_may_be_its_end(receipt.outcome, attempts + 1),
            late=late,
        )
        if receipt.doubtful:
            self._doubt(receipt, settlement)
            return
        metrics.attempt(receipt.outcome, receipt.duration)
        self._engine.settler.put(settlement)
        if receipt.outcome is Outcome.ACCEPTED:
            self._engine.doubts.taken(receipt)

    def _doubt(self, receipt: Receipt, settlement: rows.Settlement) -> None:
        """Give the letter back for now; should the refusal stand, it is settled later, unless it was claimed again."""

        def stands(outcome: Outcome) -> None:
            metrics.attempt(outcome, receipt.duration)
            self._engine.settler.put(replace(settlement, outcome=outcome, late=True))

        wait = max(settlement.retry_after, doubts.LEAST_WAIT)
        self._engine.settler.put(replace(settlement, outcome=Outcome.RETURNED, final=False, put_off=wait))
        self._engine.doubts.refused(receipt, stands)

    def unwritable(self, error: ValueError) -> None:
        """Fail the letter that `next` returned, which cannot be written, so that it does not block the others.

        The log says so of the first; the journal of each.
        """
        claimed = self._waiting.popleft()
        self._engine.pace.give_back(self._owner_id, 1)
        if not self._unwritable:
            ids = {"delivery_id": claimed.delivery_id, "run_id": self._run_id}
            said = "letter %(delivery_id)d of run %(run_id)d, and maybe others of it, cannot be written: %(error)s"
            logger.error(said, {**ids, "error": addresses.masked(str(error))}, extra=ids)
        self._unwritable += 1
        self._engine.settler.put(
            rows.Settlement(
                delivery_id=claimed.delivery_id,
                claim=claimed.claim,
                worker_id=self._engine.lease.worker_id,
                outcome=Outcome.PERMANENT,
                code=None,
                answer=visible(f"The letter cannot be written: {error}"),
                began=time.monotonic(),
                duration=0.0,
                retry_after=0.0,
                run_id=self._run_id,
                final=True,
            )
        )

    def give_back(self) -> None:
        """Give back what was claimed and not handed over."""
        self._return(list(self._waiting))
        self._waiting.clear()
        self._return_put_off()

    def _return(self, letters: list[rows.Claimed]) -> None:
        if letters:
            self._engine.in_flight.give_back([letter.key for letter in letters])
            self._engine.pace.give_back(self._owner_id, len(letters))

    def _return_put_off(self) -> None:
        if self._put_off:
            keys, seconds = zip(*self._put_off, strict=True)
            self._put_off.clear()
            self._engine.in_flight.give_back(keys, seconds)

    def _claim(self) -> None:
        """Claim what there is room for; give back at once what may not go, to clients who are gone or have stopped."""
        self._return_put_off()
        self.held = None
        claimed = self._engine.in_flight.claim(self._engine.provider.connections, self._find)
        if claimed:
            self._bound = (claimed[-1].due_at, claimed[-1].delivery_id)
            self._waiting.extend(letter for letter in claimed if letter.may_go)
            self._return([letter for letter in claimed if not letter.may_go])
        self.exhausted = claimed == [] and self.held is None

    def _find(self, room: int) -> list[rows.Claimed]:
        grant = self._engine.pace.take(self._owner_id, room)
        if not grant.count:
            self.held = grant if statements.something_is_due(self._run_id) else None
            return []
        claimed: list[rows.Claimed] = []
        try:
            claimed = self._claimed(grant.count)
        finally:
            self._engine.pace.give_back(self._owner_id, grant.count - len(claimed))
        return claimed

    def _claimed(self, most: int) -> list[rows.Claimed]:
        worker_id = self._engine.lease.worker_id
        claimed = statements.claim(self._run_id, worker_id, most, self._bound)
        if not claimed and self._bound:
            claimed = statements.claim(self._run_id, worker_id, most, None)
        return claimed


def _may_be_its_end(outcome: Outcome, attempts: int) -> bool:
    if outcome is Outcome.UNKNOWN and settings.UNKNOWN_OUTCOMES == "hold":
        return True
    return outcome is Outcome.PERMANENT or (outcome is not Outcome.ACCEPTED and attempts >= settings.MAX_ATTEMPTS)
