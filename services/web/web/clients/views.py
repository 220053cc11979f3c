from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.db.models import F, Func, Prefetch, Q, QuerySet, TextField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from vestnik import addresses, client_deletion
from vestnik.clients import suppressions, verbs
from vestnik.clients.models import Client, ClientList, name_key
from vestnik.mailings import history
from web.clients.forms import ClientForm
from web.pages import ChangePage, CreatePage, DeletePage, DetailPage, ListPage, OwnersPage, number
from web.paging import ExactPaginator
from web.responses import wants_fragment
from web.tables import back_to, csv_table

NAMED = 10
"""How many of the clients that are about to be deleted are named."""


class Clients(ListPage):
    """One's own clients; `list` in the address narrows to those on a list."""

    model = Client
    template_name = "clients/list.html"
    table_template = "clients/_table.html"
    sorts = {
        "name": ("name_key", "pk"),
        "-name": ("-name_key", "-pk"),
        "email": ("email",),
        "-email": ("-email",),
        "-added": ("-pk",),
        "added": ("pk",),
    }

    def get_paginator(self, queryset: Any, per_page: int, *_args: Any, **_options: Any) -> ExactPaginator:
        return ExactPaginator(queryset, per_page, searched=bool(self.text))

    def search(self, queryset: Any, text: str) -> Any:
        found = Q(name_key__contains=name_key(text))
        for form in addresses.sought(text):
            found |= Q(email__contains=form)
        return queryset.filter(found)

    def narrow(self, queryset: Any) -> Any:
        queryset = queryset.filter(owner=self.request.user)
        if self.client_list:
            queryset = queryset.filter(memberships__client_list=self.client_list)
        return queryset.prefetch_related(Prefetch("lists", ClientList.objects.order_by("name")))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(fragment=wants_fragment(self.request), **kwargs)

    @cached_property
    def lists(self) -> list[ClientList]:
        """Return the user's own lists, by name."""
        user: Any = self.request.user
        return list(ClientList.objects.filter(owner=user).order_by("name"))

    @cached_property
    def client_list(self) -> ClientList | None:
        """Return the list that was asked for, if any."""
        asked = self.request.GET.get("list", "")
        chosen = [client_list for client_list in self.lists if str(client_list.pk) == asked]
        if asked and not chosen:
            raise Http404
        return chosen[0] if chosen else None


class ExportClients(Clients):
    """All pages of what was searched for, as a table for spreadsheets that can be imported again."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        found = self.get_queryset().prefetch_related(None)
        keys = Func(F("attributes"), function="jsonb_object_keys", output_field=TextField(), set_returning=True)
        names = sorted(found.order_by().values_list(keys, flat=True).distinct())
        return csv_table("clients", _table(found, names))


class ClientPage(DetailPage):
    """A client, their lists, and the last letters to them."""

    model = Client
    room = "clients"
    template_name = "clients/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        client = self.object
        return super().get_context_data(
            lists=client.lists.order_by("name"),
            letters=history.letters_to(client),
            stops=suppressions.of_address(client.owner_id, client.email),
            **kwargs,
        )


class NewClient(CreatePage):
    """Make a client."""

    form_class = ClientForm
    template_name = "clients/form.html"

    def get_initial(self) -> dict[str, Any]:
        return {"lists": self.request.GET.getlist("list")}

    def get_success_url(self) -> str:
        return reverse("clients:detail", args=[self.object.pk])

    def success(self, obj: Client) -> str:
        return _("The client is added.")


class ChangeClient(ChangePage):
    """Change a client."""

    model = Client
    room = "clients"
    form_class = ClientForm
    template_name = "clients/form.html"

    def get_success_url(self) -> str:
        return self.address_of(self.object)

    def success(self, obj: Client) -> str:
        return _("The client is saved.")


class DeleteClient(DeletePage):
    """Delete a client."""

    model = Client
    room = "clients"
    what_goes = gettext_lazy(
        "The client goes for good, off all lists and mailings. Letters that still wait for them are cancelled; "
        "what was sent stays in the statistics."
    )

    def delete_by_verb(self, obj: Client) -> str:
        client_deletion.delete_clients(obj.owner, [obj])
        return _("The client is deleted.")


class SelectedPage(OwnersPage):
    """Do what a button says to the clients that were selected in a table, and go back to it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.back()  # after signing in again nothing is selected any more

    def back(self) -> HttpResponse:
        """Go back to the table, searched and sorted as it was."""
        return HttpResponseRedirect(back_to(reverse("clients:list"), self.request.POST.get("back")))

    @cached_property
    def selected(self) -> "QuerySet[Client]":
        """Return those of the selected clients that are the user's own."""
        user: Any = self.request.user
        own = Client.objects.visible_to(user).filter(owner=user)
        return own.filter(pk__in=selected(self.request)).order_by("name_key", "pk")


class PutOnList(SelectedPage):
    """Put the selected clients on a list."""

    def post(self, request: HttpRequest) -> HttpResponse:
        lists = ClientList.objects.visible_to(request.user).filter(owner=request.user)  # type: ignore[misc]
        client_list = lists.filter(pk=number(request.POST.get("list"))).first()
        if client_list is None:
            messages.error(request, _("Choose the list they are to be put on."))
            return self.back()
        count = verbs.add_to_list(client_list, self.selected)
        said = ngettext("%(count)d client was put on “%(name)s”.", "%(count)d clients were put on “%(name)s”.", count)
        messages.success(request, said % {"count": count, "name": client_list.name})
        return self.back()


class DeleteClients(SelectedPage):
    """Ask first: the table's button leads here, and this page's own, `sure`, deletes."""

    def post(self, request: HttpRequest) -> HttpResponse:
        clients = list(self.selected)
        if not clients:
            messages.error(request, _("Tick those who are to be deleted."))
            return self.back()
        if "sure" not in request.POST:
            back = request.POST.get("back", "")
            context = {"clients": clients, "named": clients[:NAMED], "more": len(clients[NAMED:]), "back": back}
            context["table"] = back_to(reverse("clients:list"), back)
            return render(request, "clients/delete_many.html", context)
        client_deletion.delete_clients(clients[0].owner, clients)
        said = ngettext("%(count)d client is deleted.", "%(count)d clients are deleted.", len(clients))
        messages.success(request, said % {"count": len(clients)})
        return self.back()


def selected(request: HttpRequest) -> list[int]:
    """Return the ids of the clients that were selected."""
    return [number(pk) for pk in request.POST.getlist("client")]


def _table(clients: Any, names: list[str]) -> Iterator[list[str]]:
    yield ["email", "full_name", "comment", *names]
    rows = clients.values_list("email", "full_name", "comment", "attributes")
    for email, full_name, comment, attributes in rows.iterator():
        yield [addresses.shown(email), full_name, comment, *(attributes.get(name, "") for name in names)]
