"""Where one lands after signing in: what to do next, what is under way, and how the letters of a period fared."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from vestnik import access, clock
from vestnik.mailings import outages
from vestnik.mailings.ledger import runs, statistics
from vestnik.mailings.ledger.models import Run, RunState
from web import onboarding, pages
from web.runs.tiles import ENDS, came_back, share
from web.tables import csv_table

if TYPE_CHECKING:
    from vestnik.accounts.models import User

PERIODS = {
    "today": (1, gettext_lazy("Today")),
    "7": (7, gettext_lazy("7 days")),
    "30": (30, gettext_lazy("30 days")),
    "90": (90, gettext_lazy("90 days")),
}
"""The address's word for a period, its days, and the reader's word."""

USUAL = "30"
LATEST = 10


@login_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show how the user's mailings do: runs under way, the report, the latest runs; and the first steps that are
    left.
    """
    user: Any = request.user
    if not pages.has_rooms(user):
        return HttpResponseRedirect(reverse("panel:mailings"))
    todo = onboarding.first_steps(user)
    return render(
        request,
        "overview/index.html",
        {
            **_under_way(user),
            **_report_card(user, _period(request)),
            "steps": todo,
            "next_step": next((step for step in todo if not step.done), None),
            "may_own": access.may_own(user),
            "latest": _with_totals(Run.objects.filter(owner_id=user.pk).order_by("-opened_at")[:LATEST]),
        },
    )


@login_required
@require_safe
def under_way(request: HttpRequest) -> HttpResponse:
    """Show the runs under way, alone. Once they differ from what the reader sees, the whole page is loaded again."""
    context = _under_way(request.user)
    if context["under_way_ids"] != request.GET.get("ids"):
        return HttpResponseClientRefresh()
    return render(request, "overview/_under_way.html", context)


@login_required
@require_safe
def report_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Stream the report as a CSV file, a row for each of its days or hours."""
    period = _period(request)
    report = _report(request.user, period)
    header = [pgettext("since", "from"), *(str(label) for _key, label, _colour in ENDS)]

    def rows() -> Iterator[list[str]]:
        yield header
        for part in report.parts:
            yield [f"{part.at:%Y-%m-%d %H:%M}", *(str(getattr(part, key)) for key, _label, _colour in ENDS)]

    return csv_table(f"report-{period}", rows())


def _under_way(user: Any) -> dict[str, Any]:
    """Open runs that the user may see, the newest first."""
    open_runs = runs.own_or_shared(user).filter(state=RunState.OPEN).order_by("-pk")[:LATEST]
    found = _with_totals(open_runs)
    outage = outages.current() if found else None
    return {
        "under_way": found,
        "under_way_ids": "-".join(str(run.pk) for run in found),
        "outage": outage,
        "outage_sentence": statistics.outage_sentence(outage) if outage else "",
    }


def _with_totals(found: Any) -> list[Any]:
    listed = list(found.select_related("mailing__owner"))
    totals = statistics.of_runs([run.pk for run in listed])
    for run in listed:
        run.totals = totals[run.pk]
    return listed


def _period(request: HttpRequest) -> str:
    asked = request.GET.get("period", "")
    return asked if asked in PERIODS else USUAL


def _report(user: Any, period: str) -> statistics.Report:
    """Return the last days of the user's own calendar, today the last of them."""
    zone: Any = timezone.get_current_timezone()
    today = clock.now().astimezone(zone).date()
    days, _label = PERIODS[period]
    since, until = (
        datetime.combine(day, time(), zone) for day in (today - timedelta(days - 1), today + timedelta(days=1))
    )
    return statistics.report(user, since, until, zone)


def _report_card(user: User, period: str) -> dict[str, Any]:
    report = _report(user, period)
    return {
        "periods": [(key, label) for key, (_days, label) in PERIODS.items()],
        "period": period,
        "report": report,
        "came_back": came_back(report.totals),
        "within_minute": share(report.within_minute, report.totals.total),
        "chart": _chart(report, period),
        "ends": ENDS,
        "rows": [(part.at, [getattr(part, key) for key, _label, _colour in ENDS]) for part in report.parts],
    }


def _chart(report: statistics.Report, period: str) -> dict[str, Any]:
    form = "H:i" if period == "today" else _("j M")
    return {
        "labels": [date_format(part.at, form) for part in report.parts],
        "series": [
            {"name": str(label), "colour": colour, "values": values}
            for key, label, colour in ENDS
            if any(values := [getattr(part, key) for part in report.parts])
        ],
    }
