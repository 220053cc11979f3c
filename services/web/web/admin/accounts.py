"""The people who sign in, and the letters Vestnik itself writes to them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from vestnik import sharing, supervision
from vestnik.accounts import groups
from vestnik.accounts.models import AccountLetter, AuditEntry, Share, User
from vestnik.clients.models import Client, ClientList
from vestnik.mailings.models import Mailing, Message
from web.accounts.ending import end_account
from web.admin.base import VerbAdmin, link
from web.admin.ledger import LedgerAdmin
from web.pages import asked_by

GROUPS = {groups.MANAGERS: _("managers"), groups.CONTENT_MANAGERS: _("content managers")}
"""What the groups that every installation has are called."""


def group_name(group: Group) -> str:
    """Return a group's name for people to read."""
    return str(GROUPS.get(group.name, group.name))


class NewUserForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("email",)
        field_classes: dict[str, Any] = {}


class ChangedUserForm(UserChangeForm):
    reason = forms.CharField(
        label=_("reason"),
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text=_("Why the user is blocked; they are told."),
    )


@admin.register(User)
class UserAdmin(VerbAdmin, DjangoUserAdmin):
    add_form = NewUserForm
    form = ChangedUserForm
    add_fieldsets = (
        (None, {"fields": ("email", "full_name", "time_zone", "language")}),
        (None, {"classes": ("wide",), "fields": ("usable_password", "password1", "password2")}),
    )
    fieldsets = (
        (None, {"fields": ("email", "password", "full_name", "time_zone", "language", "owned")}),
        (_("Rights"), {"fields": ("is_active", "reason", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("confirmed_at", "last_login", "last_seen_at", "date_joined")}),
    )
    readonly_fields = ("owned", "last_login", "last_seen_at", "date_joined")
    list_display = ("email", "full_name", "is_active", "is_staff", "is_superuser", "confirmed_at", "date_joined")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups", ("confirmed_at", admin.EmptyFieldListFilter))
    search_fields = ("email", "full_name")
    ordering = ("email",)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "groups" and field is not None:
            field.label_from_instance = group_name  # type: ignore[method-assign, assignment]
        return field

    @admin.display(description=_("owns"))
    def owned(self, user: User) -> str:
        """Return links to the lists of what the user owns."""
        models = (Client, ClientList, Message, Mailing)
        links = (
            (link(model._meta.verbose_name_plural, "changelist", model, owner__id__exact=user.pk),) for model in models
        )
        return format_html_join(", ", "{}", links)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.confirmed_at = timezone.now()  # whoever is made here counts as confirmed
            obj.save()
        else:  # what was changed and no more: a manager may block them at this moment
            columns = {field.name for field in User._meta.concrete_fields} - {"is_active"}
            obj.save(update_fields=columns & set(form.changed_data))
        sharing.receive(obj)
        if change and "is_active" in form.changed_data:
            self.block_or_unblock(request, obj, form.cleaned_data["reason"])

    def block_or_unblock(self, request: HttpRequest, user: User, reason: str) -> None:
        """Block or unblock by the verb: sessions end, a letter is written, the audit log says who it was."""
        by, address = asked_by(request)
        if user.is_active:
            supervision.unblock(user, by, address)
        else:
            supervision.block(user, by, reason, address)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(deleted_at=None)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        end_account(obj)


@admin.register(AccountLetter)
class AccountLetterAdmin(LedgerAdmin):
    """Never with the content: it holds links that open accounts."""

    list_display = ("recipient", "subject", "state", "created_at", "attempts", "answer")
    search_fields = ("recipient__exact",)
    search_help_text = _("A whole address.")
    fields = (
        "recipient", "subject", "key", "state", "attempts", "code", "answer", "created_at", "due_at", "claimed_at",
        "settled_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccountLetter]:
        return super().get_queryset(request).defer("content")


@admin.register(AuditEntry)
class AuditEntryAdmin(LedgerAdmin):
    list_display = ("at", "actor_address", "action", "kind", "label", "person_address", "from_address", "reason")
    list_filter = ("action", "kind")
    search_fields = ("actor_address", "person_address", "label")


@admin.register(Share)
class ShareAdmin(LedgerAdmin):
    list_display = ("owner", "content_type", "object_id", "address", "level", "created_at")
    list_select_related = ("owner", "content_type")
    list_filter = ("level",)
    search_fields = ("address__exact", "owner__email__exact")
    search_help_text = _("A whole address.")
    fields = ("owner", "content_type", "object_id", "address", "level", "user", "created_at")
