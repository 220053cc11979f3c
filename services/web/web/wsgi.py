"""What gunicorn serves."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")

try:
    django_application = get_wsgi_application()
except ImproperlyConfigured as error:
    sys.exit(f"Vestnik is misconfigured. {error}")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer by Django; what Django cannot even make a request of, without it (PEP 3333)."""
    if can_be_asked(environ):
        return django_application(environ, start_response)
    said = b"The Content-Type cannot be understood.\n"
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(said)))]
    start_response("400 Bad Request", [*headers, ("X-Content-Type-Options", "nosniff")])
    return [said]


def can_be_asked(environ: dict[str, Any]) -> bool:
    """Say whether Django reads the Content-Type: it fails, where nothing catches it, by parameters that say how they
    are encoded, and by charsets that are none of a text, or decode no query.
    """
    if not any(word in environ.get("CONTENT_TYPE", "").lower() for word in ("charset", "*")):
        return True  # as browsers send it
    try:
        WSGIRequest(environ)
    except (LookupError, ValueError, SuspiciousOperation):
        return False
    return True
