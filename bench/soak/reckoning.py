"""The ledger held against what the service received, when everything is over."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from bench.soak.bouncing import Bouncers
from bench.soak.leaving import Leavers
from vestnik.clients.models import Client, Suppression
from vestnik.mailings.ledger.models import Attempt, Delivery, DeliveryEvent, EventKind, Run, Tally, message_id
from vestnik.mailings.models import Mailing

MAY_HAVE_GONE = (Attempt.Outcome.ACCEPTED, Attempt.Outcome.UNKNOWN)


@dataclass(frozen=True)
class Reckoning:
    """What became of the letters, in numbers of letters where nothing else is said."""

    runs: int
    letters: int
    states: dict[str, int]
    unwritten: int
    """Clients of an audience without a letter, whom nobody has told to leave out, or who are not counted as such."""
    left: int
    """People who unsubscribed meanwhile."""
    stopped: int
    """Letters that were cancelled for that, or since their address had bounced."""
    bounced: int
    """Letters whose bounces were taken."""
    unbounced: int
    """Of these, such as the ledger does not know to have bounced; and what it knows or counts beyond."""
    disobeyed: int
    """Letters that were taken out for sending after their reader had the answer."""
    unended: int
    """Letters that are still queued or in hand."""
    never_received: int
    """Letters that the ledger calls sent."""
    strangers: int
    """Message-IDs the service received that the ledger does not know."""
    doubled: int
    copies: int
    """Of the doubled ones, beyond the first."""
    named: int
    """Doubled ones that the ledger names by an `unknown` attempt."""
    in_hand: int
    """At all kills together."""
    most_in_hand: int
    """At one kill."""

    @property
    def lost(self) -> int:
        return self.unwritten + self.unended + self.never_received

    @property
    def unnoticed(self) -> int:
        return self.doubled - self.named

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each promise that was not kept."""
        if self.lost:
            yield f"{self.lost} letters were lost."
        if self.unnoticed:
            yield f"{self.unnoticed} letters were doubled unnoticed."
        if self.copies > self.in_hand:
            yield f"{self.copies} letters came once more than they should have; only {self.in_hand} were in hand."
        if self.strangers:
            yield f"{self.strangers} letters came that the ledger does not know."
        if self.disobeyed:
            yield f"{self.disobeyed} letters went to people who had unsubscribed, or whose address had bounced, before."
        if self.unbounced:
            yield f"{self.unbounced} bounces were forgotten, or counted more than once."
        ended_well = self.states.get("sent", 0) + self.states.get("unknown", 0) + self.stopped
        if refused := self.letters - self.unended - ended_well:
            yield f"{refused} letters ended unsent, though the service took everything."

    def __str__(self) -> str:
        states = ", ".join(f"{count:,} {state}" for state, count in sorted(self.states.items()))
        return "\n".join(
            (
                f"letters expected:     {self.letters:,} in {self.runs} runs ({states})",
                f"lost:                 {self.lost} (without a letter {self.unwritten}, without an end {self.unended},"
                f" sent and never received {self.never_received})",
                f"doubled:              {self.doubled} ({self.copies} copies too many), of these named by an unknown"
                f" attempt {self.named}",
                f"doubled unnoticed:    {self.unnoticed}",
                f"in hand at the kills: {self.in_hand}, at most {self.most_in_hand} at one",
                f"unsubscribed:         {self.left} people meanwhile, {self.stopped} letters cancelled for it",
                f"bounced:              {self.bounced} letters meanwhile, forgotten or counted twice {self.unbounced}",
                f"disobeyed:            {self.disobeyed}",
            )
        )


def reckon(
    received: Mapping[str, int],
    in_hand: list[int],
    leavers: Leavers | None = None,
    bouncers: Bouncers | None = None,
) -> Reckoning:
    """Hold the whole ledger against what was received, by Message-ID; `in_hand`: so many letters were, at each kill."""
    leavers, bouncers = leavers or Leavers(random.Random()), bouncers or Bouncers(random.Random())
    ids = {
        message_id(pk, key, sender): (pk, state)
        for pk, key, sender, state in Delivery.objects.values_list("pk", "run__key", "run__sender", "state").iterator()
    }
    doubled = {ids[key][0]: count for key, count in received.items() if count > 1 and key in ids}
    states = Counter(state for _, state in ids.values())
    return Reckoning(
        runs=Run.objects.count(),
        letters=len(ids),
        states=dict(states),
        unwritten=_unwritten(),
        left=leavers.number,
        stopped=Delivery.objects.filter(state="cancelled", reason__in=("unsubscribed", "bounced")).count(),
        bounced=len(bouncers.taken),
        unbounced=_unbounced(bouncers.taken),
        disobeyed=_disobeyed(leavers.claims) + _disobeyed(bouncers.claims),
        unended=states["queued"] + states["sending"],
        never_received=sum(state == "sent" and key not in received for key, (_, state) in ids.items()),
        strangers=sum(key not in ids for key in received),
        doubled=len(doubled),
        copies=sum(doubled.values()) - len(doubled),
        named=_named(doubled),
        in_hand=sum(in_hand),
        most_in_hand=max(in_hand, default=0),
    )


def _unwritten() -> int:
    """Count the clients of the mailings' lists to whom no run of theirs has a letter, but for those who have left, as
    far as the run has counted them.
    """
    missing = 0
    gone = set(Suppression.objects.values_list("address", flat=True))
    for mailing in Mailing.objects.all():
        audience = dict(Client.objects.filter(lists__in=mailing.lists.all()).values_list("pk", "email"))
        written = set(Delivery.objects.filter(run__mailing=mailing).values_list("client_id", flat=True))
        without = [address for pk, address in audience.items() if pk not in written]
        counted = sum(sum(run.left_out.values()) for run in Run.objects.filter(mailing=mailing))
        missing += max(sum(address not in gone for address in without), abs(len(without) - counted))
    return missing


def _unbounced(taken: set[int]) -> int:
    """Count the bounces that were taken and are not known, are known and were not taken, or are counted wrongly."""
    known = set(DeliveryEvent.objects.filter(kind=EventKind.BOUNCED).values_list("delivery_id", flat=True))
    counted = Tally.objects.aggregate(all=Sum("bounced"))["all"] or 0
    return len(taken ^ known) + abs(len(known) - counted)


def _disobeyed(claims: Mapping[int, int]) -> int:
    """Count the letters that were handed over under a later claim than their reader's answer found."""
    tried = Attempt.objects.filter(delivery__in=list(claims)).values_list("delivery_id", "claim")
    return len({pk for pk, claim in tried if claim > claims[pk]})


def _named(doubled: Mapping[int, int]) -> int:
    """Count those of the letters received so often of which the ledger says that it may be so.

    `recoveries` counts the unknown attempts of dead workers: a receipt that came late may have corrected one since.
    """
    told = (
        Delivery.objects.filter(pk__in=doubled)
        .filter(Q(recoveries__gt=0) | Q(tries__outcome=Attempt.Outcome.UNKNOWN))
        .distinct()
        .values_list("pk", flat=True)
    )
    went = dict(
        Attempt.objects.filter(delivery__in=list(told), outcome__in=MAY_HAVE_GONE)
        .values_list("delivery")
        .annotate(Count("pk"))
    )
    return sum(doubled[pk] <= times for pk, times in went.items())
