"""In whose name one writes: one's senders, and the page on which somebody agrees to be one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from vestnik import access
from vestnik.senders import letters, standing, verbs
from vestnik.senders.models import Domain, Sender
from web.pages import ActionPage, ChangePage, CreatePage, DeletePage, Visible
from web.senders.forms import SenderForm


@login_required
@require_safe
def senders(request: HttpRequest) -> HttpResponse:
    """Show one's senders and domains; to administrators the installation's domains as well."""
    user: Any = request.user
    return render(
        request,
        "senders/list.html",
        {
            "senders": standing.ready(user).items(),
            "domains": Domain.objects.filter(owner=user).order_by("name"),
            "of_installation": Domain.objects.filter(owner=None).order_by("name") if user.is_superuser else None,
            "mail_from": settings.MAIL_FROM,
            "may_own": access.may_own(user),
        },
    )


class NewSender(CreatePage):
    """Add a sender."""

    form_class = SenderForm
    template_name = "senders/form.html"

    def get_success_url(self) -> str:
        return reverse("senders:list")

    def success(self, obj: Sender) -> str:
        if obj.confirmed_at:
            return _("The sender is there.")
        return _("We have written to %(address)s: open the link in that letter.") % {"address": obj.address}


class Own(Visible):
    """One's own senders alone: what others say in whose name is theirs to say, whoever may see it."""

    def get_queryset(self) -> Any:
        user: Any = self.request.user
        return Sender.objects.filter(owner=user)


class ChangeSender(Own, ChangePage):
    """Change a sender's name, and where answers go."""

    model = Sender
    room = "senders"
    form_class = SenderForm
    template_name = "senders/form.html"

    def address_of(self, obj: Sender) -> str:
        return reverse("senders:list")

    def get_success_url(self) -> str:
        return reverse("senders:list")

    def success(self, obj: Sender) -> str:
        return _("The sender is saved.")


class AskAgain(Own, ActionPage):
    """Write the letter once more that asks whether the address agrees."""

    model = Sender
    room = "senders"

    def address_of(self, obj: Sender) -> str:
        return reverse("senders:list")

    def act(self, obj: Sender) -> str:
        verbs.ask_again(obj)
        return _("We have written to %(address)s again.") % {"address": obj.address}


class DeleteSender(Own, DeletePage):
    """Delete a sender."""

    model = Sender
    room = "senders"

    def address_of(self, obj: Sender) -> str:
        return reverse("senders:list")

    @property
    def what_goes(self) -> str:
        return _("Letters of this sender come from the installation's address then, those of runs under way as well.")

    def delete_by_verb(self, obj: Sender) -> str:
        verbs.delete_sender(obj)
        return _("The sender is deleted.")


@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Show whoever reads the sender's mail who asks, and note that they agree (POST). To look changes nothing."""
    sender = letters.asked(token)
    if sender is not None and request.method == "POST":
        verbs.confirm(sender)
        return HttpResponseRedirect(request.path, status=303)
    response = render(request, "senders/confirm.html", {"sender": sender}, status=200 if sender else 404)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
