"""The outermost: makes impersonal what nginx may keep, and says how long."""

from __future__ import annotations

import gzip
import math
import re
import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response, set_response_etag
from django.utils.crypto import constant_time_compare

from vestnik.blog import view_counter
from vestnik.blog.upcoming import next_appearance
from vestnik.front import page_cache
from web.front import readers
from web.front.public import Public, drop_query, make_impersonal, public_view

VIEWS = re.compile(r"/front/views/([-\w]{1,200})", re.ASCII)
GONE_SECONDS = 60
"""How long nginx keeps that a page is gone."""


class FrontMiddleware:
    """A public page that is asked for without a cookie of a session or of messages is impersonal: it loses all cookies
    and most of its query before anything else sees it, and nginx may keep the answer until X-Accel-Expires.

    nginx is known by the front's secret. It also tells of views, each by a request that goes no further than this.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        by_front = _is_the_secret(request.META.pop("HTTP_X_FRONT_SECRET", ""))
        refreshes = request.META.pop("HTTP_X_FRONT_REFRESH", "") == "1" and by_front
        if by_front and (told := VIEWS.fullmatch(request.path_info)):
            if readers.reads(request) and not refreshes:
                view_counter.count_view(told[1])
            return HttpResponse(status=204)
        request.by_front = by_front  # type: ignore[attr-defined]
        public = public_view(request)
        if public is None:
            response: HttpResponseBase = self.get_response(request)
        else:
            drop_query(request, public.paged)
            if any(request.COOKIES.get(name) for name in (settings.SESSION_COOKIE_NAME, CookieStorage.cookie_name)):
                response = self.get_response(request)
                response.headers["Cache-Control"] = "private, no-cache"
            else:
                response = self._impersonal(request, public, by_front, refreshes)
        response.headers.setdefault("X-Accel-Expires", "0")  # whatever nginx asks for: kept is what says so
        return response

    def _impersonal(self, request: HttpRequest, public: Public, by_front: bool, refreshes: bool) -> HttpResponseBase:
        make_impersonal(request)
        versions = page_cache.versions()
        upcoming = next_appearance()  # asked first: what appears while the page is made may not be on it
        response = self.get_response(request)
        response.cookies.clear()
        response.headers.pop("Vary", None)  # it came without cookies, in the language of its address
        if response.status_code not in (200, 404):
            return response
        response.headers["Cache-Control"] = "public, max-age=0, must-revalidate"
        if response.status_code == 200 or refreshes:
            seconds = getattr(response, "front_seconds", public.seconds)
            if response.status_code == 404:
                seconds = GONE_SECONDS
            elif not refreshes and page_cache.versions() != versions:
                seconds = 0  # made of what stood before, maybe, and the page that was fetched again is stored already
            expires = int(time.time()) + seconds
            if upcoming:
                expires = min(expires, math.ceil(upcoming.timestamp()) - 1)  # nginx keeps it to that second's end
            response.headers["X-Accel-Expires"] = f"@{expires}"
        if response.status_code == 200:
            set_response_etag(response)
            if not by_front:
                return get_conditional_response(request, response.headers["ETag"], response=response) or response
        return _compressed(request, response) if by_front else response


def _is_the_secret(given: str) -> bool:
    return bool(settings.FRONT_SECRET) and constant_time_compare(given, settings.FRONT_SECRET)


def _compressed(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the same for the front, which keeps it compressed. Nothing secret is in it that its length could tell."""
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response.content = gzip.compress(response.content, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.content))
        if "ETag" in response.headers:
            response.headers["ETag"] = f"W/{response.headers['ETag']}"
    return response
