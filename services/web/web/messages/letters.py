"""A letter's own HTML, as it was written: only ever inside a sandboxed frame, under a policy that runs nothing.

Pictures of other servers tell these who looks: they are loaded only when they are asked for (`?pictures`), and then
with nobody's data in their addresses.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from vestnik.accounts.models import User
from vestnik.clients import attributes
from vestnik.clients.models import Client
from vestnik.mailings import foot, unsubscribe_links
from vestnik.mailings.models import Message
from vestnik.mailings.rendering import CompiledMessage, Content, LetterTooLarge, Preview, TemplateError

View = Callable[..., Any]

ANYWHERE = ["https:", "http:"]
# To servers beforehand, which no policy forbids: in the letter, and in a document inside of it.
CONNECTS = re.compile(r"(?<=<)(?=link\b)|(?=\bsrcdoc\b\s*=)|(?=\bx-dns-prefetch-control\b)", re.IGNORECASE)
LOADS = re.compile(r"<(?:img|image|video|input)\b|\bbackground\b|\burl\(|@import|@font-face", re.IGNORECASE)


class Attempt(NamedTuple):
    """A letter that was filled in; or None, and why it cannot be shown."""

    preview: Preview | None
    fault: str = ""


def framed(view: View) -> View:
    """Let a view's answer, a letter, stand in a frame of ours, and do nothing but be looked at."""
    shown = {asked: _only_shown(ANYWHERE if asked else [])(xframe_options_sameorigin(view)) for asked in (True, False)}

    @wraps(view)
    def decorated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = shown[with_pictures(request)](request, *args, **kwargs)
        response["X-DNS-Prefetch-Control"] = "off"  # or browsers ask for the names in links nobody has clicked
        return response

    return decorated


def _only_shown(elsewhere: list[str]) -> Callable[[View], View]:
    decorator: Callable[[View], View] = csp(
        {
            "default-src": [NONE],
            "style-src": [UNSAFE_INLINE],
            "img-src": [*elsewhere, "data:"],
            "font-src": [*elsewhere, "data:"],
            "frame-ancestors": [SELF],
            "base-uri": [NONE],
            "form-action": [NONE],
            "sandbox": True,
        }
    )
    return decorator


def with_pictures(request: HttpRequest) -> bool:
    """Say whether the reader asks for the pictures of other servers."""
    return "pictures" in request.GET


def has_pictures(html: str) -> bool:
    """Say whether the letter may show something that lies elsewhere; rather once too often than not."""
    return LOADS.search(html) is not None


def letter(request: HttpRequest, preview: Preview | None, fault: str = "") -> HttpResponse:
    """Show the letter as its reader would see it; its plain text where it has no HTML; or what is wrong with it."""
    html = CONNECTS.sub("x-", preview.html) if preview else ""
    return render(request, "messages/letter.html", {"preview": preview, "html": html, "fault": fault})


def attempt(reader: User, message: Message, *, pictures: bool = False) -> Attempt:
    """Fill the message in, saved or not, as a client would read it; where it cannot be shown, say why.

    It is filled in for the reader's first client where the message is their own and its pictures stay away; else for
    somebody made up.
    """
    try:
        message.check_texts()
        return Attempt(_filled(reader, message, own=message.owner_id == reader.pk and not pictures))
    except ValidationError as refusal:
        return Attempt(None, " ".join(refusal.messages))
    except (TemplateError, LetterTooLarge) as error:
        return Attempt(None, str(error))


def _filled(reader: User, message: Message, *, own: bool) -> Preview:
    client = Client.objects.filter(owner=reader).order_by("pk").first() if own else None
    details: dict[str, Any] = {"address": "anna@example.org", "full_name": _("Anna Sergeeva"), "attributes": {}}
    spellings: dict[str, str] = {}
    if client is not None:
        details = {"address": client.email, "full_name": client.full_name, "attributes": client.attributes}
        spellings = attributes.spellings(reader.pk)
    html, text = foot.texts(message, message.owner.full_name, message.owner.postal_address)
    content = Content(
        subject=message.subject,
        html=html,
        text=text,
        sender=reader.email,
        sender_name="",
        reply_to="",
    )
    return CompiledMessage(content, spellings).preview(**details, unsubscribe_url=unsubscribe_links.example())
