"""`make soak`, or `python -m bench.soak --kills 100 --seed N`: exit status 1 if a promise was not kept."""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bench.soak import killing
from bench.soak.bouncing import Bouncers
from bench.soak.installation import make_run, set_django_up
from bench.soak.leaving import Leavers
from bench.soak.service import CountingServer

if TYPE_CHECKING:
    from vestnik.accounts.models import User
    from vestnik.clients.models import ClientList

RATE = 500
"""Letters a second that the service takes, so that runs last."""
CONNECTIONS = 10
"""Of each of the two bulk processes."""
OWNERS = 3
CLIENTS = 2000
"""On each owner's list; an owner's next run begins when the one before is over."""
APART = (2.0, 12.0)
"""Seconds from one kill to the next, evenly spread."""
TICK = 3.0
LAST = 240.0
"""Seconds for what is left after the last kill."""
LOOK = 0.2

Answer = TypeVar("Answer")


class Soak:
    """The owners with their runs, the kills, and the time."""

    def __init__(self, kills: int, data: Path, dice: random.Random, tick: float) -> None:
        self.in_hand: list[int] = []
        self.leavers = Leavers(random.Random(f"{kills} kills, and who leaves"))  # the kills stay those of the seed
        self.bouncers = Bouncers(random.Random(f"{kills} kills, and what bounces"), _bounces_port())
        self._kills = kills
        self._data = data
        self._dice = dice
        self._tick = tick
        self._began = time.monotonic()
        self._ticked = 0.0

    def run(self) -> None:
        """Begin runs and kill parts by turns until all kills are done; then wait for the runs to end, or the time."""
        lists = insisting(self._make_lists)
        kinds = killing.deal(self._dice)
        kill_at = time.monotonic() + self._dice.uniform(*APART)
        while len(self.in_hand) < self._kills:
            self._look_after(lists)
            if time.monotonic() >= kill_at:
                self._kill(next(kinds))
                kill_at = time.monotonic() + self._dice.uniform(*APART)
            time.sleep(LOOK)
        self._say("the last kill is done; waiting for the runs to be over")
        deadline = time.monotonic() + LAST
        while (insisting(_open_runs) or not self.bouncers.is_done) and time.monotonic() < deadline:
            self._look_after([])
            time.sleep(LOOK)

    def _make_lists(self) -> "list[tuple[User, ClientList]]":
        from vestnik.accounts.models import User
        from vestnik.testing.factories import make_list

        owners = [User.objects.create_user(f"owner{number}@example.org") for number in range(OWNERS)]
        return [(owner, make_list(owner, CLIENTS)) for owner in owners]

    def _look_after(self, lists: "list[tuple[User, ClientList]]") -> None:
        """Tick, and give every owner without an open run a new one; not now if the database is away."""
        from django.db import Error, connections

        from vestnik import jobs

        if self._tick and time.monotonic() - self._ticked > self._tick:
            self._ticked = time.monotonic()
            jobs.TICK.enqueue()
        try:
            busy = _open_runs()
            for owner, client_list in lists:
                if owner.pk not in busy:
                    _start_run(owner, client_list)
            self.leavers.maybe_one()
            self.bouncers.maybe_one()
        except Error:
            connections.close_all()

    def _kill(self, kind: str) -> None:
        done = killing.kill(kind, self._data, self._dice)
        self.in_hand.append(insisting(lambda: _in_hand(done.senders)) if done.senders else 0)
        hand = f", {self.in_hand[-1]} letters in hand" if done.senders else ""
        self._say(f"kill {len(self.in_hand)} of {self._kills}: {kind} ({', '.join(map(str, done.killed))}){hand}")

    def _say(self, words: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {words}", flush=True)


def insisting(ask: Callable[[], Answer]) -> Answer:
    """Return what the database answers, however long it is away; it is started again within seconds."""
    from django.db import Error, connections

    deadline = time.monotonic() + killing.BACK_SECONDS
    while True:
        try:
            return ask()
        except Error:
            connections.close_all()
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK)


def _bounces_port() -> int:
    """Return where the installation takes bounces, as its environment says."""
    return int(os.environ["BOUNCE_LISTEN"].rpartition(":")[2])


def _open_runs() -> set[int]:
    """Return the owners who have a run under way, or about to be launched."""
    from vestnik.mailings.ledger.models import Run
    from vestnik.mailings.models import Mailing

    under_way = Run.objects.filter(state=Run.State.OPEN).values_list("owner_id", flat=True)
    return {*under_way, *Mailing.objects.exclude(next_at=None).values_list("owner_id", flat=True)}


def _start_run(owner: "User", client_list: "ClientList") -> None:
    from vestnik import clock
    from vestnik.mailings import verbs

    now = clock.now()
    message = verbs.create_message(owner, subject="News for {{ full_name }}", text="Dear {{ full_name }}, hello.")
    verbs.create_mailing(
        owner, name="Soak", message=message, lists=[client_list], start=now, end=now + timedelta(hours=2)
    )


def _in_hand(pids: list[int]) -> int:
    import platform

    from vestnik.mailings.ledger.models import Delivery

    names = [f"{platform.node()}:{pid}" for pid in pids]
    return Delivery.objects.filter(state=Delivery.State.SENDING, worker__name__in=names).count()


def main() -> int:
    """Soak, say the figures; return the exit status."""
    asked = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    dice = random.Random(asked.seed)
    print(f"{asked.kills} kills, --seed {asked.seed}", flush=True)
    with (
        CountingServer(letters_per_second=RATE, keeps_at_dot=True, keep_content=False) as service,
        make_run(f"smtp://127.0.0.1:{service.port}?connections={CONNECTIONS}", asked.log) as data,
    ):
        set_django_up(data)
        from bench.soak.reckoning import reckon

        soak = Soak(asked.kills, data, dice, asked.tick)
        soak.run()
        found = insisting(lambda: reckon(service.received, soak.in_hand, soak.leavers, soak.bouncers))
        print(found)
        faults = [*found.faults(), *service.violations]
        from django.db import connections

        connections.close_all()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the dice, to repeat a soak")
    parser.add_argument(
        "--tick",
        type=float,
        default=TICK,
        metavar="SECONDS",
        help=f"how often the tick is hinted at beside the scheduler, which does it once a minute, so that a soak takes"
        f" minutes and not an hour (default: {TICK:g}; 0: never)",
    )
    parser.add_argument("--log", type=Path, help="a file for what the parts say")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
