"""What every page of a mailing shows of its past and future: its runs with their totals, and its next dates."""

from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from vestnik import clock
from vestnik.mailings import calendar
from vestnik.mailings.ledger import statistics
from vestnik.mailings.models import Mailing
from web.paging import CappedPaginator
from web.runs.tiles import ENDS, TO_GO

NEXT = 5
RUNS = 20


def of_runs(mailing: Mailing, page: str | None) -> dict[str, Any]:
    """Return what `mailings/_runs.html` wants: a page of the mailing's runs, the newest first, and their chart."""
    runs = CappedPaginator(mailing.runs.order_by("-pk"), RUNS).get_page(page)
    totals = statistics.of_runs([run.pk for run in runs])
    for run in runs:
        run.totals = totals[run.pk]
    return {"page_obj": runs, "chart": _chart(list(runs))}


def upcoming(mailing: Mailing) -> list[Any]:
    """Return the next occurrences, as instants."""
    return calendar.upcoming(mailing.schedule, clock.now(), NEXT)


def _chart(runs: list[Any]) -> dict[str, Any]:
    """Return what became of the letters of these runs, the oldest first."""
    runs = [run for run in reversed(runs) if run.totals.total]
    return {
        "labels": [date_format(timezone.localtime(run.occurrence or run.opened_at), _("j M H:i")) for run in runs],
        "series": [
            {"name": name, "colour": colour, "values": values}
            for key, name, colour in (*ENDS, TO_GO)
            if any(values := [getattr(run.totals, key) for run in runs])
        ],
    }
