"""The double of a provider: no network, no clock, every outcome by script. Made for fast tests of the engine."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from dispatcher.providers import refusals
from dispatcher.providers.base import About, Letter, Outcome, Receipt, visible
from dispatcher.providers.errors import ProviderError, Unavailable
from dispatcher.providers.handoff import Lane, Lanes


@dataclass(frozen=True, slots=True)
class Answer:
    """The double's answer to a letter."""

    outcome: Outcome = Outcome.ACCEPTED
    code: int | None = 250
    words: str = "2.0.0 Ok"
    retry_after: float | None = None
    about: About | None = None
    """None: whom the text is about at RCPT."""

    @property
    def is_about(self) -> About:
        return self.about or refusals.about("RCPT", self.code or 0, self.words)


ACCEPTED = Answer()
TEMPORARY = Answer(Outcome.TEMPORARY, 450, "4.2.1 try again later")
PERMANENT = Answer(Outcome.PERMANENT, 550, "5.1.1 no such user")
UNKNOWN = Answer(Outcome.UNKNOWN, None, "the connection broke before the answer")


class MemoryProvider:
    """Stores what it is given. Script it before or while it delivers; all methods are safe from any thread."""

    def __init__(self, connections: int = 20, name: str = "memory://") -> None:
        self.name = name
        self.connections = connections
        self.letters: list[Letter] = []
        """Everything handed over, in order, whatever the outcome."""
        self.parted = 0
        self._lock = threading.Condition()
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._usual = ACCEPTED
        self._by_content: dict[bytes, Answer] = {}
        self._after_next: ProviderError | None = None
        self._trouble: ProviderError | None = None
        self._holding = False
        self._held: deque[_Held] = deque()
        self._lanes: Lanes[int] = Lanes(self._hand_over, self._wanted)
        self._closed_slots = list(range(connections))
        self._open_slots()

    # The script

    def answers(self, recipient: str, *answers: Answer) -> None:
        """Give these answers to the recipient's next letters, one each; after them the usual one."""
        with self._lock:
            self._scripts[recipient].extend(answers)

    def always(self, answer: Answer) -> None:
        """Give this answer to every letter that has no other."""
        with self._lock:
            self._usual = answer

    def whenever(self, content: bytes, answer: Answer) -> None:
        """Give this answer to every letter that has no other, and in which these bytes stand."""
        with self._lock:
            self._by_content[content] = answer

    def then_fail(self, error: ProviderError) -> None:
        """Raise this in its lane after the next letter's receipt, as when a service refuses the token."""
        with self._lock:
            self._after_next = error

    def hold(self) -> None:
        """Be slow: keep the letters in hand unanswered until `release`."""
        with self._lock:
            self._holding = True

    def release(self, count: int | None = None) -> None:
        """Answer the letters held: the `count` that came first, or all, and hold no more."""
        with self._lock:
            self._holding = count is not None
            for _ in range(len(self._held) if count is None else min(count, len(self._held))):
                self._settle(self._held.popleft())
            self._lanes.flush()

    def fail(self, error: ProviderError) -> None:
        """Be away: give no connection and raise this in every lane, until `recover`. What is held stays held."""
        with self._lock:
            self._trouble = error
            for slot in self._lanes.withdraw(lambda _: True):
                self._closed_slots.append(slot)
        self._lanes.fail(error)

    def recover(self) -> None:
        """Be back."""
        with self._lock:
            self._trouble = None
            self._open_slots()

    def wait_for(self, count: int, timeout: float = 5) -> list[Letter]:
        """Return the letters as soon as there are `count`; raises TimeoutError after `timeout` seconds."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self.letters) >= count, timeout):
                raise TimeoutError(f"{len(self.letters)} of {count} letters were handed over")
            return list(self.letters)

    # The provider

    def deliver(
        self,
        letters: Iterable[Letter | None],
        until: float | None = None,
        late: Callable[[Receipt], None] | None = None,
    ) -> Iterator[Receipt]:
        """Hand the letters over as `Provider.deliver` does."""
        return self._lanes.deliver(letters, until, late)

    def part(self) -> None:
        """Count the call: there is nothing to close."""
        self.parted += 1

    def close(self) -> None:
        """Answer what is held; deliver nothing after."""
        self.release()
        self.fail(Unavailable("the provider is closed"))

    def _wanted(self) -> ProviderError | None:
        return self._trouble

    def _hand_over(self, slot: int, letter: Letter, lane: Lane) -> None:
        with self._lock:
            self.letters.append(letter)
            self._lock.notify_all()
            self._held.append(_Held(slot, letter, lane, time.monotonic()))
            if not self._holding:
                self._settle(self._held.pop())
                self._lanes.flush()

    def _settle(self, held: "_Held") -> None:
        if self._after_next is not None:
            held.lane.trouble, self._after_next = self._after_next, None
        script = self._scripts.get(held.letter.recipient)
        by_content = (answer for content, answer in self._by_content.items() if content in held.letter.content)
        answer = script.popleft() if script else next(by_content, self._usual)
        duration = time.monotonic() - held.began
        self._lanes.answer(
            held.lane,
            Receipt(
                held.letter,
                answer.outcome,
                answer.code,
                visible(answer.words),
                held.began,
                duration,
                answer.retry_after,
                answer.is_about,
            ),
        )
        if self._trouble is None:
            self._lanes.release(held.slot)
        else:
            self._lanes.closed(held.slot)
            self._closed_slots.append(held.slot)

    def _open_slots(self) -> None:
        while self._closed_slots:
            slot = self._closed_slots.pop()
            self._lanes.opened(slot)
            self._lanes.release(slot)
        self._lanes.flush()


@dataclass(frozen=True, slots=True)
class _Held:
    slot: int
    letter: Letter
    lane: Lane
    began: float
