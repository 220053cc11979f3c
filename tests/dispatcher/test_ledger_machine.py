"""The ledger against a model of it: whatever happens in whatever order, each letter is where it should be."""

import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dispatcher.ledger import closing, rows, statements
from dispatcher.providers.base import Outcome
from dispatcher.runs import launching
from vestnik.accounts.models import User
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Run, Worker
from vestnik.testing.factories import make_mailing

LETTERS = 3
ATTEMPTED = [outcome for outcome in Outcome if outcome is not Outcome.RETURNED]
MAX_ATTEMPTS = 3
RECOVERIES = 3


@dataclass
class Letter:
    """What the model knows of a letter."""

    state: str = "queued"
    due: bool = True
    holder: int | None = None
    claim: int = 0
    attempts: int = 0
    recoveries: int = 0
    tries: dict[int, str] = field(default_factory=dict)  # claim → outcome
    uncharged: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class InHand:
    """A letter as a worker holds it."""

    delivery: int
    claim: int
    worker: int


class LedgerMachine(RuleBasedStateMachine):
    hands = Bundle("hands")  # every claim ever made, settled or not: receipts come late, and twice
    hold = False

    @initialize()
    def launch(self) -> None:
        owner = User.objects.create_user(f"alice{time.monotonic_ns()}@example.org")
        self.owner = owner
        self.mailing = make_mailing(owner, LETTERS)
        (self.run,) = launching.launch(self.mailing.pk)
        self.letters = {pk: Letter() for pk in self.run.deliveries.values_list("pk", flat=True)}
        Worker.objects.filter(ended_at=None).update(ended_at="2020-01-01T00:00Z")
        self.workers = [self.living_worker() for _ in range(2)]
        self.dead: set[int] = set()
        self.cancelled = self.expired = self.over = self.paused = False

    @staticmethod
    def living_worker() -> int:
        return Worker.objects.create(name="w", provider="memory", beat_at="2100-01-01T00:00Z").pk

    @property
    def may_send(self) -> bool:
        return not (self.cancelled or self.expired or self.over)

    @rule(target=hands, worker=st.integers(0, 1), limit=st.integers(1, 4))
    def claim(self, worker, limit):
        worker_id = self.workers[worker]
        claimed = statements.claim(self.run.pk, worker_id, limit, None)
        due = [pk for pk, letter in self.letters.items() if letter.state == "queued" and letter.due]
        allowed = worker_id not in self.dead and not self.cancelled and not self.over
        assert len(claimed) == (min(limit, len(due)) if allowed else 0)
        for each in claimed:
            letter = self.letters[each.delivery_id]
            assert letter.state == "queued"
            assert letter.due
            letter.claim += 1
            assert (each.claim, each.attempts) == (letter.claim, letter.attempts)
            letter.state, letter.holder = "sending", worker_id
        return multiple(*[InHand(each.delivery_id, each.claim, worker_id) for each in claimed])

    @rule(hand=hands, outcome=st.sampled_from(ATTEMPTED), retry=st.sampled_from([0.0, 600.0, 7200.0]))
    def settle(self, hand, outcome, retry):
        now = time.monotonic()
        statements.settle(
            [rows.Settlement(hand.delivery, hand.claim, hand.worker, outcome, 250, "", now, 0.1, retry)], now
        )
        letter = self.letters[hand.delivery]
        if hand.claim in letter.tries and hand.claim not in letter.uncharged:
            return  # written before: nothing changes
        corrects = hand.claim in letter.uncharged
        letter.tries[hand.claim] = outcome.value
        letter.uncharged.discard(hand.claim)
        after = self._after(outcome, letter, retry)
        ended = {"unknown": ("sent", "failed"), "expired": ("sent",), "cancelled": ("sent",)}.get(letter.state, ())
        known_better = corrects and after in ended
        if letter.claim != hand.claim or not (letter.state in ("sending", "queued") or known_better):
            return
        letter.attempts += 1
        letter.holder = None
        letter.due = retry == 0.0
        letter.state = after

    def _after(self, outcome, letter, retry):
        if outcome is Outcome.ACCEPTED:
            return "sent"
        if outcome is Outcome.PERMANENT:
            return "failed"
        if outcome is Outcome.UNKNOWN and self.hold:
            return "unknown"
        if letter.attempts + 1 >= MAX_ATTEMPTS:
            return "failed"
        if self.cancelled:
            return "cancelled"
        if self.expired or retry > 3600:
            return "expired"
        return "queued"

    @rule(hand=consumes(hands))
    def give_back(self, hand):
        letter = self.letters[hand.delivery]
        statements.give_back([(hand.delivery, hand.claim)])
        if letter.state == "sending" and letter.claim == hand.claim:
            letter.holder = None
            letter.state = "cancelled" if self.cancelled else "expired" if self.expired else "queued"

    @rule(worker=st.integers(0, 1))
    def die(self, worker):
        """Silence of ten seconds: the worker may yet come back with receipts."""
        worker_id = self.workers[worker]
        Worker.objects.filter(pk=worker_id).update(beat_at="2020-01-01T00:00Z")
        reaped = [pk for pk, _ in statements.reap()]
        assert reaped == ([] if worker_id in self.dead else [worker_id])
        self.dead.add(worker_id)

    @rule(worker=st.integers(0, 1))
    def crash(self, worker):
        self.die(worker)
        self.recover()
        self.enlist()

    @rule()
    def recover(self):
        statements.rescue()
        for letter in self.letters.values():
            if letter.state != "sending" or letter.holder not in self.dead:
                continue
            letter.tries.setdefault(letter.claim, "unknown")
            letter.uncharged.add(letter.claim)
            letter.recoveries += 1
            letter.holder, letter.due = None, True
            if self.hold or letter.recoveries >= RECOVERIES:
                letter.state = "unknown"
            else:
                letter.state = "cancelled" if self.cancelled else "expired" if self.expired else "queued"

    @precondition(lambda self: self.dead)
    @rule()
    def enlist(self):
        for number, worker_id in enumerate(self.workers):
            if worker_id in self.dead:
                self.workers[number] = self.living_worker()

    @rule()
    def time_passes(self):
        self.run.deliveries.filter(state="queued").update(due_at=self.run.opened_at)
        for letter in self.letters.values():
            letter.due = letter.due or letter.state == "queued"

    @rule()
    def pause_or_resume(self):
        (verbs.resume if self.paused else verbs.pause)(self.mailing)
        self.paused = not self.paused

    @precondition(lambda self: not self.cancelled and not self.over)
    @rule()
    def cancel(self):
        verbs.cancel(self.mailing)
        self.cancelled = True

    @precondition(lambda self: not self.expired)
    @rule(
        states=st.sampled_from([("failed",), ("unknown",), ("failed", "unknown")]),
        numbers=st.none() | st.sets(st.integers(0, LETTERS - 1)),
    )
    def try_again(self, states, numbers):
        ids = None if numbers is None else [sorted(self.letters)[number] for number in numbers]
        chosen = [
            letter
            for pk, letter in self.letters.items()
            if letter.state in states and (ids is None or pk in ids)
        ]  # fmt: skip
        if self.paused or self.cancelled or not chosen:
            with pytest.raises(ValidationError):
                verbs.try_again(self.run, states, ids)
            return
        verbs.try_again(self.run, states, ids)
        for letter in chosen:
            letter.state, letter.due = "queued", True
            letter.attempts = letter.recoveries = 0
        self.over = False

    @precondition(lambda self: not self.over)
    @rule()
    def window_closes(self):
        Run.objects.filter(pk=self.run.pk).update(window_end="2020-01-01T00:00Z")
        self.expired = True

    @rule()
    def close(self):
        was_over = self.over
        over_now = closing.close(self.run.pk)
        for letter in self.letters.values():
            if letter.state == "queued" and (self.cancelled or self.expired):
                letter.state = "cancelled" if self.cancelled else "expired"
        ended = all(letter.state not in ("queued", "sending") for letter in self.letters.values())
        assert over_now == (ended and not was_over)
        self.over = self.over or ended

    @invariant()
    def a_run_has_its_turn_only_while_it_may_send(self):
        turn = statements.next_run(self.owner.pk)
        assert (turn is not None) == (self.may_send and not self.paused)

    @invariant()
    def the_ledger_is_what_the_model_says(self):
        letters = {row["pk"]: row for row in self.run.deliveries.values(
            "pk", "state", "worker_id", "claim", "attempts", "recoveries", "settled_at", "due_at"
        )}  # fmt: skip
        assert len(letters) == LETTERS
        for pk, letter in self.letters.items():
            row = letters[pk]
            assert (row["state"], row["worker_id"], row["claim"], row["attempts"], row["recoveries"]) == (
                letter.state, letter.holder, letter.claim, letter.attempts, letter.recoveries,
            )  # fmt: skip
            assert (row["settled_at"] is None) == (letter.state in ("queued", "sending"))
        written = {}
        for delivery, claim, outcome in Attempt.objects.filter(delivery__run=self.run).values_list(
            "delivery_id", "claim", "outcome"
        ):
            written.setdefault(delivery, {})[claim] = outcome
        assert written == {pk: letter.tries for pk, letter in self.letters.items() if letter.tries}

    @invariant()
    def the_tallies_count_what_is_there(self):
        totals = runs.totals(self.run.pk)
        states = [letter.state for letter in self.letters.values()]
        for state in ("sent", "failed", "expired", "cancelled", "unknown"):
            assert totals[state] == states.count(state)
        assert totals["attempts"] == sum(len(letter.tries) for letter in self.letters.values())
        assert totals["left"] == states.count("queued") + states.count("sending")

    @invariant()
    def a_run_is_over_only_when_every_letter_is(self):
        self.run.refresh_from_db()
        assert (self.run.state != "open") == self.over
        if self.over:
            assert self.run.state == ("cancelled" if self.cancelled else "finished")


class HoldingMachine(LedgerMachine):
    hold = True


@pytest.mark.parametrize("machine", [LedgerMachine, HoldingMachine])
def test_the_ledger_keeps_its_rules_in_any_order_of_events(db, settings, machine):
    settings.MAX_ATTEMPTS, settings.RECOVERIES = MAX_ATTEMPTS, RECOVERIES
    settings.DEAD_AFTER = timedelta(seconds=1)
    settings.UNKNOWN_OUTCOMES = "hold" if machine.hold else "retry"
    run_state_machine_as_test(machine, settings=CONFIGURED)


CONFIGURED = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
