from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import View

from vestnik import access, addresses, supervision
from vestnik.accounts.audit import AuditAction, AuditEntry
from vestnik.accounts.models import User
from vestnik.mailings import audience, mailing_status
from vestnik.mailings.ledger import statistics
from vestnik.mailings.ledger.statistics import Totals
from vestnik.mailings.models import Mailing
from vestnik.mailings.rendering import Preview
from web.lists.views import with_sizes
from web.mailings import charts
from web.mailings.views import InItsZone
from web.messages import letters
from web.pages import DetailPage, TablePage, Visible, asked_by
from web.panel import stats
from web.panel.forms import MailingFilter, ReasonForm

LATEST = 10
STATES = {
    "active": (Q(is_active=True, confirmed_at__isnull=False), gettext_lazy("active")),
    "blocked": (Q(is_active=False), gettext_lazy("blocked")),
    "unconfirmed": (Q(confirmed_at=None), gettext_lazy("not confirmed")),
    "managers": (Q(groups__name="managers"), gettext_lazy("managers")),
}
"""The address's word for a state of users, who is in it, and the reader's word."""


class Supervisors(Visible):
    """For managers and superusers: for everybody else there is no such page. Who is signed out may be one of them."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        if not access.may_supervise(request.user):
            raise Http404
        return super().dispatch(request, *args, **kwargs)


class Mailings(Supervisors):
    """Mailings, everybody's."""

    model: Any = Mailing

    def get_queryset(self) -> Any:
        return super().get_queryset().with_status().select_related("owner")

    def address_of(self, obj: Mailing) -> str:
        return reverse("panel:mailing", args=[obj.pk])


class People(Supervisors):
    """People whose accounts have not ended."""

    model: Any = User

    def get_queryset(self) -> Any:
        return User.objects.filter(deleted_at=None)

    def address_of(self, obj: User) -> str:
        return reverse("panel:user", args=[obj.pk])


class Log(Supervisors):
    """The audit log, for those who may read it."""

    model: Any = AuditEntry

    def get_queryset(self) -> Any:
        return AuditEntry.objects.all()


class MailingList(TablePage, Mailings):
    """All mailings, with their owners and totals."""

    template_name = "panel/mailings.html"
    table_template = "panel/_mailings.html"
    sorts = {
        "-created": ("-pk",),
        "created": ("pk",),
        "name": ("name", "pk"),
        "-name": ("-name", "-pk"),
        "owner": ("owner__email", "-pk"),
        "-owner": ("-owner__email", "-pk"),
        "start": ("start", "pk"),
        "-start": ("-start", "-pk"),
    }

    def search(self, queryset: Any, text: str) -> Any:
        return queryset.filter(Q(name__icontains=text) | _address_has("owner__email", text))

    def narrow(self, queryset: Any) -> Any:
        asked = self.filter.cleaned_data
        if status := asked.get("status"):
            queryset = queryset.filter(status=status)
        if owner := asked.get("owner"):
            queryset = queryset.filter(owner=owner)
        if since := asked.get("since"):
            queryset = queryset.filter(end__gte=_midnight(since))
        if until := asked.get("until"):
            queryset = queryset.filter(start__lt=_midnight(until + timedelta(days=1)))
        return _held(queryset, asked.get("held", ""))

    @cached_property
    def filter(self) -> MailingFilter:
        """Return what the address narrows the list by."""
        form = MailingFilter(self.request.GET)
        form.is_valid()
        return form

    @cached_property
    def owner(self) -> User | None:
        """Whose mailings alone are shown."""
        asked = self.filter.cleaned_data.get("owner")
        return User.objects.filter(pk=asked).first() if asked else None

    def totals(self) -> dict[str, int]:
        """Return the figures above the list."""
        return stats.of_installation()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(narrowed=any(self.filter.cleaned_data.values()), **kwargs)
        _add_totals(context["page_obj"])
        return context


class MailingPage(InItsZone, DetailPage, Mailings):
    """A mailing as its owner set it up, what became of it, and the switch."""

    template_name = "panel/mailing.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("message", "sender", "switched_off_by")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        mailing = self.object
        return super().get_context_data(
            **charts.of_runs(mailing, self.request.GET.get("page")),
            totals=statistics.of_mailings([mailing.pk])[mailing.pk],
            recipients=audience.count(mailing),
            lists=with_sizes(mailing.lists.order_by("name")),
            singles=mailing.clients.count(),
            upcoming=charts.upcoming(mailing),
            standing=mailing_status.of(mailing),
            **{"form": ReasonForm(), **kwargs},
        )


@method_decorator(letters.framed, "dispatch")
class MailingLetter(DetailPage, Mailings):
    """The mailing's message as it was written, for a frame."""

    def render_to_response(self, context: Any, **_kwargs: Any) -> HttpResponse:
        message = self.object.message
        return letters.letter(self.request, Preview(subject=message.subject, html=message.html, text=message.text))


class UserList(TablePage, People):
    """All people, with their figures."""

    template_name = "panel/users.html"
    table_template = "panel/_users.html"
    sorts = {
        "-registered": ("-date_joined", "-pk"),
        "registered": ("date_joined", "pk"),
        "address": ("email",),
        "-address": ("-email",),
        "-seen": (F("last_seen_at").desc(nulls_last=True), "-pk"),
        "seen": (F("last_seen_at").asc(nulls_first=True), "pk"),
    }

    def search(self, queryset: Any, text: str) -> Any:
        return queryset.filter(_address_has("email", text) | Q(full_name__icontains=text))

    def narrow(self, queryset: Any) -> Any:
        return queryset.filter(STATES[self.state][0]) if self.state else queryset

    @cached_property
    def state(self) -> str:
        """Return the key of STATES that was asked for; nothing for all."""
        asked = self.request.GET.get("state", "")
        return asked if asked in STATES else ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        states = [(value, label) for value, (_who, label) in STATES.items()]
        context = super().get_context_data(state=self.state, states=states, **kwargs)
        _add_figures(context["page_obj"])
        return context


class UserPage(DetailPage, People):
    """A person's account, their mailings, and blocking them."""

    template_name = "panel/user.html"
    context_object_name = "person"  # not Django's choice, `user`: that is who looks

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        person = self.object
        reader: Any = self.request.user
        _add_figures([person])
        mailings = Mailing.objects.visible_to(reader).filter(owner=person).with_status().order_by("-pk")[:LATEST]
        _add_totals(mailings)
        entries = AuditEntry.objects.filter(kind=AuditEntry.Kind.USER, object_id=person.pk).order_by("-pk")
        return super().get_context_data(
            mailings=mailings,
            may_block=access.may_block(reader, person),
            blocked=None if person.is_active else entries.filter(action=AuditAction.BLOCKED).first(),
            **{"form": ReasonForm(), **kwargs},
        )


class ReasonedAction(Supervisors, View):
    """Do what a button says, with its reason, and go back to the page it stands on.

    What is refused is said there, with what was typed.
    """

    http_method_names = ["post", "get"]
    form_class: type[forms.Form] = forms.Form
    object: Any

    def get(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
        """Go back, and do nothing: it is where one lands who signed in again to press the button."""
        return HttpResponseRedirect(self.address_of(self.get_object()))

    def post(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
        self.object = self.get_object()
        form = self.form_class(request.POST)
        if form.is_valid():
            try:
                said = self.apply(*asked_by(request), **form.cleaned_data)
            except ValidationError as refusal:
                form.add_error(None, refusal)
                self.object = self.get_object()  # somebody may have been faster
            else:
                messages.success(request, said)
                return HttpResponseRedirect(self.address_of(self.object))
        if not form.fields:  # nothing was typed that should stay
            messages.error(request, " ".join(map(str, form.non_field_errors())))
            return HttpResponseRedirect(self.address_of(self.object))
        return self.render_to_response(self.get_context_data(form=form))  # type: ignore[attr-defined,no-any-return]

    def apply(self, by: Any, address: str, **reason: str) -> str:
        """Do it, from this IP address, and return what is said then. Raises ValidationError."""
        raise NotImplementedError


class SwitchOff(ReasonedAction, MailingPage):
    """Switch a mailing off."""

    form_class = ReasonForm

    def apply(self, by: Any, address: str, **reason: str) -> str:
        supervision.switch_off(self.object, by, reason["reason"], address)
        return _("Switched off: nothing more of it is sent. Its owner is told.")


class SwitchOn(ReasonedAction, MailingPage):
    """Switch a mailing on again."""

    def apply(self, by: Any, address: str, **_reason: str) -> str:
        supervision.switch_on(self.object, by, address)
        self.object.refresh_from_db()
        return " ".join([_("Switched on. Its owner is told."), mailing_status.of(self.object).sentence])


class Block(ReasonedAction, UserPage):
    """Block a person."""

    form_class = ReasonForm

    def apply(self, by: Any, address: str, **reason: str) -> str:
        supervision.block(self.object, by, reason["reason"], address)
        return _("Blocked: signed out everywhere, and nothing more of theirs is sent. They are told.")


class Unblock(ReasonedAction, UserPage):
    """Unblock a person."""

    def apply(self, by: Any, address: str, **_reason: str) -> str:
        supervision.unblock(self.object, by, address)
        return _(
            "Unblocked: they can sign in again, and are told. Their mailings go on, unless something else stops them."
        )


class AuditList(TablePage, Log):
    """The audit log."""

    template_name = "panel/audit.html"
    table_template = "panel/_audit.html"
    sorts = {"-at": ("-pk",), "at": ("pk",)}

    def search(self, queryset: Any, text: str) -> Any:
        by_address = _address_has("actor_address", text) | _address_has("person_address", text)
        return queryset.filter(by_address | Q(label__icontains=text) | Q(reason__icontains=text))

    def narrow(self, queryset: Any) -> Any:
        return queryset.filter(action=self.action_asked) if self.action_asked else queryset

    @cached_property
    def action_asked(self) -> str:
        """Return the action that was asked for; nothing for all."""
        asked = self.request.GET.get("action", "")
        return asked if asked in AuditAction.values else ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(actions=AuditAction.choices, asked=self.action_asked, **kwargs)


def _address_has(field: str, text: str) -> Q:
    """Return the condition that an address has this in it, in ASCII or as people write it."""
    found = Q()
    for form in addresses.sought(text):
        found |= Q(**{f"{field}__icontains": form})
    return found


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def _held(mailings: Any, how: str) -> Any:
    off, paused = Q(switched_off_at__isnull=False), Q(paused_at__isnull=False)
    blocked = Q(owner__is_active=False)
    wanted = {"off": off, "paused": paused, "blocked": blocked, "free": ~off & ~paused & ~blocked}
    return mailings.filter(wanted.get(how, Q()))


def _add_totals(mailings: Any) -> None:
    totals = statistics.of_mailings([mailing.pk for mailing in mailings])
    for mailing in mailings:
        mailing.totals = totals.get(mailing.pk, Totals())


def _add_figures(people: Any) -> None:
    mailings, sent = stats.of_users([person.pk for person in people])
    for person in people:
        person.mailing_count, person.sent_count = mailings.get(person.pk, 0), sent.get(person.pk, 0)
