"""What the ledger tells the engine, and what it is told."""

from dataclasses import dataclass
from datetime import datetime

from dispatcher.providers.base import Outcome

Key = tuple[int, int]
"""A delivery's id and the number of the claim under which it is in hand."""

Bound = tuple[datetime, int]
"""Where a lane's claims have come to: the due time and id of the last letter claimed."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """A run that a lane works off now, with its frozen message."""

    run_id: int
    window_seconds: float
    key: str
    sender: str
    sender_name: str
    reply_to: str
    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter in hand, in the order of CLAIM's columns."""

    delivery_id: int
    claim: int
    due_at: datetime
    attempts: int
    """Charged so far."""
    address: str
    full_name: str
    attributes: str
    """JSON"""
    client_exists: bool

    @property
    def key(self) -> Key:
        return self.delivery_id, self.claim


@dataclass(frozen=True, slots=True)
class Settlement:
    """An attempt to write down, and how long to wait should the letter be tried again."""

    delivery_id: int
    claim: int
    worker_id: int
    outcome: Outcome
    """RETURNED: nothing is written down, the letter is given back."""
    code: int | None
    answer: str
    began: float
    """time.monotonic()"""
    duration: float
    retry_after: float
    run_id: int = 0
    """For those who look after the run; the ledger knows it."""
    final: bool = False
    """Whether the letter may be dead of it."""
    put_off: float = 0.0
    """For one that is given back: in how many seconds it is due again."""
    late: bool = False
    """Whether the lane has left: nobody looks after the run when this is written down."""

    @property
    def key(self) -> Key:
        return self.delivery_id, self.claim
