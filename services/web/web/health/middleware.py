"""/healthz and /readyz, answered before anything else sees the request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from vestnik import __version__
from web.health import checks


class HealthMiddleware:
    """The outermost: whoever looks after the process asks it by any name (ALLOWED_HOSTS counts for pages), over plain
    HTTP, and without a session.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = ANSWERS.get(request.path_info)
        if answer is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        response = answer()
        response.headers["Cache-Control"] = "no-store"
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django's: what is wrong with a part, others say
        return response


def _alive() -> HttpResponse:
    return HttpResponse(f"ok {__version__}", content_type="text/plain")


def _ready() -> HttpResponse:
    parts = checks.ready()
    return JsonResponse(parts, status=200 if set(parts.values()) == {checks.OK} else 503)


ANSWERS: dict[str, Callable[[], HttpResponse]] = {"/healthz": _alive, "/readyz": _ready}
