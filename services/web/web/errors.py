"""What is answered where nothing else can be."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form whose token is no longer good: it was left open over a sign-out, or comes from elsewhere."""
    return render(request, "stale_form.html", status=403)
