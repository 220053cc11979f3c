"""Suppressed addresses of everybody, and those of the installation, which get no letters of anybody's."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from vestnik.clients import suppressions
from vestnik.clients.models import Suppression
from vestnik.clients.suppressions import SuppressionReason
from web.admin.base import VerbAdmin


class SuppressionForm(forms.ModelForm):
    class Meta:
        model = Suppression
        fields = ("owner", "address")
        help_texts = {"owner": _("Leave empty to stop letters to this address from everybody on this installation.")}

    def validate_unique(self) -> None:
        """Leave it to the verb: an address that was suppressed before is so again."""

    def validate_constraints(self) -> None:
        """Leave it to the verb."""


@admin.register(Suppression)
class SuppressionAdmin(VerbAdmin):
    """Added by hand, and lifted by deleting; what a person did stays."""

    form = SuppressionForm
    autocomplete_fields = ("owner",)
    list_display = ("address", "owner", "client_list", "reason", "created_at", "lifted_at")
    list_select_related = ("owner", "client_list")
    list_filter = ("reason",)
    ordering = ("-pk",)
    sortable_by = ()
    search_fields = ("address__startswith",)
    search_help_text = _("The beginning of an address.")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return super().get_search_results(request, queryset, search_term.strip().lower())

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        suppressions.suppress(obj.owner_id, [obj.address], SuppressionReason.BY_HAND)
        kept = Suppression.objects.get(owner=obj.owner_id, address=obj.address, client_list=None, by_person=False)
        obj.pk = kept.pk

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        suppressions.lift(Suppression.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        suppressions.lift(Suppression.objects.filter(pk__in=queryset.values("pk")))
