"""A letter's way: its run's turn → claim → render → gate → hand over → settle. A lane does this for a slice of time."""

import time
from collections.abc import Iterator, Sequence

from dispatcher import claims, closing, entries, ledger
from dispatcher.engine import Engine
from dispatcher.letters import letter_writer
from dispatcher.providers.base import Letter


def send_slice(engine: Engine, owner_id: int, until: float, only: Sequence[int] | None = None) -> bool:
    """Work off the owner's runs, in turns, until `until` (time.monotonic()); whether something may still be due.

    Raises ProviderError if the service takes nothing; no letter pays for that.
    """
    idle: list[int] = []
    while not engine.gate.shut and engine.lease.wait_until_fresh(until - time.monotonic()):
        if (asked := time.monotonic()) >= until:
            break
        turn = ledger.next_run(owner_id, idle, only)
        if turn is None:
            return False
        with engine.gate.admitting(turn.run_id, asked, turn.window_seconds):
            if _send_run(engine, turn, until):
                idle.append(turn.run_id)
                closing.finish(turn.run_id)
    return True


def _send_run(engine: Engine, turn: entries.Turn, until: float) -> bool:
    """Hand over what can be claimed of the run until then; whether nothing more of it is due."""
    claim = claims.Claims(engine, turn.run_id)
    try:
        for receipt in engine.provider.deliver(_letters(engine, turn, claim, until)):
            claim.answered(receipt)
    finally:
        claim.give_back()
        engine.settler.drain()
    return claim.exhausted


def _letters(engine: Engine, turn: entries.Turn, claim: claims.Claims, until: float) -> Iterator[Letter | None]:
    """The run's letters, each passed by the gate the instant it is pulled; None while a receipt must come first."""
    write = letter_writer(turn)
    while time.monotonic() < until:
        claimed = claim.next()
        if claimed is not None:
            try:
                letter = write(claimed)
            except ValueError as error:
                claim.unwritable(error)
                continue
            if not engine.gate.is_open(turn.run_id):
                return
            claim.hand_over()
            yield letter
        elif claim.exhausted:
            return
        elif claim.outstanding:
            yield None
        else:
            engine.hand.wait(timeout=until - time.monotonic())
