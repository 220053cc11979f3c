"""What any page may have to answer, and what htmx asks for."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is no longer good: it was left open over a sign-out, or comes from elsewhere."""
    return render(request, "stale_form.html", status=403)


def wants_fragment(request: HttpRequest) -> bool:
    """Say whether a part of the page is asked for: not by a boosted link, nor by the Back button, which want it
    whole.
    """
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    return bool(htmx and not htmx.boosted and not htmx.history_restore_request)
