"""What the admin pages have in common: who may open them, how verbs refuse, how far they count."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.core.exceptions import NON_FIELD_ERRORS, BadRequest, ValidationError
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from web.paging import CappedPaginator


class OfIds:
    """Of what was sent to a field that completes itself, Django looks up whatever it is, to show it again beside the
    refusal: only what can be a row's number is looked up.
    """

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, [each for each in value if is_id(str(each))], attr)  # type: ignore[misc]


class OneOfMany(OfIds, AutocompleteSelect):
    """Django's, for ids alone."""


class SomeOfMany(OfIds, AutocompleteSelectMultiple):
    """Django's, for ids alone."""


class SuperusersOnly:
    """Every permission is a superuser's, and nobody else's, whatever was granted."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            widget = SomeOfMany if db_field.many_to_many else OneOfMany
            kwargs.setdefault("widget", widget(db_field, self.admin_site))  # type: ignore[attr-defined]
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]

    def _has(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._has(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._has(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._has(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._has(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._has(request)


class ReadOnly(SuperusersOnly):
    """To be looked at: even a superuser adds, changes and deletes nothing."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VerbAdmin(SuperusersOnly, admin.ModelAdmin):
    """Save and delete by the core's verbs. What they refuse is undone, and said where it can be mended."""

    show_full_result_count = False
    list_per_page = 50
    paginator = CappedPaginator

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except ValidationError as refusal:
            request.refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal: ValidationError | None = getattr(request, "refusal", None)
        return form if refusal is None else _refused(form, refusal)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ValidationError as refusal:
            self.message_user(request, " ".join(refusal.messages), messages.ERROR)
            return HttpResponseRedirect(address("change", self.model, object_id))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not all(map(is_id, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise BadRequest
        try:
            with transaction.atomic():
                return super().changelist_view(request, extra_context)
        except ValidationError as refusal:
            self.message_user(request, " ".join(refusal.messages), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete all of them, or none."""
        for obj in queryset:
            self.delete_model(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what a person chose to delete, without the thousands of rows that go with it."""
        counts = {self.opts.verbose_name_plural: len(objs)}
        return [str(obj) for obj in objs[:100]], counts, set(), []


def is_id(text: str) -> bool:
    """Say whether it may be a row's id."""
    return text.isdecimal() and len(text) < 19


def address(page: str, model: type[models.Model], *args: Any, **filters: Any) -> str:
    """Return the address of a model's admin page, narrowed by `filters`."""
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)
    return f"{path}?{urlencode(filters)}" if filters else path


def link(text: Any, page: str, model: type[models.Model], *args: Any, **filters: Any) -> str:
    """Return a link to such a page, as HTML."""
    return format_html('<a href="{}">{}</a>', address(page, model, *args, **filters), text)


def _refused(form: Any, refusal: ValidationError) -> Any:
    class RefusedForm(form):  # type: ignore[misc]
        """The same form, which the verb has refused: it says so beside the fields it has."""

        def _post_clean(self) -> None:
            super()._post_clean()
            for field, errors in ValidationError(refusal).update_error_dict({}).items():
                place = field if field in self.fields else NON_FIELD_ERRORS
                said = self.errors.get(place, [])
                for message in ValidationError(errors).messages:
                    if message not in said:
                        self.add_error(None if place == NON_FIELD_ERRORS else place, message)

    return RefusedForm
