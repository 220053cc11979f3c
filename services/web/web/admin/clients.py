"""Clients and the lists they are on."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from vestnik import client_deletion
from vestnik.clients import verbs
from vestnik.clients.models import Client, ClientImport, ClientList, Membership, name_key
from vestnik.mailings.models import Mailing
from web.admin.base import ReadOnly, SuperusersOnly, VerbAdmin, link
from web.forms import SeenForm
from web.paging import CappedPaginator


class ClientForm(SeenForm):
    def clean_attributes(self) -> dict[str, str]:
        attributes: dict[str, str] | None = self.cleaned_data["attributes"]
        return attributes or {}


class MembershipFormSet(BaseInlineFormSet):
    def clean(self) -> None:
        super().clean()
        rows = Membership.objects.filter(client=self.instance.pk)
        taken = dict(rows.values_list("client_list_id", "pk")) if self.instance.pk else {}
        for form in self.forms:
            client_list = getattr(form, "cleaned_data", {}).get("client_list")
            if client_list is None:
                continue
            if client_list.owner_id != self.instance.owner_id:
                form.add_error("client_list", gettext("This list is not the client's owner's."))
            elif taken.get(client_list.pk, form.instance.pk) != form.instance.pk:
                form.add_error("client_list", gettext("The client is on this list already."))


class MembershipInline(SuperusersOnly, admin.TabularInline):
    model = Membership
    formset = MembershipFormSet
    autocomplete_fields = ("client_list",)
    extra = 0


@admin.register(Client)
class ClientAdmin(VerbAdmin):
    form = ClientForm
    fields = ("owner", "email", "full_name", "comment", "attributes", "created_at", "updated_at", "seen")
    readonly_fields = ("created_at", "updated_at")
    autocomplete_fields = ("owner",)
    inlines = (MembershipInline,)
    list_display = ("email", "full_name", "owner")
    list_select_related = ("owner",)
    ordering = ("owner_id", "email")  # as the unique index has them
    sortable_by = ()
    search_fields = ("email__startswith",)
    search_help_text = _("The beginning of an address or of a name.")

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        return self.readonly_fields if obj is None else ("owner", *self.readonly_fields)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if key := name_key(search_term):
            queryset = queryset.filter(Q(email__startswith=search_term.strip().lower()) | Q(name_key__startswith=key))
        return queryset, False

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: bool) -> None:
        verbs.save_client(obj, seen=form.cleaned_data["seen"])

    def delete_model(self, request: HttpRequest, obj: Client) -> None:
        client_deletion.delete_clients(obj.owner, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        chosen = queryset.select_related("owner").order_by("owner_id")
        for owner, clients in groupby(chosen, key=lambda client: client.owner):
            client_deletion.delete_clients(owner, clients)


@admin.register(ClientList)
class ClientListAdmin(VerbAdmin):
    form = SeenForm
    fields = ("owner", "name", "seen")
    autocomplete_fields = ("owner",)
    list_display = ("name", "owner", "created_at")
    list_select_related = ("owner",)
    ordering = ("-pk",)
    search_fields = ("name",)

    def get_fields(self, request: HttpRequest, obj: ClientList | None = None) -> Any:
        return self.fields if obj is None else ("owner", "name", "created_at", "used", "seen")

    def get_readonly_fields(self, request: HttpRequest, obj: ClientList | None = None) -> Any:
        return () if obj is None else ("owner", "created_at", "used")

    @admin.display(description=_("see"))
    def used(self, client_list: ClientList) -> str:
        clients = link(_("its clients"), "changelist", Client, lists__id__exact=client_list.pk)
        mailings = link(_("its mailings"), "changelist", Mailing, lists__id__exact=client_list.pk)
        return format_html("{}, {}", clients, mailings)

    def save_model(self, request: HttpRequest, obj: ClientList, form: Any, change: bool) -> None:
        verbs.save_list(obj, form.cleaned_data["seen"])


@admin.register(ClientImport)
class ClientImportAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("file_name", "owner", "state", "created", "updated", "refused", "created_at", "finished_at")
    list_select_related = ("owner",)
    list_filter = ("state",)
    list_per_page = 50
    actions = None
    ordering = ("-pk",)
    sortable_by = ()
    show_full_result_count = False
    paginator = CappedPaginator
