"""Refusals that may be about a sender of somebody's: no other letter waits for what is thought of that one.

The doubts of each sender's domain are its own (doubts.py): letters from elsewhere that are accepted prove nothing about
it, and what is refused there stops nobody else. Where letter after letter is refused, letters no longer come from that
domain but from the installation's address, and its owner is told; nobody is left out.
"""

import logging
import math
import threading
import time
from collections.abc import Callable

from django.core.cache import cache
from django.db import Error

from dispatcher.pace.breaker import Breaker
from dispatcher.providers.base import OfSender, Receipt
from dispatcher.sending.doubts import COUNTED, Doubts
from vestnik import addresses
from vestnik.senders import verbs

logger = logging.getLogger(__name__)

MOST = 1_000
"""Senders' domains of which a process remembers refusals."""
TAKEN = "vestnik:sender:taken"


class Trust:
    """What stands for the breaker where only one sender's domain is concerned: it ends the trust in that alone."""

    refuses = False
    """Letters do not wait until the service takes the sender: they come from the installation's address."""

    def __init__(self, sender: OfSender, is_news: Callable[[str], bool]) -> None:
        self.sender = sender
        self.deciding = False
        self.is_news = is_news
        self._key = f"{TAKEN}:{sender.owner_id}:{sender.domain}"
        self._taken_at, self._told_at = -math.inf, -math.inf

    @property
    def taken_at(self) -> float:
        """When (time.monotonic()) the latest letter from this domain was begun that was accepted, in any process."""
        known = cache.get(self._key)
        others = time.monotonic() - (time.time() - known) if known is not None else -math.inf
        return max(self._taken_at, others)

    def taken(self, began: float) -> None:
        """Note that a letter begun then (time.monotonic()) was accepted. Asks nobody: `publish` does."""
        self._taken_at = max(self._taken_at, began)

    def publish(self) -> None:
        """Tell the other processes."""
        if self._taken_at > self._told_at:
            self._told_at = self._taken_at
            cache.set(self._key, time.time() - (time.monotonic() - self._taken_at), COUNTED)

    def refused(self, receipt: Receipt) -> None:
        """Have letters come from elsewhere, and tell the domain's owner and operators."""
        said = addresses.masked(receipt.answer, receipt.letter.recipient)
        try:
            verbs.refuse(self.sender.owner_id, self.sender.domain, said)
        except Error as error:
            logger.warning("a sender stays as it is until the database answers: %s", error)
            return
        logger.error(
            "the mail service takes no letters from %s (owner %d), which come from MAIL_FROM now: %s %s",
            *(self.sender.domain, self.sender.owner_id, receipt.code, said),
        )


class DoubtsBySender:
    """One process's doubtful refusals, those of each sender's domain apart. Safe from any thread."""

    def __init__(self, breaker: Breaker, part: Callable[[], None], nothing_comes: Callable[[], bool]) -> None:
        """Take what `Doubts` takes."""
        self._ours = Doubts(breaker, part, nothing_comes)
        self._is_news, self._nothing_comes = breaker.is_news, nothing_comes
        self._others: dict[OfSender, tuple[Trust, Doubts]] = {}
        self._lock = threading.Lock()

    def taken(self, receipt: Receipt) -> None:
        """Note that a letter was accepted. Never waits."""
        trust, doubts = self._of(receipt)
        if trust is not None:
            trust.taken(receipt.began)
        doubts.taken(receipt)

    def refused(self, receipt: Receipt, stands: Callable[..., None]) -> None:
        """Note a doubtful refusal; `stands` is called if it is about its letter. Waits for nobody."""
        self._of(receipt)[1].refused(receipt, stands)

    def decide(self) -> None:
        """Decide what can be decided; call it once a second. Never raises."""
        self._ours.decide()
        for trust, doubts in list(self._others.values()):
            trust.publish()
            doubts.decide()

    def tell(self) -> None:
        """Tell operators of new refusals. Never raises."""
        self._ours.tell()
        for _trust, doubts in list(self._others.values()):
            doubts.tell()

    def _of(self, receipt: Receipt) -> tuple[Trust | None, Doubts]:
        sender = receipt.letter.of_sender
        if sender is None:
            return None, self._ours
        with self._lock:
            if sender not in self._others:
                if len(self._others) >= MOST:
                    del self._others[next(iter(self._others))]  # its letters come again
                trust = Trust(sender, self._is_news)
                self._others[sender] = (trust, Doubts(trust, _part_with_nobody, self._nothing_comes))
            return self._others[sender]


def _part_with_nobody() -> None:
    """Leave the connections open: others' letters are accepted over them."""
