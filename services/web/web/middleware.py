"""What browsers may do on every page, and how much they may send in a field. And what a signed-in person's pages
follow: their own language and clock.
"""

import codecs
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from django.utils import timezone, translation
from django.utils.cache import patch_cache_control, patch_vary_headers
from django_htmx.http import HttpResponseClientRefresh

from vestnik.accounts import verbs
from vestnik.mailings.models import LONGEST_TEXT

LONGEST_FIELD = 2 * LONGEST_TEXT + 100_000
"""Characters: a message's text is the longest that is taken, and its line ends are sent as two."""

METHODS = ("GET", "HEAD", "OPTIONS", "POST")

UNWANTED = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi"),
    *("payment", "usb"),
)
"""What no page asks a browser for, and so nothing that got into a page may."""


class EncodingMiddleware:
    """Takes what is sent for UTF-8, which all pages are written in, and answers 400 to who says it is something else:
    Django would decode the query by it, and there are encodings by which no text is decoded.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.encoding is not None:
            if codecs.lookup(request.encoding).name != "utf-8":
                raise BadRequest("What is sent has to be UTF-8.")
            request.encoding = "utf-8"  # in Django's own spelling
        return self.get_response(request)


class MethodsMiddleware:
    """Answers 405 to methods that no page asks for: Django's class-based views do something for most of them, by ways
    of their own.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in METHODS:
            return HttpResponseNotAllowed(METHODS)
        return self.get_response(request)


class BrowserRulesMiddleware:
    """Says on every answer what Django does not: Permissions-Policy; and Strict-Transport-Security on those, too, that
    the front asked for by plain HTTP, for they are given to everybody.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.rules = {"Permissions-Policy": ", ".join(f"{feature}=()" for feature in UNWANTED)}
        if settings.OVER_HTTPS:
            self.rules["Strict-Transport-Security"] = f"max-age={settings.HSTS_SECONDS}"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, rule in self.rules.items():
            response.headers.setdefault(name, rule)
        return response


class BoundedFieldsMiddleware:
    """Refuses a form with a field longer than any may be before anybody looks into it, as Django refuses a body that is
    too large: what forms do with a field takes the longer the more stands in it, and it is shown again.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: Any) -> None:
        if request.method != "POST":
            return
        with suppress(UnreadablePostError):  # whoever sent it is gone; the view finds nothing, as Django's own do
            if any(len(value) > LONGEST_FIELD for _name, values in request.POST.lists() for value in values):
                raise RequestDataTooBig(f"A field of the form has more than {LONGEST_FIELD} characters.")


class ProfileMiddleware:
    """Shows pages in the language and time zone of who is signed in; where the address names a language, in that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if translation.get_language_from_path(request.path_info):
            return self.get_response(request)
        if not request.user.is_authenticated:
            response = self.get_response(request)
            # Somebody was signed out: the whole page goes to the sign-in page, not the fragment htmx asked for.
            fragment = request.htmx and response.status_code == 302  # type: ignore[attr-defined]
            return HttpResponseClientRefresh() if fragment else response
        user = request.user
        if user.last_seen_at is None or timezone.now() - user.last_seen_at > verbs.SEEN_EVERY:
            verbs.note_seen(user)
        with translation.override(user.language), timezone.override(zoneinfo.ZoneInfo(user.time_zone)):
            request.LANGUAGE_CODE = user.language
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", user.language)
            # A fragment has its page's address: without this, the Back button shows the fragment for the page.
            patch_vary_headers(response, ["HX-Request"])
            # No proxy keeps it; the browser asks again, but still has what was typed when one goes back.
            patch_cache_control(response, private=True, no_cache=True)
            return response
