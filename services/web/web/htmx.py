"""What htmx asks for."""

from typing import Any

from django.http import HttpRequest


def wants_fragment(request: HttpRequest) -> bool:
    """Whether a part of the page is asked for: not by a boosted link, nor by the Back button, which want it whole."""
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    return bool(htmx and not htmx.boosted and not htmx.history_restore_request)
