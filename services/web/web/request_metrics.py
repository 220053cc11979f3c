"""Each request has an id, by which one finds it in the logs of nginx and the web, and is counted for Prometheus."""

import re
import time
from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest, HttpResponse

from vestnik import logs
from vestnik.metrics import Counter, Histogram

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
"""As nginx passes them on; others are not believed."""

REQUESTS = Counter("vestnik_http_requests", "Requests that were answered.", ["room", "status"])
REQUEST_SECONDS = Histogram(
    "vestnik_http_request_seconds",
    "How long it took until the answer began.",
    ["room"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class ObservingMiddleware:
    """Around all that is done for a request: its id, nginx's or a new one, is in what is logged, and in the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        with logs.context(request_id=request_id):
            response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        room = _room(request)
        REQUESTS.labels(room, str(response.status_code)).inc()
        REQUEST_SECONDS.labels(room).observe(time.monotonic() - began)
        return response


def _room(request: HttpRequest) -> str:
    """Return whose view it is, of the rooms of the web; "none" of what was answered without one."""
    match = request.resolver_match
    if match is None:
        return "none"
    if match.app_name == "admin":
        return "admin"
    package, _, rest = getattr(match.func, "view_class", match.func).__module__.partition(".")
    return "accounts" if package == "allauth" else rest.partition(".")[0]
