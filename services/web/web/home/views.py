from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe

from vestnik import access, mode
from vestnik.front import homepage_stats
from vestnik.front.page_cache import FIGURES, cached
from web.blog import reading
from web.front.public import is_personal, public
from web.home import status

SECONDS = 30


@public(SECONDS)
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show what Vestnik is, in words and in figures; to those who supervise it, what of it runs here."""
    supervised = is_personal(request) and access.may_supervise(request.user)
    return render(
        request,
        "home/index.html",
        {
            "figures": cached("current", SECONDS, homepage_stats.current, FIGURES),
            "posts": reading.some(str(translation.get_language())),
            "parts": status.parts() if supervised else None,
            "trial": supervised and request.user.is_superuser and settings.MODE == mode.TRIAL,
        },
    )
