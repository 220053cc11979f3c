"""What signed-in pages have in common: who may open them, how objects are listed, how a verb's refusal is shown."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple, cast

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models.expressions import OrderBy
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.views.generic import CreateView, DeleteView, DetailView, ListView, UpdateView, View

from vestnik import access
from vestnik.accounts.idempotency import run_once
from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList
from vestnik.mailings.models import Mailing, Message
from web import onboarding
from web.forms import VerbForm
from web.paging import CappedPaginator
from web.responses import stale_form, wants_fragment

PAGE = 50


class Asked(NamedTuple):
    """Who asked for something."""

    by: User
    address: str
    """Their IP address."""


class SignedIn(LoginRequiredMixin):
    """Let in those who are signed in.

    What somebody sends who was signed out meanwhile is not dropped silently: the answer says so, and their browser
    still has it.
    """

    request: HttpRequest

    def handle_no_permission(self) -> Any:
        if self.request.method == "POST" and not self.request.user.is_authenticated:
            return stale_form(self.request)
        return super().handle_no_permission()


class OwnersPage(SignedIn, View):
    """A page on which objects are made or changed: for those who may own any."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated and not access.may_own(request.user):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)


class Visible(SignedIn):
    """Find the page's object among those its reader may see and may do `action` to: for others it does not exist.

    `room` is the namespace of its addresses: ROOM:list, ROOM:detail, ROOM:change, ROOM:delete.
    """

    model: Any
    room = ""
    action: access.Action = "view"
    request: HttpRequest

    def get_queryset(self) -> Any:
        return self.model.objects.visible_to(self.request.user)

    def get_object(self, queryset: Any = None) -> Any:
        obj = super().get_object(queryset)  # type: ignore[misc]
        if not access.may(self.request.user, self.action, obj):
            raise Http404
        return obj

    def address_of(self, obj: Any) -> str:
        """Return the address where the object is seen."""
        return reverse(f"{self.room}:detail", args=[obj.pk])


class TablePage(Visible, ListView):
    """Show rows in a table: searched by `q`, sorted by one of `sorts`, in pages. htmx gets the table alone.

    `sorts` maps the address's word to the fields it means; the first of them sorts where nothing is asked for.
    """

    paginate_by = PAGE
    paginator_class = CappedPaginator
    sorts: dict[str, tuple[str | OrderBy, ...]] = {}
    table_template = ""

    def get_template_names(self) -> list[str]:
        return [self.table_template] if wants_fragment(self.request) else super().get_template_names()

    def get_queryset(self) -> Any:
        found = self.objects()
        if self.text:
            found = self.search(found, self.text)
        return self.narrow(found).order_by(*self.sorts[self.sort])

    def objects(self) -> Any:
        """Return all that is listed here, as a queryset."""
        return super().get_queryset()

    def search(self, queryset: Any, text: str) -> Any:
        """Return those of the queryset that `text` finds."""
        raise NotImplementedError

    def narrow(self, queryset: Any) -> Any:
        """Narrow the queryset by what else the address says."""
        return queryset

    @cached_property
    def text(self) -> str:
        """Return what is searched for, at most 200 characters."""
        return self.request.GET.get("q", "").replace("\x00", "").strip()[:200]

    @cached_property
    def sort(self) -> str:
        """Return the key of `sorts` that was asked for, or the first."""
        asked = self.request.GET.get("sort", "")
        return asked if asked in self.sorts else next(iter(self.sorts))

    def paginate_queryset(self, queryset: Any, page_size: int) -> Any:
        """Cut it into pages. A page beyond the last, or none at all, is the nearest there is."""
        page = self.get_paginator(queryset, page_size).get_page(self.request.GET.get(self.page_kwarg))
        return page.paginator, page, page.object_list, page.has_other_pages()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_own = access.may_own(self.request.user)
        return super().get_context_data(text=self.text, sort=self.sort, may_own=may_own, **kwargs)


class ListPage(TablePage):
    """Show one's own objects, and those that were shared with one.

    Only these or those if the address says so (`whose`), whatever else one may see.
    """

    def objects(self) -> Any:
        found = self.model.objects.own_or_shared(self.request.user)
        if self.whose == "own":
            found = found.filter(owner=self.request.user)
        elif self.whose == "shared":
            found = found.exclude(owner=self.request.user)
        return found

    @cached_property
    def whose(self) -> str:
        """Return “own”, “shared”, or nothing for both."""
        asked = self.request.GET.get("whose", "")
        return asked if asked in ("own", "shared") else ""

    @cached_property
    def has_shared(self) -> bool:
        """Whether something of this kind was shared with the reader."""
        shareable = access.grants_on(self.model) is not None
        everything = self.model.objects.own_or_shared(self.request.user)
        return shareable and bool(everything.exclude(owner=self.request.user).exists())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(whose=self.whose, has_shared=self.has_shared, **kwargs)


class FormPage(OwnersPage):
    """Save by the form's verb. What it refuses is said beside the fields, and what was typed stays."""

    request: HttpRequest
    object: Any

    def get_form_kwargs(self) -> dict[str, Any]:
        user, address = asked_by(self.request)
        return {**super().get_form_kwargs(), "owner": user, "from_address": address}  # type: ignore[misc]

    def form_valid(self, form: VerbForm) -> HttpResponse:
        try:
            return HttpResponseRedirect(self.saved(form))
        except ValidationError as refusal:
            form.refuse(refusal)
            return self.form_invalid(form)  # type: ignore[attr-defined,no-any-return]

    def saved(self, form: VerbForm) -> str:
        """Save, and return the address of what to look at next. Raises ValidationError."""
        self.object = form.save()
        messages.success(self.request, self.said(self.object))
        return str(self.get_success_url())  # type: ignore[attr-defined]

    def said(self, obj: Any) -> str:
        """Return what is said when it is saved, on the page one comes to."""
        return self.success(obj)

    def success(self, obj: Any) -> str:
        """Return what is said when it is saved."""
        raise NotImplementedError


class CreatePage(FormPage, CreateView):
    """Make an object, and of one form only one, however often its button is pressed."""

    def saved(self, form: VerbForm) -> str:
        save = super().saved
        user: Any = self.request.user
        return run_once(user, self._key(form.cleaned_data["form_key"]), lambda: save(form)).address

    def said(self, obj: Any) -> str:
        return onboarding.and_next(cast(User, self.request.user), self.success(obj))

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        form.fields["form_key"] = IdempotencyKeyField()
        return form

    def _key(self, form_key: uuid.UUID) -> uuid.UUID:
        """Return a key of the form and what stands in it: who goes back and sends it with something else means another
        object.
        """
        sent = [(name, values) for name, values in self.request.POST.lists() if name != "csrfmiddlewaretoken"]
        uploaded: Any = self.request.FILES
        files = [(name, file.name, file.size) for name, file in uploaded.items()]
        return uuid.uuid5(form_key, repr((self.request.path, sorted(sent), sorted(files))))


class ChangePage(Visible, FormPage, UpdateView):
    """Change an object."""

    action = "change"


class DetailPage(Visible, DetailView):
    """Show an object."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_change = access.may(self.request.user, "change", self.object)
        may_delete = access.may(self.request.user, "delete", self.object)
        return super().get_context_data(
            may_change=may_change,
            may_delete=may_delete,
            may_own=access.may_own(self.request.user),
            may_share=access.may_share(self.request.user, self.object),
            **kwargs,
        )


class DeletePage(Visible, OwnersPage, DeleteView):
    """Ask, and delete by a verb. A refusal is said on the page that asks."""

    action = "delete"
    template_name = "delete.html"
    what_goes: Any = ""

    def form_valid(self, form: BaseForm) -> HttpResponse:
        try:
            said = self.delete_by_verb(self.object)
        except ValidationError as refusal:
            form.add_error(None, refusal)
            return self.form_invalid(form)
        messages.success(self.request, said)
        return HttpResponseRedirect(str(self.get_success_url()))

    def get_success_url(self) -> str:
        return reverse(f"{self.room}:list")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(back=self.address_of(self.object), what_goes=self.what_goes, **kwargs)

    def delete_by_verb(self, obj: Any) -> str:
        """Delete it, and return what is said then. Raises ValidationError."""
        raise NotImplementedError


class ActionPage(Visible, OwnersPage):
    """Act on an object when its button is pressed (POST), and go back to where it is seen."""

    action: access.Action = "change"
    http_method_names = ["post", "get"]
    kwargs: dict[str, Any]

    def get_object(self, queryset: Any = None) -> Any:
        obj = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        if obj is None or not access.may(self.request.user, self.action, obj):
            raise Http404
        return obj

    def get(self, request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        """Go back, and do nothing: it is where one lands who signed in again to press the button."""
        return HttpResponseRedirect(self.address_of(self.get_object()))

    def post(self, request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        obj = self.get_object()
        try:
            messages.success(request, self.act(obj))
        except ValidationError as refusal:
            messages.error(request, " ".join(refusal.messages))
        return HttpResponseRedirect(self.back(obj))

    def act(self, obj: Any) -> str:
        """Do it, and return what is said then. Raises ValidationError."""
        raise NotImplementedError

    def back(self, obj: Any) -> str:
        """Return the address of what to look at next."""
        return self.address_of(obj)


class IdempotencyKeyField(forms.UUIDField):
    """The hidden key that tells a form's second submission from another form's first.

    Where it was lost a new one is made: its form is sent once all the same, only not told from itself.
    """

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(initial=uuid.uuid4)

    def clean(self, value: Any) -> Any:
        try:
            return super().clean(value)
        except ValidationError:
            return uuid.uuid4()


def has_rooms(user: Any) -> bool:
    """Say whether there is anything for the user in the rooms of those who own objects.

    Managers own nothing, and few have something from before, or something that was shared with them: theirs is the
    panel.
    """
    if access.may_own(user) or not access.may_supervise(user):
        return True
    rooms = (Mailing, Message, ClientList, Client)
    return any(access.own_or_shared(user, model.objects.all()).exists() for model in rooms)


def number(text: str | None) -> int:
    """Return the id that an address names; 0, which nothing has, where it names none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def asked_by(request: HttpRequest) -> Asked:
    """Return whom the audit log names, and the IP address it was asked from."""
    return Asked(cast(User, request.user), str(get_adapter(request).get_client_ip(request)))
