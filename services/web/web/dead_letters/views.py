"""One's dead letters: by cause, one by one, and what can be done about them."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from vestnik import access
from vestnik.accounts.idempotency import run_once
from vestnik.mailings.ledger import dead_letters
from vestnik.mailings.ledger.causes import Cause
from vestnik.mailings.ledger.models import Run
from web.dead_letters import lines
from web.dead_letters.forms import BulkActionForm
from web.pages import OwnersPage

NAMED = 5
"""Mailings that a refusal names."""


@login_required
@require_safe
def causes(request: HttpRequest) -> HttpResponse:
    """Show why letters are dead, and how many."""
    user: Any = request.user
    return render(request, "dead_letters/list.html", lines.by_cause(request, dead_letters.runs_of(user)))


@login_required
@require_safe
def letters(request: HttpRequest, cause: str) -> HttpResponse:
    """Show the dead letters of one cause."""
    user: Any = request.user
    context = lines.of_cause(request, dead_letters.runs_of(user), cause)
    return render(
        request,
        "dead_letters/letters.html",
        {**context, "form": BulkActionForm(auto_id=False), "may_own": access.may_own(user)},
    )


class BulkAction(OwnersPage):
    """Do to dead letters what a button says, and go back to where they were seen."""

    http_method_names = ["post", "get"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Go back, and do nothing: it is where one lands who signed in again to press the button."""
        return HttpResponseRedirect(reverse("dead-letters:list"))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = BulkActionForm(request.POST)
        if form.is_valid():
            user: Any = request.user
            which = form.cleaned_data["which"]
            # Who goes back and selects others means something else.
            self.do(user, which, uuid.uuid5(form.cleaned_data["form_key"], f"{request.path} {which}"))
        else:
            messages.error(request, " ".join(map(str, form.non_field_errors())))
        cause = form.cleaned_data.get("cause")
        if cause is None or form.cleaned_data.get("all"):
            return HttpResponseRedirect(reverse("dead-letters:list"))
        return HttpResponseRedirect(reverse("dead-letters:letters", args=[cause.key]))

    def do(self, user: Any, which: Cause | Collection[int], key: uuid.UUID) -> None:
        """Do it, once for each key, and say what was done."""
        raise NotImplementedError

    def say_more(self, more: bool) -> None:
        """Tell the user that some are left, if so."""
        if more:
            messages.warning(self.request, _("There was no time for all of them; press once more for the others."))


class TryAgain(BulkAction):
    """Try dead letters again."""

    def do(self, user: Any, which: Cause | Collection[int], key: uuid.UUID) -> None:
        tried = dead_letters.try_again(dead_letters.runs_of(user), which, key, user)
        if tried.runs:
            said = ngettext(
                "The letters of %(count)d run are on their way again.",
                "The letters of %(count)d runs are on their way again.",
                len(tried.runs),
            )
            messages.success(self.request, said % {"count": len(tried.runs)})
        elif not tried.refused:
            messages.error(self.request, _("There are no letters to try again."))
        for why, runs in tried.refused.items():
            messages.error(self.request, _("%(names)s: not tried again. %(why)s") % {"names": _named(runs), "why": why})
        if tried.later:
            said = ngettext(
                "%(count)d run of the same mailings waits until these are over: then press once more.",
                "%(count)d runs of the same mailings wait until these are over: then press once more.",
                len(tried.later),
            )
            messages.warning(self.request, said % {"count": len(tried.later)})
        self.say_more(tried.more)


class Dismiss(BulkAction):
    """Dismiss dead letters."""

    def do(self, user: Any, which: Cause | Collection[int], key: uuid.UUID) -> None:
        if not run_once(user, key, lambda: self.request.path).is_first:
            return
        dismissed = dead_letters.dismiss(dead_letters.runs_of(user), which)
        said = ngettext("%(count)d letter is dismissed.", "%(count)d letters are dismissed.", dismissed.letters)
        messages.success(self.request, said % {"count": dismissed.letters})
        self.say_more(dismissed.more)


def _named(runs: list[Run]) -> str:
    """Return the mailings of these runs, some of them by name."""
    names = list(
        dict.fromkeys(
            _("“%(name)s”") % {"name": run.mailing} if run.mailing else _("A deleted mailing") for run in runs
        )
    )
    named = ", ".join(names[:NAMED])
    if not (more := len(names[NAMED:])):
        return named
    return ngettext("%(names)s and %(count)d more", "%(names)s and %(count)d more", more) % {
        "names": named,
        "count": more,
    }
