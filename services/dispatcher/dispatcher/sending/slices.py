"""A letter's way: its run's turn → token → claim → render → gate → hand over → settle. A lane does this for a slice."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What a slice leaves for the owner's lanes to do."""

    something_is_due: bool
    wait: float = 0.0
    """Seconds until a letter may go."""


AGAIN = SliceResult(something_is_due=True)
"""The slice's time was over before its letters were."""

NOTHING_DUE = SliceResult(something_is_due=False)


def send_slice(engine: Engine, owner_id: int, until: float, only: Sequence[int] | None = None) -> SliceResult:
    """Work off the owner's runs (`only` these), in turns, until `until` (time.monotonic()); return what is left.

    Raises CircuitOpen while the breaker is open, and ProviderError if the service takes nothing and that has not opened
    it; no letter pays for that.
    """
    idle: list[int] = []
    run: rows.NextRun | None = None
    try:
        with engine.pace.circuit() as check:
            while not engine.gate.shut and engine.lease.wait_until_fresh(until - time.monotonic()):
                if (asked := time.monotonic()) >= until:
                    break
                check()
                run = statements.next_run(owner_id, idle, only)
                if run is None:
                    return NOTHING_DUE
                claim = _work_on(engine, owner_id, run, asked, until)
                if claim.exhausted:
                    idle.append(run.run_id)
                elif claim.held:
                    left = SHORT_WAIT if claim.held.of_owner else until - time.monotonic()
                    if claim.held.wait > left:
                        return SliceResult(something_is_due=True, wait=claim.held.wait)
                    engine.halted.wait(claim.held.wait)
    except (CircuitOpen, ProviderError):
        if run:
            closing.finish(run.run_id)
        raise
    return AGAIN


def _work_on(engine: Engine, owner_id: int, run: rows.NextRun, asked: float, until: float) -> claims.Claims:
    """Send what can be claimed of a run that the database, asked at `asked`, said may send; finish it if it is over."""
    with logs.context(run_id=run.run_id), engine.gate.admitting(run.run_id, asked, run.window_seconds):
        claim = _send_run(engine, owner_id, run, until)
        is_over = not engine.gate.is_open(run.run_id)  # its window closed: what was in hand may have been all
    if claim.exhausted or is_over:
        closing.finish(run.run_id)
    return claim


def _send_run(engine: Engine, owner_id: int, run: rows.NextRun, until: float) -> claims.Claims:
    """Hand over what can be claimed of the run until then; return how far that came."""
    claim = claims.Claims(engine, owner_id, run.run_id)
    letters = _letters(engine, run, claim, until, letter_writer(run, attributes.spellings(owner_id)))
    try:
        for receipt in engine.provider.deliver(letters, until, claim.answered_late):
            claim.answered(receipt)
    finally:
        claim.give_back()
        engine.settler.drain()
    return claim


def _letters(
    engine: Engine,
    run: rows.NextRun,
    claim: claims.Claims,
    until: float,
    write: Callable[[rows.Claimed], Letter],
) -> Iterator[Letter | None]:
    """Yield the run's letters, each passed by the gate the instant it is pulled; None while a receipt must come
    first.
    """
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
            if not engine.gate.is_open(run.run_id):
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
