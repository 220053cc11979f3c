"""Sending in the foreground: what `send_mailings` does, with workers beside it or without."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import Error, connections

from dispatcher import launching, ledger, pacing, sending, ticking
from dispatcher.engine import Engine
from dispatcher.providers.errors import ProviderError
from vestnik.mailings import runs, service
from vestnik.mailings.models import Mailing
from vestnik.mailings.records import Delivery, DeliveryState, Run, RunState

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.25
"""How often letters in the hands of workers, which settle them in their own time, are asked after."""


Show = Callable[[dict[str, int], bool], None]
"""Is told the totals of `runs.totals`, and whether that was the last time."""


class Away(Exception):
    """The external service, or the database, was away for a minute; what is queued waits in the ledger."""


def due(mailing_ids: Sequence[int] | None) -> list[int]:
    """The mailings with something to launch now (of these)."""
    return [pk for pk in ticking.due_mailings() if mailing_ids is None or pk in mailing_ids]


def open_runs(mailing_ids: Sequence[int] | None) -> list[int]:
    """The runs that are under way and not held (of these mailings)."""
    under_way = Run.objects.filter(state=RunState.OPEN).exclude(mailing__in=Mailing.objects.held())
    if mailing_ids is not None:
        under_way = under_way.filter(mailing__in=mailing_ids)
    return list(under_way.order_by("pk").values_list("pk", flat=True))


def launch(mailing_ids: Sequence[int] | None) -> list[Run]:
    """Take over what dead workers left, and launch what is due (of these mailings); the runs that were launched."""
    ticking.recover()
    ticking.close()
    return [run for mailing_id in due(mailing_ids) for run in launching.launch(mailing_id)]


def send(engine: Engine, run_ids: Sequence[int]) -> None:
    """Send what is due of these runs, until nothing is due now and nothing is in anybody's hand, or the engine halts.

    Raises Away.
    """
    setbacks = 0
    while not engine.gate.shut:
        taken = engine.settler.taken
        try:
            if not _send_slices(engine, run_ids):
                break
            setbacks = 0
            if engine.settler.taken > taken:
                service.clear_setback()
        except (ProviderError, Error) as error:
            setbacks += 1
            if setbacks > len(settings.SETBACKS):
                raise Away(str(error)) from None
            delay = pacing.setback(setbacks)
            if isinstance(error, ProviderError):
                service.note_setback(str(error), timedelta(seconds=delay))
            logger.warning("nothing can be handed over for %.0f s: %s", delay, error)
            engine.halted.wait(delay)
    ticking.close()


def _send_slices(engine: Engine, run_ids: Sequence[int]) -> bool:
    """One slice for each owner with letters due; False when there is nothing to do and nothing to wait for."""
    owners = ledger.owners_with_letters_due(run_ids)
    for owner_id in owners:
        sending.send_slice(engine, owner_id, time.monotonic() + settings.SLICE_SECONDS, run_ids)
    if owners:
        return True
    if not Delivery.objects.filter(run__in=run_ids, state=DeliveryState.SENDING).exists():
        return False
    engine.halted.wait(LOOK_AGAIN_SECONDS)
    ticking.recover()
    return True


class Watch:
    """Tells `show` the totals of some runs, twice a second and once at the end, from a thread of its own."""

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
