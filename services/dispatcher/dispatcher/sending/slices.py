"""A letter's way: its run's turn → token → claim → render → gate → hand over → settle. A lane does this for a slice."""

import time
from collections.abc import Callable, Iterator, Sequence

from dispatcher.ledger import closing, rows, statements
from dispatcher.pace.breaker import CircuitOpen
from dispatcher.providers.base import Letter
from dispatcher.providers.errors import ProviderError
from dispatcher.sending import claims
from dispatcher.sending.compose import letter_writer
from dispatcher.sending.engine import Engine
from vestnik import logs
from vestnik.clients import attributes

SHORT_WAIT = 0.2
"""Seconds that a lane waits for its owner's limit before it lets others work."""


def send_slice(engine: Engine, owner_id: int, until: float, only: Sequence[int] | None = None) -> float | None:
    """Work off the owner's runs, in turns, until `until` (time.monotonic()); in how many seconds something may be due
    and free to go, 0 for now, None if nothing is due.

    Raises CircuitOpen while the breaker is open, and ProviderError if the service takes nothing and that has not opened
    it; no letter pays for that.
    """
    idle: list[int] = []
    turn: rows.NextRun | None = None
    try:
        while not engine.gate.shut and engine.lease.wait_until_fresh(until - time.monotonic()):
            if (asked := time.monotonic()) >= until:
                break
            engine.pace.breaker.check()
            turn = statements.next_run(owner_id, idle, only)
            if turn is None:
                return None
            with logs.context(run_id=turn.run_id), engine.gate.admitting(turn.run_id, asked, turn.window_seconds):
                claim = _send_run(engine, owner_id, turn, until)
                is_over = not engine.gate.is_open(turn.run_id)  # its window closed: what was in hand may have been all
            if claim.exhausted or is_over:
                closing.finish(turn.run_id)
            if claim.exhausted:
                idle.append(turn.run_id)
            elif claim.held:
                left = SHORT_WAIT if claim.held.of_owner else until - time.monotonic()
                if claim.held.wait > left:
                    return claim.held.wait
                engine.halted.wait(claim.held.wait)
    except (CircuitOpen, ProviderError) as error:
        if turn:
            closing.finish(turn.run_id)
        if isinstance(error, ProviderError) and (wait := engine.pace.breaker.failed(error)) is not None:
            raise CircuitOpen(wait) from error
        raise
    finally:
        engine.pace.breaker.release_probe()
    return 0.0


def _send_run(engine: Engine, owner_id: int, turn: rows.NextRun, until: float) -> claims.Claims:
    """Hand over what can be claimed of the run until then; how far that came."""
    claim = claims.Claims(engine, owner_id, turn.run_id)
    letters = _letters(engine, turn, claim, until, letter_writer(turn, attributes.spellings(owner_id)))
    try:
        for receipt in engine.provider.deliver(letters, until, claim.answered_late):
            claim.answered(receipt)
    finally:
        claim.give_back()
        engine.settler.drain()
    return claim


def _letters(
    engine: Engine,
    turn: rows.NextRun,
    claim: claims.Claims,
    until: float,
    write: Callable[[rows.Claimed], Letter],
) -> Iterator[Letter | None]:
    """The run's letters, each passed by the gate the instant it is pulled; None while a receipt must come first."""
    while time.monotonic() < until:
        if engine.pace.breaker.trying:
            yield None
            continue
        if not engine.pace.free:
            return
        claimed = claim.next()
        if claimed is not None:
            try:
                letter = write(claimed)
            except ValueError as error:
                claim.unwritable(error)
                continue
            if not engine.gate.is_open(turn.run_id):
                return
            if wait := engine.pace.domain_wait(claimed.address):
                claim.put_off(wait)
                continue
            claim.hand_over()
            yield letter
        elif claim.exhausted or claim.held:
            return
        elif claim.outstanding:
            yield None
        else:
            engine.in_flight.wait_for_room(timeout=until - time.monotonic())
