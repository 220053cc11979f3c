"""Messages and mailings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from vestnik import clock, supervision
from vestnik.mailings import calendar, verbs
from vestnik.mailings.models import Mailing, Message, Run
from web.admin.base import VerbAdmin, link
from web.forms import SeenForm
from web.pages import asked_by


@admin.register(Message)
class MessageAdmin(VerbAdmin):
    form = SeenForm
    fields = ("owner", "subject", "html", "text", "seen")
    autocomplete_fields = ("owner",)
    list_display = ("subject", "owner", "updated_at")
    list_select_related = ("owner",)
    ordering = ("-pk",)
    search_fields = ("subject",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).defer("html", "text")

    def get_readonly_fields(self, request: HttpRequest, obj: Message | None = None) -> Any:
        return () if obj is None else ("owner",)

    def save_model(self, request: HttpRequest, obj: Message, form: Any, change: bool) -> None:
        if not change:
            obj.language = obj.owner.language
        verbs.save_message(obj, form.cleaned_data["seen"])

    def delete_model(self, request: HttpRequest, obj: Message) -> None:
        verbs.delete_message(obj, *asked_by(request))


class ReasonForm(ActionForm):
    reason = forms.CharField(label=_("Reason (to switch off):"), required=False, strip=True)


@admin.register(Mailing)
class MailingAdmin(VerbAdmin):
    form = SeenForm
    fieldsets = (
        (None, {"fields": ("owner", "name", "message", "sender_name", "seen")}),
        (_("Audience"), {"fields": ("lists", "clients")}),
        (_("Schedule"), {"fields": ("start", "end", "periodicity", "time_zone")}),
    )
    state = (
        _("State"),
        {
            "fields": (
                "status", "upcoming", "runs", "paused_at", "switched_off_at", "switched_off_by", "switched_off_reason",
            )
        },
    )  # fmt: skip
    autocomplete_fields = ("owner", "message", "lists", "clients")
    list_display = ("name", "owner", "message", "status", "periodicity", "start", "end", "next_at", "paused_at")
    list_select_related = ("owner", "message")
    list_filter = ("periodicity", ("paused_at", admin.EmptyFieldListFilter), ("next_at", admin.EmptyFieldListFilter))
    ordering = ("-pk",)
    search_fields = ("name",)
    actions = ("pause", "resume", "cancel", "send_now", "switch_off", "switch_on")
    action_form = ReasonForm

    def get_queryset(self, request: HttpRequest) -> Any:
        mailings: Any = super().get_queryset(request)
        return mailings.with_status().defer("message__html", "message__text")

    def get_fieldsets(self, request: HttpRequest, obj: Mailing | None = None) -> Any:
        return self.fieldsets if obj is None else (*self.fieldsets, self.state)

    def get_readonly_fields(self, request: HttpRequest, obj: Mailing | None = None) -> Any:
        return () if obj is None else ("owner", *self.state[1]["fields"])

    @admin.display(description=_("status"))
    def status(self, mailing: Any) -> str:
        return str(Mailing.Status(mailing.status).label)

    @admin.display(description=_("next occurrences"))
    def upcoming(self, mailing: Mailing) -> str:
        now = clock.now()
        kept = Mailing.objects.get(pk=mailing.pk)  # not what was typed, and is refused: that may be no schedule at all
        moments = calendar.upcoming(kept.schedule, now, 5)
        shown = ((localize(localtime(moment)),) for moment in moments)
        return format_html_join("; ", "{}", shown) or "–"

    @admin.display(description=_("runs"))
    def runs(self, mailing: Mailing) -> str:
        return link(_("its runs"), "changelist", Run, mailing__id__exact=mailing.pk)

    def save_model(self, request: HttpRequest, obj: Mailing, form: Any, change: bool) -> None:
        if change:
            for name in set(verbs.SCHEDULE) & set(form.fields) - set(form.changed_data):
                setattr(obj, name, form.initial[name])  # the form has whole seconds only
            if "start" in form.changed_data:
                obj.start_moved = 0  # it takes no time that the clocks skip
        said = form.cleaned_data
        verbs.save_mailing(obj, lists=said["lists"], clients=said["clients"], seen=said["seen"])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: the verb has saved the audience."""

    def delete_model(self, request: HttpRequest, obj: Mailing) -> None:
        verbs.delete_mailing(obj)

    @admin.action(description=_("Pause"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Mailing]) -> None:
        self._each(request, queryset, verbs.pause, gettext("“%(name)s” is paused."))

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Mailing]) -> None:
        self._each(request, queryset, verbs.resume, gettext("The pause of “%(name)s” is over."))

    @admin.action(description=_("Cancel the run"), permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Mailing]) -> None:
        self._each(request, queryset, verbs.cancel, gettext("The run of “%(name)s” is cancelled."))

    @admin.action(description=_("Send now"), permissions=["change"])
    def send_now(self, request: HttpRequest, queryset: QuerySet[Mailing]) -> None:
        self._each(request, queryset, verbs.send_now, gettext("“%(name)s” is being sent."))

    @admin.action(description=_("Switch off"), permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Mailing]) -> None:
        by, address = asked_by(request)
        reason = request.POST.get("reason", "")

        def verb(mailing: Mailing) -> None:
            supervision.switch_off(mailing, by, reason, address)

        self._each(request, queryset, verb, gettext("“%(name)s” is switched off."))

    @admin.action(description=_("Switch on"), permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Mailing]) -> None:
        by, address = asked_by(request)

        def verb(mailing: Mailing) -> None:
            supervision.switch_on(mailing, by, address)

        self._each(request, queryset, verb, gettext("“%(name)s” is switched on."))

    def _each(self, request: HttpRequest, chosen: Any, verb: Callable[[Mailing], Any], done: str) -> None:
        for mailing in chosen:
            try:
                verb(mailing)
            except ValidationError as refusal:
                self.message_user(request, f"“{mailing}”: {' '.join(refusal.messages)}", messages.ERROR)
            else:
                self.message_user(request, done % {"name": mailing}, messages.SUCCESS)
