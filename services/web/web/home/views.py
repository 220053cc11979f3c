from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from web.home import status


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What Vestnik is, and what of it runs here."""
    return render(request, "home/index.html", {"parts": status.parts()})
