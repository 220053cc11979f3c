"""The ledger: runs, letters, attempts. It can be looked at, and nothing else, by superusers too."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from vestnik.mailings.ledger import runs
from vestnik.mailings.models import Attempt, Delivery, Run, Tally, Worker
from web.admin.base import ReadOnly, link
from web.paging import CappedPaginator


class LedgerAdmin(ReadOnly, admin.ModelAdmin):
    """Pages over millions of rows: in an index's order, counted up to a cap, without bodies."""

    actions = None
    sortable_by = ()
    show_full_result_count = False
    list_per_page = 50
    paginator = CappedPaginator
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)


@admin.register(Run)
class RunAdmin(LedgerAdmin):
    list_display = ("__str__", "mailing", "state", "reason", "occurrence", "window_end", "total", "finished_at")
    list_select_related = ("mailing",)
    list_filter = ("state",)
    search_fields = ("=mailing__id", "=id")
    search_help_text = _("The number of a run or of a mailing.")
    fields = (
        "mailing", "owner_id", "state", "reason", "totals", "see", "occurrence", "request_id", "again_of", "opened_at",
        "filled_at", "window_end", "cancelled_at", "finished_at", "served_at", "sender", "sender_name", "reply_to",
        "subject", "html", "text",
    )  # fmt: skip
    readonly_fields = ("totals", "see")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        return super().get_queryset(request).defer("html", "text")

    @admin.display(description=_("letters"))
    def totals(self, run: Run) -> str:
        return format_html_join(", ", "{}: {}", runs.totals(run.pk).items())

    @admin.display(description=_("see"))
    def see(self, run: Run) -> str:
        letters = link(_("its letters"), "changelist", Delivery, run__id__exact=run.pk)
        tallies = link(_("its tallies"), "changelist", Tally, run__id__exact=run.pk)
        return format_html("{}, {}", letters, tallies)


class StateInRun(admin.SimpleListFilter):
    """Letters by state, within one run: among all the letters there are it would have to read them all."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Delivery.State.choices if "run__id__exact" in request.GET else ()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class AttemptInline(ReadOnly, admin.TabularInline):
    model = Attempt
    fields = ("claim", "outcome", "code", "answer", "charged", "began_at", "duration", "worker")
    ordering = ("claim",)
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        return super().get_queryset(request).select_related("worker")


@admin.register(Delivery)
class DeliveryAdmin(LedgerAdmin):
    list_display = ("id", "address", "state", "run", "attempts", "due_at", "settled_at")
    list_select_related = ("run",)
    list_filter = (StateInRun,)
    ordering = ("-run_id", "-client_id")  # as the unique index has them
    search_fields = ("=id",)
    search_help_text = _("A letter's number; in a run also a client's, or the beginning of an address.")
    inlines = (AttemptInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).defer("run__html", "run__text")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip().lower()
        number = int(term) if term.isdecimal() and len(term) < 19 else None
        if "run__id__exact" in request.GET and term:
            found = Q(address__startswith=term)
            return queryset.filter(found if number is None else found | Q(pk=number) | Q(client_id=number)), False
        if number is not None:
            return queryset.filter(pk=number), False
        if term:
            self.message_user(request, gettext("Addresses can be searched within a run."), messages.WARNING)
            return queryset.none(), False
        return queryset, False


@admin.register(Attempt)
class AttemptAdmin(LedgerAdmin):
    list_display = ("id", "letter", "claim", "outcome", "code", "answer", "charged", "began_at", "took")
    list_select_related = ("delivery",)
    search_fields = ("=delivery__id",)
    search_help_text = _("The number of a letter.")
    fields = ("letter", "claim", "outcome", "charged", "code", "answer", "began_at", "took", "worker")
    readonly_fields = ("letter", "took")

    @admin.display(description=_("seconds"))
    def took(self, attempt: Attempt) -> str:
        return f"{attempt.duration:.3f}"

    @admin.display(description=_("letter"))
    def letter(self, attempt: Attempt) -> str:
        return link(attempt.delivery, "change", Delivery, attempt.delivery_id)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return (queryset.filter(delivery=int(term)) if term.isdecimal() and len(term) < 19 else queryset.none()), False


@admin.register(Tally)
class TallyAdmin(LedgerAdmin):
    list_display = ("run", "worker_id", "hour", *runs.COUNTED)
    list_select_related = ("run",)
    ordering = ("-run_id", "worker_id", "hour")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tally]:
        return super().get_queryset(request).defer("run__html", "run__text")


@admin.register(Worker)
class WorkerAdmin(LedgerAdmin):
    list_display = ("name", "provider", "started_at", "beat_at", "ended_at", "died")
    search_fields = ("name",)
