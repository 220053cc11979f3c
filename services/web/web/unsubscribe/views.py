"""The page behind the link in every letter: whoever has the letter stops what they do not want, or takes that back.

No account, no cookie, no script is needed, and Redis may be away. To look changes nothing: mail programs and virus
scanners open links by themselves.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt

from vestnik import addresses, unsubscribing
from vestnik.mailings import letter_tokens, unsubscribe_links

STOP_ALL, LEAVE, TAKE_BACK = "all", "lists", "back"
MOST_LISTS = 1_000
"""Lists that one form names."""


@csrf_exempt  # the link itself is the right to it, and a mail program that posts it has no cookie
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Show the page; or do what was asked for (POST): without a word of a form of ours, stop all (RFC 8058)."""
    language = _language(request)
    with translation.override(language):
        reader = unsubscribing.subscription(token)
        if request.method == "POST" and reader is not None:
            return _obey(request, reader, language)
        if request.method == "POST" and unsubscribe_links.read(token) == letter_tokens.OF_NO_LETTER:
            return _private(HttpResponse("One click works.\n", content_type="text/plain; charset=utf-8"))
        return _page(request, reader, language)


def _obey(request: HttpRequest, reader: unsubscribing.Subscription, language: str) -> HttpResponse:
    asked = request.POST.get("do", "")
    if asked == LEAVE:
        lists = {int(number) for number in request.POST.getlist("list")[:MOST_LISTS] if _is_id(number)}
        if not unsubscribing.leave(reader, lists):
            return _page(request, reader, language, nothing_chosen=True)
    elif asked == TAKE_BACK:
        unsubscribing.take_back(reader)
    else:
        unsubscribing.stop_all(reader)
    if asked in (STOP_ALL, LEAVE, TAKE_BACK):
        return _private(HttpResponseRedirect(f"{request.path}?lang={language}", status=303))
    return _private(HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8"))


def _page(
    request: HttpRequest, reader: unsubscribing.Subscription | None, language: str, nothing_chosen: bool = False
) -> HttpResponse:
    context: dict[str, Any] = {
        "language": language,
        "others": [(code, name) for code, name in settings.LANGUAGES if code != language],
        "path": request.path,
        "nothing_chosen": nothing_chosen,
        "reader": reader,
    }
    if reader is not None:
        lists = unsubscribing.choices(reader)
        context |= {
            "address": addresses.shown(reader.address),
            "stopped": unsubscribing.stopped_because(reader),
            "lists": [choice for choice in lists if not choice.left],
            "left": [choice for choice in lists if choice.left],
        }
    body = render_to_string("unsubscribe/page.html", context)
    response = _private(HttpResponse(body, status=404 if reader is None else 200))
    response["Content-Language"] = language
    return response


def _private(response: HttpResponse) -> HttpResponse:
    """Keep the address, which is a key, from everybody else."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _language(request: HttpRequest) -> str:
    """Return the language that the address names, or else that of the browser."""
    asked = request.GET.get("lang", "")
    return asked if asked in dict(settings.LANGUAGES) else translation.get_language_from_request(request)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
