"""Sending in the foreground: what `send_mailings` does, whether workers run beside it or not."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.conf import settings
from django.db import Error, connections

from dispatcher.ledger.due import owners_with_letters_due
from dispatcher.pace.breaker import CircuitOpen
from dispatcher.providers.errors import ConnectionLimitReached, ProviderError
from dispatcher.runs import launching, ticking
from dispatcher.sending import backoff, slices
from dispatcher.sending.engine import Engine
from vestnik import addresses
from vestnik.mailings import outages
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Delivery, DeliveryState, Run, RunState
from vestnik.mailings.models import Mailing

logger = logging.getLogger(__name__)

LONGEST_WAIT = 2.0
"""Seconds after which to ask again in any case: others may have found the service back."""

LOOK_AGAIN_SECONDS = 0.25
"""How often to ask for letters that workers have in hand, which settle them in their own time."""


Show = Callable[[dict[str, int], bool], None]
"""Called with the totals of `runs.totals`, and whether that was the last time."""


class ServiceDown(Exception):
    """The external service, or the database, was away for a minute; what is queued waits in the ledger."""


def due(mailing_ids: Sequence[int] | None) -> list[int]:
    """Return the mailings with an occurrence or a run to launch now (of these)."""
    return [pk for pk in ticking.due_mailings() if mailing_ids is None or pk in mailing_ids]


def open_runs(mailing_ids: Sequence[int] | None) -> list[int]:
    """Return the runs that are under way and not held (of these mailings)."""
    under_way = Run.objects.filter(state=RunState.OPEN).exclude(mailing__in=Mailing.objects.held())
    if mailing_ids is not None:
        under_way = under_way.filter(mailing__in=mailing_ids)
    return list(under_way.order_by("pk").values_list("pk", flat=True))


def launch(mailing_ids: Sequence[int] | None) -> list[Run]:
    """Take over what dead workers had in hand, and launch what is due (of these mailings); return the launched runs."""
    ticking.rescue()
    ticking.close()
    return [run for mailing_id in due(mailing_ids) for run in launching.launch(mailing_id)]


def send(engine: Engine, run_ids: Sequence[int]) -> None:
    """Send what is due of these runs, until nothing is due now and nothing is in anybody's hand, or the engine halts.

    Raises ServiceDown.
    """
    breaker = engine.pace.breaker
    failures, away_since = 0, time.monotonic()
    while not engine.gate.shut:
        proofs, trouble = breaker.proofs, ""
        try:
            wait = _send_slices(engine, run_ids)
            if wait is None:
                break
            failures = 0
            if breaker.refuses:  # and what it refused is not due yet
                trouble = _outage_or("letter after letter is refused")
        except CircuitOpen as error:
            wait, trouble = error.wait, _outage_or(str(error.__cause__ or error))
        except ConnectionLimitReached as error:
            wait, trouble = LOOK_AGAIN_SECONDS, str(error)
        except (ProviderError, Error) as error:
            failures += 1
            wait, trouble = backoff.probe_backoff(failures), str(error)
            logger.warning("nothing can be handed over for %.0f s: %s", wait, addresses.masked(trouble))
        if breaker.proofs > proofs or (wait and not trouble):  # a limit is no trouble
            away_since = time.monotonic()
        elif time.monotonic() - away_since > sum(settings.PROBE_BACKOFF):
            raise ServiceDown(trouble or "the service does not answer")
        engine.halted.wait(min(wait, LONGEST_WAIT))
    ticking.close()


def _outage_or(otherwise: str) -> str:
    """Return what is the matter with the service, as far as all processes know; else `otherwise`."""
    outage = outages.current()
    return outage.message if outage else otherwise


def _send_slices(engine: Engine, run_ids: Sequence[int]) -> float | None:
    """Send one slice for each owner with letters due; return how long to wait then, None if there is nothing left."""
    waits = []
    for owner_id in owners_with_letters_due(run_ids):
        until = time.monotonic() + settings.SLICE_SECONDS
        waits.append(slices.send_slice(engine, owner_id, until, run_ids).wait)
    if waits:
        return min(waits)
    if Delivery.objects.filter(run__in=run_ids, state=DeliveryState.SENDING).exists():
        ticking.rescue()
        return LOOK_AGAIN_SECONDS
    return LOOK_AGAIN_SECONDS if _put_off(run_ids) else None


def _put_off(run_ids: Sequence[int]) -> bool:
    """Say whether letters wait that were not tried yet, as the limits of their domains put them off."""
    going = Run.objects.filter(pk__in=run_ids).exclude(mailing__in=Mailing.objects.held())
    return Delivery.objects.filter(run__in=going, state=DeliveryState.QUEUED, attempts=0).exists()


class Watch:
    """Calls `show` with the totals of some runs, twice a second and once at the end, from a thread of its own."""

    def __init__(self, run_ids: Sequence[int], show: Show) -> None:
        self._run_ids, self._show = run_ids, show
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._show(runs.totals(*self._run_ids), True)

    def _keep(self) -> None:
        while not self._over.wait(0.5):
            with suppress(Error):  # who sends says so, and waits for it
                self._show(runs.totals(*self._run_ids), False)
        connections.close_all()
