"""What a lane has claimed of a run: small claims, from a moving lower bound, as the process's hand has room."""

import logging
import time
from collections import deque

from dispatcher import entries, ledger, pacing
from dispatcher.engine import Engine
from dispatcher.providers.base import Outcome, Receipt, visible

logger = logging.getLogger(__name__)


class Claims:
    """One lane's letters of one run, from claim to receipt."""

    def __init__(self, engine: Engine, run_id: int) -> None:
        self.exhausted = False
        """Whether the last claim found nothing due."""
        self._engine, self._run_id = engine, run_id
        self._bound: entries.Bound | None = None
        self._waiting: deque[entries.Claimed] = deque()
        self._handed_over: dict[int, int] = {}  # delivery → attempts charged before

    @property
    def outstanding(self) -> int:
        """How many letters were handed over and not answered yet."""
        return len(self._handed_over)

    def next(self) -> entries.Claimed | None:
        """The next letter in hand; None if the hand has no room, or nothing is due (`exhausted`)."""
        while self._waiting or self._claim():
            if self._waiting[0].client_exists:
                return self._waiting[0]
            self._return([self._waiting.popleft()])
        return None

    def hand_over(self) -> None:
        """The letter that `next` gave is handed over now."""
        claimed = self._waiting.popleft()
        self._handed_over[claimed.delivery_id] = claimed.attempts

    def answered(self, receipt: Receipt) -> None:
        """A receipt came: have it written down."""
        attempts = self._handed_over.pop(receipt.letter.delivery_id)
        self._engine.settler.put(
            entries.Settlement(
                delivery_id=receipt.letter.delivery_id,
                claim=receipt.letter.claim,
                worker_id=self._engine.lease.worker_id,
                outcome=receipt.outcome,
                code=receipt.code,
                answer=receipt.answer,
                began=receipt.began,
                duration=receipt.duration,
                retry_after=pacing.retry_after(attempts + 1),
            )
        )

    def unwritable(self, error: ValueError) -> None:
        """The letter that `next` gave cannot be written: it fails, so that it does not stand in the others' way."""
        claimed = self._waiting.popleft()
        logger.error("letter %d of run %d cannot be written: %s", claimed.delivery_id, self._run_id, error)
        self._engine.settler.put(
            entries.Settlement(
                delivery_id=claimed.delivery_id,
                claim=claimed.claim,
                worker_id=self._engine.lease.worker_id,
                outcome=Outcome.PERMANENT,
                code=None,
                answer=visible(f"The letter cannot be written: {error}"),
                began=time.monotonic(),
                duration=0.0,
                retry_after=0.0,
            )
        )

    def give_back(self) -> None:
        """Give back what was claimed and not handed over."""
        self._return(list(self._waiting))
        self._waiting.clear()

    def _return(self, letters: list[entries.Claimed]) -> None:
        if letters:
            self._engine.hand.give_back([letter.key for letter in letters])

    def _claim(self) -> bool:
        claimed = self._engine.hand.claim(self._engine.provider.connections, self._find)
        if claimed:
            self._bound = (claimed[-1].due_at, claimed[-1].delivery_id)
            self._waiting.extend(claimed)
        self.exhausted = claimed == []
        return bool(claimed)

    def _find(self, room: int) -> list[entries.Claimed]:
        worker_id = self._engine.lease.worker_id
        claimed = ledger.claim(self._run_id, worker_id, room, self._bound)
        if not claimed and self._bound:
            claimed = ledger.claim(self._run_id, worker_id, room, None)
        return claimed
