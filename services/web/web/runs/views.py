"""A run as it goes, its message, its letters one by one, and a second try for those that failed."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from vestnik import access, clock
from vestnik.clients import attributes
from vestnik.clients.models import Client
from vestnik.mailings import mailing_status, unsubscribe_links, verbs
from vestnik.mailings.ledger import events, runs, statistics
from vestnik.mailings.ledger.models import Delivery, DeliveryState, EventKind, Run, RunState, message_id
from vestnik.mailings.rendering import CompiledMessage, Content, LetterTooLarge, Preview, TemplateError
from vestnik.senders import standing
from web.messages import letters as letter_pages
from web.pages import ActionPage
from web.responses import wants_fragment
from web.runs.forms import TryAgainForm
from web.runs.journal import Journal
from web.runs.tiles import came_back, tiles
from web.tables import csv_table

AGAIN = (DeliveryState.FAILED, DeliveryState.UNKNOWN)


def seen(request: HttpRequest, pk: int) -> Run:
    """Return the run, for who may see it. Raises Http404 for others: for them it does not exist."""
    return get_object_or_404(runs.visible_to(request.user).select_related("mailing__owner"), pk=pk)


@login_required
@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show all about a run."""
    run = seen(request, pk)
    context = _live(run)
    totals = context["progress"]
    frozen = standing.From(run.sender, run.sender_name, run.reply_to)
    again = _may_change(request, run) and run.state in (RunState.OPEN, RunState.FINISHED)
    return render(
        request,
        "runs/detail.html",
        {
            **context,
            **_journal(request, run),
            "may_change": _may_change(request, run),
            "standing": mailing_status.of(run.mailing) if run.mailing and run.state == RunState.OPEN else None,
            "again": [(state, getattr(totals, state)) for state in AGAIN if again and _has_dead(run, state)],
            "falls_back": run.state == RunState.OPEN and standing.still(run.owner_id, frozen) != frozen,
            "mail_from": settings.MAIL_FROM,
            "reasons": statistics.reasons(run) if totals.failed else [],
            "request_id": uuid.uuid4(),
        },
    )


@login_required
@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far the run is, alone.

    Who watched it to its end gets the whole page again: it has other buttons by then.
    """
    run = seen(request, pk)
    if run.state != RunState.OPEN:
        return HttpResponseClientRefresh()
    return render(request, "runs/_live.html", _live(run))


@letter_pages.framed
@login_required
@require_safe
def letter(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the message as the run froze it, for a frame."""
    run = seen(request, pk)
    return letter_pages.letter(request, Preview(subject=run.subject, html=run.html, text=run.text))


@login_required
@require_safe
def letters(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the run's letters, by state or address. htmx gets the table alone."""
    run = seen(request, pk)
    template = "runs/_letters.html" if wants_fragment(request) else "runs/letters.html"
    return render(request, template, _journal(request, run))


@login_required
@require_safe
def letters_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """Stream the run's letters as a table for spreadsheets."""
    journal = Journal(seen(request, pk), request.user, request.GET)  # type: ignore[arg-type]
    return csv_table(f"run-{pk}", journal.rows())


@login_required
@require_safe
def delivery(request: HttpRequest, pk: int, delivery_pk: int) -> HttpResponse:
    """Show one letter, and every try to hand it over."""
    run = seen(request, pk)
    found = get_object_or_404(Delivery, run=run, pk=delivery_pk)
    journal = Journal(run, request.user, request.GET)  # type: ignore[arg-type]
    return render(
        request,
        "runs/delivery.html",
        {
            "run": run,
            "journal": journal,
            "again": found.state in AGAIN and _may_change(request, run),
            "request_id": uuid.uuid4(),
            "delivery": found,
            "address": journal.shown(found.address),
            "tries": [
                (attempt, journal.answered(attempt.answer, found.address)) for attempt in statistics.attempts(found)
            ],
            "came_back": [
                (event, journal.answered(event.answer, found.address)) for event in events.of_letter(found.pk, run)
            ],
            "client": _client(run, found, request.user),
            "message_id": message_id(found.pk, run.key, run.sender),
        },
    )


@letter_pages.framed
@login_required
@require_safe
def delivery_letter(request: HttpRequest, pk: int, delivery_pk: int) -> HttpResponse:
    """Show what one client was written, for a frame: the run's message, filled in with what is known of the client now.

    For others than the owner, of a client who is gone, and with pictures from elsewhere, nothing is filled in. Where no
    letter can be made of it, the answer is why.
    """
    run = seen(request, pk)
    found = get_object_or_404(Delivery, run=run, pk=delivery_pk)
    client = None if letter_pages.with_pictures(request) else _client(run, found, request.user)
    if client is None:
        return letter_pages.letter(request, Preview(subject=run.subject, html=run.html, text=run.text))
    content = Content(run.subject, run.html, run.text, run.sender, run.sender_name, run.reply_to)
    try:
        written = CompiledMessage(content, attributes.spellings(run.owner_id)).preview(
            address=found.address,
            full_name=client.full_name,
            attributes=client.attributes,
            unsubscribe_url=unsubscribe_links.example(),
        )
    except (TemplateError, LetterTooLarge) as error:
        return letter_pages.letter(request, None, str(error))
    return letter_pages.letter(request, written)


class RunAction(ActionPage):
    """Does something to a run, for who may change its mailing."""

    room = "runs"

    def get_object(self, queryset: Any = None) -> Run:
        run = seen(self.request, self.kwargs["pk"])
        if not _may_change(self.request, run):
            raise Http404
        return run


class BelieveRefusals(RunAction):
    """Answers whether addresses that were refused, many at once, are suppressed."""

    def act(self, obj: Run) -> str:
        if obj.owner_id != self.request.user.pk or self.request.POST.get("believe") not in ("yes", "no"):
            raise ValidationError(_("This button was not pressed on its page; try again from there."))
        believe = self.request.POST["believe"] == "yes"
        runs.believe_refusals(obj, believe)
        return (
            _("The addresses will be on the suppression list in a moment.")
            if believe
            else _("The addresses were not added to the suppression list.")
        )


class TryAgain(RunAction):
    """Sends dead letters once more: in this run, or where its window has closed, in a new one."""

    run: Run

    def act(self, obj: Run) -> str:
        form = TryAgainForm(self.request.POST)
        if not form.is_valid():
            raise ValidationError(_("This button was not pressed on its page; try again from there."))
        asked = form.cleaned_data
        chosen = None if asked["delivery"] is None else [asked["delivery"]]
        by: Any = self.request.user
        self.run = verbs.try_again(obj, (asked["state"],), chosen, asked["request_id"], by=by)
        return _("The letters are on their way again.")

    def back(self, obj: Run) -> str:
        return reverse("runs:detail", args=[getattr(self, "run", obj).pk])


def _client(run: Run, letter: Delivery, reader: Any) -> Client | None:
    """Return to whom the letter went, if they are there still and it is their owner who asks."""
    if reader.pk != run.owner_id:
        return None
    return Client.objects.filter(owner_id=run.owner_id, pk=letter.client_id).first()


def _may_change(request: HttpRequest, run: Run) -> bool:
    return run.mailing is not None and access.may(request.user, "change", run.mailing)


def _has_dead(run: Run, state: str) -> bool:
    """Say whether letters of the run in this state are left that nobody has dismissed."""
    return Delivery.objects.filter(run=run, state=state, dismissed_at=None).exists()


def _live(run: Run) -> dict[str, Any]:
    progress = statistics.progress(run)
    return {
        "run": run,
        "progress": progress,
        "tiles": tiles(progress),
        "came_back": came_back(progress),
        "lasted": (run.finished_at or clock.now()) - run.opened_at,
    }


def _journal(request: HttpRequest, run: Run) -> dict[str, Any]:
    journal = Journal(run, request.user, request.GET)  # type: ignore[arg-type]
    lines, following = journal.page()
    states = [*DeliveryState.choices, *EventKind.choices]
    return {"run": run, "journal": journal, "lines": lines, "following": following, "states": states}
