"""Refusals that may be about us: until that is known, their letters are neither dead nor charged (decision 0030).

A service that refuses our sender, our host or our right to send says so to every letter, and most services use the same
codes as for a wrong address. The difference is whether it accepts letters meanwhile. So a doubtful refusal is
remembered here, and its letter given back to the ledger, due a little later. Then

- a letter that was begun after the refusal is accepted, in any process: the refusal was about its letter, and settled;
- or letters to many recipients are refused, and none is accepted: the breaker opens, and no letter is charged;
- or no more letters come, and there were only few: the refusals stand; if there were a few more, and others were
  accepted just before, those stand that were refused in doubt before.

A letter that was refused before sending halted, and again after others were accepted, was refused for itself, too.

What is remembered here is a hint, like all that processes know: were it lost, the letters would be tried again.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from dispatcher.pace.breaker import TOLD_FOR
from dispatcher.providers import refusals
from dispatcher.providers.base import About, Outcome, Receipt
from vestnik import addresses

logger = logging.getLogger(__name__)

MANY = 20
"""Recipients refused (or domains: refusals.party) with nothing accepted since, from which on nothing is handed over
before it is known why."""
FEW = 5
"""Recipients from which on there are many, if no more letters come."""
OTHERS_SPEAK = 2.0
"""Seconds within which each process publishes what was accepted: a heartbeat, and time to be late."""
QUIET = 3.0
"""Seconds without a further refusal before asking if more letters come; no fewer than OTHERS_SPEAK."""
LEAST_WAIT = 5.0
"""Seconds after which a letter that was refused in doubt is due again, at the earliest: by then it is decided."""
JUST_BEFORE = 300.0
"""Seconds from the last accepted letter to the first refusal, within which the service still accepts our letters."""
COUNTED = 6 * 3600.0
"""Seconds for which a refused recipient counts, though nothing is accepted."""
REMEMBERED = 10_000
"""Refused letters and recipients that are remembered."""
KINDS = 100
"""Kinds of refusals that are remembered as told to operators."""


class Circuit(Protocol):
    """What is opened where the service refuses us: the breaker, or what stands for it (doubts_of_senders.py)."""

    deciding: bool

    @property
    def refuses(self) -> bool: ...

    @property
    def taken_at(self) -> float: ...

    def refused(self, receipt: Receipt) -> object: ...

    @property
    def is_news(self) -> Callable[[str], bool]: ...


class _Refusal(NamedTuple):
    receipt: Receipt
    stands: Callable[[Outcome], None]
    ended: float


class Doubts:
    """One process's doubtful refusals since the service accepted a letter. Safe from any thread."""

    def __init__(
        self,
        breaker: Circuit,
        part: Callable[[], None],
        nothing_comes: Callable[[], bool] = lambda: True,
        few: int = FEW,
    ) -> None:
        """Use `part` to close all connections: a service that was repaired often leaves open sessions as they are.

        `nothing_comes` says whether no letter is in hand or due. It may ask the database; `decide` calls it.
        """
        self._breaker = breaker
        self._part = part
        self._nothing_comes = nothing_comes
        self._few = few
        self._parted = False
        self._refusals: dict[int, _Refusal] = {}  # delivery → its last refusal
        self._recipients: dict[str, float] = {}  # refused since a letter was taken → when last
        self._refused_since = math.inf
        """When the first of them was refused."""
        self._halted: dict[int, float] = {}  # delivery → when it was refused before sending halted
        self._once: dict[int, float] = {}  # delivery → when it was refused where no more letters came
        self._news: list[Receipt] = []  # of what operators may have to be told
        self._kinds: dict[str, float] = {}  # gist → until when they need not be
        self._taken_at = -math.inf
        self._many_since: float | None = None
        self._lock = threading.Lock()

    def taken(self, receipt: Receipt) -> None:
        """Note that a letter was accepted: what was refused before it was begun was refused for itself. Never waits."""
        self._taken_at = max(self._taken_at, receipt.began)
        if self._refusals or self._recipients:
            self._taken(receipt.began)

    def refused(self, receipt: Receipt, stands: Callable[[Outcome], None]) -> None:
        """Note a doubtful refusal. Waits for nobody.

        `stands` is called if it turns out to be about its letter, with the outcome that it then has.
        """
        refusal = _Refusal(receipt, stands, receipt.began + receipt.duration)
        with self._lock:
            before = self._halted.pop(receipt.letter.delivery_id, math.inf)
        if before < max(self._taken_at, self._breaker.taken_at):
            self._stand([refusal])
        elif self._breaker.refuses:
            self._note(self._halted, [refusal])
            self._part()
        else:
            self._remember(refusal)

    def decide(self) -> None:
        """Decide what can be decided; call it once a second, when the breaker knows what others saw. Never raises."""
        self.tell()
        if self._breaker.refuses and not self._parted:
            self._part()
        self._parted = self._breaker.refuses
        if not (self._refusals or self._recipients):
            return
        self._taken(self._breaker.taken_at)
        self._forget_recipients(time.monotonic() - COUNTED, though_none_was_taken=True)
        now = time.monotonic()
        with self._lock:
            if not self._refusals:
                return
            last = max(self._refusals.values(), key=lambda refusal: refusal.ended)
            waited = self._many_since is not None and now - self._many_since >= OTHERS_SPEAK
        halted = self._breaker.refuses
        if not (halted or waited or (now - last.ended >= QUIET and self._nothing_comes())):
            return
        with self._lock:
            count = len(self._recipients)
            just_before = self._refused_since - max(self._taken_at, self._breaker.taken_at) < JUST_BEFORE
            decided = self._forget(last.ended)
        if halted:
            pass
        elif waited or (count >= self._few and not just_before):
            self._halt(decided, last.receipt)
        elif count < self._few:
            self._stand(decided)
        else:
            self._stand([each for each in decided if each.receipt.letter.delivery_id in self._once])
            self._note(self._once, decided)
        self._breaker.deciding = False

    def tell(self) -> None:
        """Tell operators of new refusals of us. Never raises.

        Waits for Redis where there is one: not for a thread that hands letters over.
        """
        if not self._news:
            return
        with self._lock:
            news, self._news = self._news, []
        for receipt in news:
            if self._breaker.is_news(receipt.answer):
                said = addresses.masked(receipt.answer, receipt.letter.recipient)
                logger.error("some letters are refused for what the service thinks of us: %s %s", receipt.code, said)

    def _halt(self, decided: list[_Refusal], last: Receipt) -> None:
        self._note(self._halted, decided)
        self._breaker.refused(last)
        with self._lock:
            self._recipients.clear()
            self._refused_since = math.inf
        self._part()

    def _remember(self, refusal: _Refusal) -> None:
        with self._lock:
            self._refusals[refusal.receipt.letter.delivery_id] = refusal
            if len(self._recipients) < REMEMBERED:
                self._recipients[refusals.party(refusal.receipt)] = refusal.ended
            self._refused_since = min(self._refused_since, refusal.ended)
            if self._many_since is None and len(self._recipients) >= MANY:
                self._many_since = time.monotonic()
                self._breaker.deciding = True

    def _taken(self, began: float) -> None:
        with self._lock:
            decided = self._forget(began)
        self._forget_recipients(began)
        self._stand(decided)

    def _forget(self, until: float) -> list[_Refusal]:
        """Take out what was refused until then, and return it."""
        decided = [refusal for refusal in self._refusals.values() if refusal.ended <= until]
        for refusal in decided:
            del self._refusals[refusal.receipt.letter.delivery_id]
        if not self._refusals:
            self._many_since = None
        return decided

    def _forget_recipients(self, until: float, though_none_was_taken: bool = False) -> None:
        """Stop counting recipients that were refused until then."""
        with self._lock:
            if self._refused_since <= until:
                self._recipients = {each: ended for each, ended in self._recipients.items() if ended > until}
                if not though_none_was_taken or not self._recipients:
                    self._refused_since = min(self._recipients.values(), default=math.inf)
                if not self._recipients:
                    self._once.clear()
            if len(self._recipients) < MANY:
                self._many_since, self._breaker.deciding = None, False

    def _note(self, where: dict[int, float], decided: list[_Refusal]) -> None:
        with self._lock:
            where.update((refusal.receipt.letter.delivery_id, refusal.ended) for refusal in decided)
            while len(where) > REMEMBERED:
                del where[next(iter(where))]

    def _stand(self, decided: list[_Refusal]) -> None:
        """Settle them. One that is certainly about us, though others are accepted, ends no letter before its last
        try.
        """
        for receipt, stands, _ in decided:
            outcome = receipt.outcome if receipt.about is About.UNCLEAR else Outcome.TEMPORARY
            if outcome is not receipt.outcome:
                self._note_news(receipt)
            stands(outcome)

    def _note_news(self, receipt: Receipt) -> None:
        kind, now = refusals.gist(receipt.answer), time.monotonic()
        with self._lock:
            if self._kinds.get(kind, -math.inf) <= now:
                self._kinds[kind] = now + TOLD_FOR.total_seconds()
                self._news.append(receipt)
            while len(self._kinds) > KINDS:
                del self._kinds[next(iter(self._kinds))]
