"""Everybody's dead letters of the last weeks, to look at: their owners alone do something about them."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.generic import View

from vestnik import clock
from vestnik.mailings.ledger.models import Run
from web.dead_letters import lines
from web.panel.views import Supervisors

DAYS = 30


def lately() -> QuerySet[Run]:
    """Return the runs of the last weeks."""
    return Run.objects.filter(opened_at__gte=clock.now() - timedelta(days=DAYS))


class Causes(Supervisors, View):
    """Everybody's dead letters, by cause."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "panel/dead_letters.html", {**lines.by_cause(request, lately()), "days": DAYS})


class Letters(Supervisors, View):
    """Everybody's dead letters of one cause."""

    def get(self, request: HttpRequest, cause: str) -> HttpResponse:
        context: dict[str, Any] = lines.of_cause(request, lately(), cause)
        return render(request, "panel/dead_letters_of_cause.html", {**context, "days": DAYS})
