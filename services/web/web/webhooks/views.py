"""Where mail services post what became of letters they had accepted. Each proves who it is (providers.py)."""

from __future__ import annotations

import json
import logging

from anymail.exceptions import AnymailError, AnymailWebhookValidationFailure
from anymail.signals import AnymailTrackingEvent, EventType
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, RawPostDataException
from django.views.decorators.csrf import csrf_exempt

from vestnik import unsubscribing
from vestnik.mailings import letters_named
from vestnik.mailings.ledger import events
from web.webhooks import providers, reading

logger = logging.getLogger(__name__)

LONGEST = 5 << 20
"""Bytes of a post."""
UNREADABLE = (
    *(AnymailError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError),
    *(RecursionError, ArithmeticError),
)
"""What the library's views raise of a post that is none of the service's."""
MOST_EVENTS = 5_000
"""In one post: services send a thousand at once."""


@csrf_exempt  # who posts has no cookie, and proves who it is in another way
def receive(request: HttpRequest, provider: str) -> HttpResponse:
    """Write down what a service tells (POST), and answer when it is; to look is how some test the address."""
    if provider not in settings.WEBHOOKS:
        raise Http404
    if request.method != "POST":
        return _answer("Webhooks of this service are taken here.", 200)
    try:
        body = request.body
    except RawPostDataException:  # a form with parts, which was read as one
        return _answer("This cannot be read.", 400)
    if len(body) > LONGEST:
        return _answer("The post is too long.", 413)
    options = settings.WEBHOOKS[provider]
    if options.get(providers.SECRET) and not request.headers.get("Authorization"):
        answer = _answer("Who is it?", 401)  # Amazon's says it only if it is asked
        answer["WWW-Authenticate"] = 'Basic realm="webhooks"'
        return answer
    view = providers.view(provider, options)
    try:
        view.run_validators(request)
        if providers.is_old(provider, body):
            return _answer("This is too old.", 403)
        told = view.parse_events(request)
    except AnymailWebhookValidationFailure as error:
        logger.warning("a post to the webhook of %s is not the service's: %s", provider, str(error)[:200])
        return _answer("This does not come from the service.", 403)
    except UNREADABLE as error:
        logger.warning("what %s told cannot be read: %s", provider, type(error).__name__)
        return _answer("This cannot be read.", 400)
    if provider == providers.AMAZON:
        _tell_of_a_subscription(body)
    if len(told) > MOST_EVENTS:
        return _answer("There are too many events in one post.", 413)
    for event in told:
        try:
            _take(event, view.esp_name)
        except UNREADABLE:  # of one event: the others are taken
            logger.exception("an event of %s could not be taken", provider)
    return _answer("Noted.", 200)


def _tell_of_a_subscription(body: bytes) -> None:
    """Tell operators where they confirm that Amazon may post here: whoever has the password has asked for it."""
    said = json.loads(body)
    if said.get("Type") == "SubscriptionConfirmation":
        logger.warning("Amazon asks to be confirmed, once: open %s", str(said.get("SubscribeURL"))[:1_000])


def _take(event: AnymailTrackingEvent, name: str) -> None:
    report = reading.report(event, name)
    left = event.event_type == EventType.UNSUBSCRIBED
    if report is None and not left:
        return
    delivery_id = letters_named.named_in(reading.as_text(event), reading.recipient(event))
    if delivery_id is None:
        logger.info("%s tells of %s of no letter of ours", name, event.event_type)
    elif report is not None:
        events.note(delivery_id, report)
    elif reader := unsubscribing.subscription_of(delivery_id):
        unsubscribing.stop_all(reader)


def _answer(words: str, status: int) -> HttpResponse:
    return HttpResponse(f"{words}\n", content_type="text/plain; charset=utf-8", status=status)
