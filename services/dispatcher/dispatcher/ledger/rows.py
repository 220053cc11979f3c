"""Rows that the ledger returns to the engine, and those that it is given."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from dispatcher.providers.base import Outcome

Key = tuple[int, int]
"""A delivery's id and the number of the claim under which it is in hand."""

Bound = tuple[datetime, int]
"""Where a lane's claims have come to: the due time and id of the last letter claimed."""


class DeadWorker(NamedTuple):
    """A worker without a heartbeat, in the order of REAP's columns."""

    worker_id: int
    name: str


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
    mailing_id: int | None
    owner_id: int
    kind: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter in hand, in the order of CLAIM's columns."""

    delivery_id: int
    claim: int
    due_at: datetime
    attempts: int
    """Attempts charged so far."""
    address: str
    full_name: str
    attributes: str
    """JSON"""
    may_go: bool
    """Whether its client is still there, and has not stopped such letters."""

    @property
    def key(self) -> Key:
        """Its letter and its claim, by which statements find it."""
        return self.delivery_id, self.claim


@dataclass(frozen=True, slots=True)
class Settlement:
    """An attempt to write down, and how long to wait should the letter be tried again."""

    delivery_id: int
    claim: int
    worker_id: int
    outcome: Outcome
    """If it is RETURNED, nothing is written down, and the letter is given back."""
    code: int | None
    answer: str
    began: float
    """time.monotonic()"""
    duration: float
    retry_after: float
    run_id: int = 0
    """For whoever watches the run; the ledger knows it."""
    final: bool = False
    """Whether the letter may be dead of it."""
    put_off: float = 0.0
    """In how many seconds a letter that is given back is due again."""
    late: bool = False
    """Whether the lane has left: nobody watches the run when this is written down."""

    @property
    def key(self) -> Key:
        return self.delivery_id, self.claim
