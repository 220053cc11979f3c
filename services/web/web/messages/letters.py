"""A letter's own HTML, as it was written: only ever inside a sandboxed frame, under a policy that runs nothing."""

from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_sameorigin

from vestnik.clients.models import Client
from vestnik.mailings.rendering import CompiledMessage, Content, Preview, UnknownPlaceholder

View = Callable[..., Any]


def framed(view: View) -> View:
    """For views that answer with a letter: it may stand in a frame of ours, show pictures, and do nothing else."""
    only_shown = csp(
        {
            "default-src": [NONE],
            "style-src": [UNSAFE_INLINE],
            "img-src": ["https:", "http:", "data:"],
            "font-src": ["https:", "data:"],
            "frame-ancestors": [SELF],
            "base-uri": [NONE],
            "form-action": [NONE],
            "sandbox": True,
        }
    )
    decorated: View = only_shown(xframe_options_sameorigin(view))
    return decorated


def letter(request: HttpRequest, preview: Preview | None, fault: str = "") -> HttpResponse:
    """The letter as its reader would see it; its plain text where it has no HTML; or what is wrong with it."""
    return render(request, "messages/letter.html", {"preview": preview, "fault": fault})


def previewed(owner: Any, subject: str, html: str, text: str) -> Preview:
    """What the first client of the user `owner` would read, or somebody made up. Raises UnknownPlaceholder."""
    client = Client.objects.filter(owner=owner).order_by("pk").first()
    reader: dict[str, Any] = {"address": "anna@example.org", "full_name": "Anna Sergeeva", "attributes": {}}
    if client is not None:
        reader = {"address": client.email, "full_name": client.full_name, "attributes": client.attributes}
    content = Content(subject=subject, html=html, text=text, sender=owner.email, sender_name="", reply_to="")
    return CompiledMessage(content).preview(**reader)


__all__ = ["UnknownPlaceholder", "framed", "letter", "previewed"]
