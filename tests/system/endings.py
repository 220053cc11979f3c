"""How letters ended, for tests of services that misbehave: what the ledger says beside what was received."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.timing import NotInTime, wait_until
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Attempt, Delivery, Run
from vestnik.mailings.models import Mailing

QUICK = {"RETRY_BASE_SECONDS": "0.5", "PROBE_BACKOFF": "0.3,0.5", "LOGIN_BACKOFF": "0.3,0.5"}
TIMEOUT = 1
"""Seconds for a step of the conversation."""


@dataclass(frozen=True)
class End:
    """How a letter ended."""

    state: str
    charged: int
    attempts: list[tuple[str, int | None]]
    received: int

    def __hash__(self) -> int:
        return hash(repr(self))


def over(mailing: Mailing) -> Callable[[], bool]:
    """Whether its run is, when called."""
    return lambda: mailing.runs.exclude(state=Run.State.OPEN).exists()


def ends(mailing: Mailing, post: Any) -> dict[str, End]:
    """How the letters of its one run ended, by address. Copies of one letter must be copies."""
    run = mailing.runs.get()
    copies, attempts = defaultdict(list), defaultdict(list)
    for letter in post.letters:
        copies[letter.recipient].append(letter.message_id)
    tries = Attempt.objects.filter(delivery__run=run).order_by("claim")
    for address, outcome, code in tries.values_list("delivery__address", "outcome", "code"):
        attempts[address].append((outcome, code))
    assert all(len(set(ids)) == 1 for ids in copies.values())
    return {
        address: End(state, charged, attempts[address], len(copies[address]))
        for address, state, charged in run.deliveries.values_list("address", "state", "attempts")
    }


def uncharged(mailing: Mailing) -> bool:
    """Whether its letters wait, but for what a probe is trying, and nothing was charged or written for them."""
    letters = Delivery.objects.filter(run__mailing=mailing)
    return (
        set(letters.values_list("state", "attempts")) <= {("queued", 0), ("sending", 0)}
        and letters.filter(state="queued").exists()
        and not Attempt.objects.filter(delivery__run__mailing=mailing).exists()
    )


def comes_about(holds: Callable[[], Any], seconds: float) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(held)


def faults_of_an_outage(mailing: Mailing, post: Any, behave: Callable[[], None], well: End) -> list[str]:
    """What goes wrong for a run that meets a service which takes nothing, until `behave`: nothing should.

    Raises NotInTime where what should be does not come about soon.
    """
    late = []
    if not comes_about(lambda: outages.current() is not None, 10):  # a whole dial may take 5 s
        late.append("nobody is told")
    elif not comes_about(lambda: uncharged(mailing), 1):  # all may just be in hand, and about to be given back
        late.append("letters do not wait uncharged")
    behave()
    if not comes_about(over(mailing), 6):
        late.append("it does not go on")
    wait_until(over(mailing), 30)
    faults = sorted(repr(end) for end in set(ends(mailing, post).values()) - {well})
    if not comes_about(lambda: outages.current() is None, 3):
        late.append("the note stays")
    if late and not faults:
        raise NotInTime(", ".join(late))
    return faults
