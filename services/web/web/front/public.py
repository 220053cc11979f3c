"""Which views make public pages, and how a request for one is narrowed to what may have influence on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils import translation

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Public:
    """What was said of a public view."""

    seconds: int
    paged: bool


def public(seconds: int, paged: bool = False) -> Callable[[View], View]:
    """Mark a view whose page may be kept for so many seconds, or for the `front_seconds` that its response has.

    `page` is all of the query that reaches it, if it is `paged`; else nothing does.
    """

    def mark(view: View) -> View:
        view.public = Public(seconds, paged)  # type: ignore[attr-defined]
        return view

    return mark


def public_view(request: HttpRequest) -> Public | None:
    """Return the mark of the view that answers the request, if it is one for everybody; else None."""
    if request.method not in ("GET", "HEAD"):
        return None
    with translation.override(translation.get_language_from_path(request.path_info) or settings.LANGUAGE_CODE):
        try:
            view = resolve(request.path_info).func
        except Resolver404:
            return None
    return getattr(view, "public", None)


def make_impersonal(request: HttpRequest) -> None:
    """Make the request anybody's: nothing that follows can know who asks, nor in which languages their browser is."""
    request.META.pop("HTTP_COOKIE", None)
    request.META.pop("HTTP_ACCEPT_LANGUAGE", None)
    request.COOKIES = {}
    request.impersonal = True  # type: ignore[attr-defined]


def drop_query(request: HttpRequest, paged: bool) -> None:
    """Leave of the query what nginx leaves: the first `page` at most."""
    asked = dict(reversed(parse_qsl(request.META.get("QUERY_STRING", "")))) if paged else {}
    request.META["QUERY_STRING"] = urlencode({"page": asked["page"]}) if asked.get("page") else ""


def is_personal(request: HttpRequest) -> bool:
    """Say whether the page may show who asks: it is no public one, or came with a session."""
    return not getattr(request, "impersonal", False)


def context(request: HttpRequest) -> dict[str, Any]:
    """Add `personal` for templates: without it they show nothing that is anybody's."""
    return {"personal": is_personal(request)}
