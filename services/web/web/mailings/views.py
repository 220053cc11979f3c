import uuid
import zoneinfo
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from vestnik import access, addresses, clock
from vestnik.accounts.models import User
from vestnik.mailings import audience, mailing_status, missing_values, notices, verbs
from vestnik.mailings.ledger import statistics
from vestnik.mailings.models import Mailing
from web.mailings import charts
from web.mailings.forms import MailingForm
from web.messages.letters import attempt, framed, letter, with_pictures
from web.pages import ActionPage, ChangePage, CreatePage, DeletePage, DetailPage, ListPage, number


class MailingList(ListPage):
    """One's mailings, and those that were shared with one."""

    model = Mailing
    template_name = "mailings/list.html"
    table_template = "mailings/_table.html"
    sorts = {
        "-created": ("-pk",),
        "created": ("pk",),
        "name": ("name", "pk"),
        "-name": ("-name", "-pk"),
        "next": ("next_at", "-pk"),
        "-next": ("-next_at", "-pk"),
    }

    def search(self, queryset: Any, text: str) -> Any:
        return queryset.filter(name__icontains=text)

    def narrow(self, queryset: Any) -> Any:
        queryset = queryset.with_status().select_related("owner")
        status = self.request.GET.get("status")
        return queryset.filter(status=status) if status in Mailing.Status.values else queryset

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(
            statuses=Mailing.Status.choices, status=self.request.GET.get("status", ""), **kwargs
        )
        totals = statistics.of_mailings([mailing.pk for mailing in context["page_obj"]])
        for mailing in context["page_obj"]:
            mailing.totals = totals[mailing.pk]
        return context


class InItsZone:
    """A mailing's page, all of whose times are in the mailing's own zone."""

    def get_object(self, queryset: Any = None) -> Any:
        mailing = super().get_object(queryset)  # type: ignore[misc]
        timezone.activate(zoneinfo.ZoneInfo(mailing.time_zone))  # ProfileMiddleware undoes it
        return mailing


class MailingPage(InItsZone, DetailPage):
    """The settings, what comes next, and the runs."""

    model = Mailing
    template_name = "mailings/detail.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().with_status().select_related("owner", "message", "sender", "switched_off_by")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        mailing, person = self.object, cast(User, self.request.user)
        return super().get_context_data(
            **charts.of_runs(mailing, self.request.GET.get("page")),
            standing=mailing_status.of(mailing),
            recipients=audience.count(mailing),
            lists=mailing.lists.order_by("name"),
            singles=mailing.clients.count(),
            upcoming=charts.upcoming(mailing),
            may_see_message=access.may(person, "view", mailing.message),
            whole=access.may_see_addresses(person, mailing.owner_id),
            **kwargs,
        )


@method_decorator(framed, "dispatch")
class MailingLetter(DetailPage):
    """The mailing's message, for those who may see the mailing."""

    model = Mailing

    def render_to_response(self, context: Any, **_kwargs: Any) -> HttpResponse:
        request = self.request
        shown = attempt(cast(User, request.user), self.object.message, pictures=with_pictures(request))
        return letter(request, *shown)


class NewMailing(CreatePage):
    """Set a mailing up."""

    form_class = MailingForm
    template_name = "mailings/form.html"

    def get_initial(self) -> dict[str, Any]:
        """Return what the address says: a message or lists to send, or a mailing to make another of (`copy`)."""
        asked, person = self.request.GET, cast(User, self.request.user)
        initial: dict[str, Any] = {"message": asked.get("message"), "lists": asked.getlist("list")}
        original = Mailing.objects.visible_to(person).filter(pk=number(asked.get("copy"))).first()
        if original is not None:
            singles = original.clients.filter(owner=person).values_list("email", flat=True)
            initial = {
                "name": _("Copy of %(name)s") % {"name": original.name},
                "message": original.message_id,
                "lists": [found.pk for found in original.lists.all() if found.owner == person],
                "single": "\n".join(map(addresses.shown, singles)),
                "sender": original.sender_id if original.owner == person else None,
                "sender_name": original.sender_name,
                "periodicity": original.periodicity,
                "time_zone": original.time_zone,
            }
            if original.start > clock.now():  # a copy of what is planned for later does not start at once
                initial |= original.on_the_wall()
            initial["name"] = initial["name"][:200]
        return initial

    def get_success_url(self) -> str:
        return reverse("mailings:detail", args=[self.object.pk])

    def success(self, obj: Mailing) -> str:
        return _and_what_follows(_("The mailing is saved."), obj)


class ChangeMailing(ChangePage):
    """Change a mailing."""

    model = Mailing
    room = "mailings"
    form_class = MailingForm
    template_name = "mailings/form.html"

    def get_success_url(self) -> str:
        return self.address_of(self.object)

    def success(self, obj: Mailing) -> str:
        return _("The mailing is saved.")


class DeleteMailing(DeletePage):
    """Delete a mailing."""

    model = Mailing
    room = "mailings"
    what_goes = gettext_lazy("The mailing and what it planned go for good. Its runs and their letters stay on record.")

    def delete_by_verb(self, obj: Mailing) -> str:
        verbs.delete_mailing(obj)
        return _("The mailing is deleted.")


class Pause(ActionPage):
    """Pause a mailing."""

    model = Mailing
    room = "mailings"

    def act(self, obj: Mailing) -> str:
        verbs.pause(obj, cast(User, self.request.user))
        obj.refresh_from_db()
        return _and_what_follows(_("The mailing is paused."), obj)


class Resume(ActionPage):
    """End a mailing's pause."""

    model = Mailing
    room = "mailings"

    def act(self, obj: Mailing) -> str:
        verbs.resume(obj, cast(User, self.request.user))
        return _and_what_follows(_("The pause is over."), obj)


class Cancel(ActionPage):
    """Cancel a mailing's run."""

    model = Mailing
    room = "mailings"

    def act(self, obj: Mailing) -> str:
        verbs.cancel(obj, cast(User, self.request.user))
        return _("The run is cancelled: what was queued is not sent.")


class SendNow(ActionPage):
    """Asks, saying to how many; then makes a run outside the calendar and shows it.

    A second click finds the first one's run.
    """

    model = Mailing
    room = "mailings"
    run_address = ""

    def get(self, request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        mailing = self.get_object()
        context = {
            "object": mailing,
            "recipients": audience.count(mailing),
            "had_it": mailing.runs.filter(total__gt=0).exists(),
            "request_id": uuid.uuid4(),
        }
        return render(request, "mailings/send_now.html", context)

    def act(self, obj: Mailing) -> str:
        try:
            request_id = uuid.UUID(self.request.POST.get("request_id", ""))
        except ValueError:
            raise ValidationError(_("This button was not pressed on its page; try again from there.")) from None
        run = verbs.send_now(obj, request_id, cast(User, self.request.user))
        self.run_address = reverse("runs:detail", args=[run.pk])
        return _("A run has begun.")

    def back(self, obj: Mailing) -> str:
        return self.run_address or super().back(obj)


def _and_what_follows(said: str, mailing: Mailing) -> str:
    """Return what is said, and how the mailing stands, unless its page says that above all else."""
    with timezone.override(zoneinfo.ZoneInfo(mailing.time_zone)):  # that of its page
        standing = mailing_status.of(mailing)
    return said if standing.is_news else f"{said} {standing.sentence}"


@login_required
@require_POST
def plan(request: HttpRequest) -> HttpResponse:
    """Show what the form that is being filled in would do: its next occurrences, and how many would get it."""
    person = cast(User, request.user)
    mailing = Mailing.objects.visible_to(person).filter(pk=number(request.GET.get("mailing"))).first()
    form = MailingForm(request.POST, instance=mailing, owner=person)
    form.is_valid()
    cleaned, draft = form.cleaned_data, form.instance
    context: dict[str, Any] = {"zone": draft.time_zone, "unknown": form.errors.get("single", [])}
    if {"start", "end", "time_zone", "periodicity"} <= cleaned.keys() and draft.end > draft.start:
        context["skipped"] = draft.schedule.wall_start if draft.schedule.moved else None
        context["upcoming"] = charts.upcoming(draft)
        context["starts_at_once"] = mailing is None and draft.start <= clock.now() < draft.end
    if {"lists", "single"} <= cleaned.keys():
        context["recipients"] = audience.would_be(draft.owner_id, cleaned["lists"], cleaned["single"], draft.kind)
        if (message := cleaned.get("message")) and draft.owner_id == person.pk:
            found = missing_values.of_audience(message, person.pk, cleaned["lists"], cleaned["single"])
            context["notices"] = notices.of_texts(message) + notices.of_gaps(found)
    return render(request, "mailings/_plan.html", context)
