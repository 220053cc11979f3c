from typing import Any

from django.contrib import messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vestnik import access
from vestnik.clients import verbs
from vestnik.clients.models import Client, ClientList, Membership
from vestnik.mailings.models import Mailing
from web.clients.views import Clients, selected
from web.lists.forms import ListForm, MembersForm
from web.pages import ActionPage, ChangePage, CreatePage, DeletePage, ListPage, Visible
from web.tables import back_to


def with_sizes(lists: "QuerySet[ClientList]") -> Any:
    """Annotate the lists with `size`: how many clients are on each. Only those that are shown are counted."""
    sizes = Membership.objects.filter(client_list=OuterRef("pk")).order_by().values("client_list")
    return lists.annotate(size=Coalesce(Subquery(sizes.annotate(number=Count("pk")).values("number")), 0))


class Lists(ListPage):
    """One's lists of clients, and those that were shared with one."""

    model = ClientList
    template_name = "lists/list.html"
    table_template = "lists/_table.html"
    sorts = {
        "name": ("name", "pk"),
        "-name": ("-name", "-pk"),
        "-added": ("-pk",),
        "added": ("pk",),
    }

    def search(self, queryset: Any, text: str) -> Any:
        return queryset.filter(name__icontains=text)

    def narrow(self, queryset: Any) -> Any:
        return with_sizes(queryset.select_related("owner"))


class Members(Clients):
    """A list with the clients on it, as far as its reader may see clients."""

    template_name = "lists/detail.html"
    table_template = "lists/_members.html"

    def narrow(self, queryset: Any) -> Any:
        return queryset.filter(memberships__client_list=self.client_list)

    @cached_property
    def client_list(self) -> ClientList:
        """Return the list, with its size. Raises Http404 where it does not exist for who asks."""
        user: Any = self.request.user
        found: ClientList = get_object_or_404(with_sizes(ClientList.objects.visible_to(user)), pk=self.kwargs["pk"])
        return found

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user, found = self.request.user, self.client_list
        open_to = access.may_see_addresses(user, found.owner_id)
        return super().get_context_data(
            may_change=open_to and access.may(user, "change", found),
            may_delete=open_to and access.may(user, "delete", found),
            may_share=access.may_share(user, found),
            **kwargs,
        )


class NewList(CreatePage):
    """Make a list."""

    form_class = ListForm
    template_name = "lists/form.html"

    def get_success_url(self) -> str:
        return reverse("lists:detail", args=[self.object.pk])

    def success(self, obj: ClientList) -> str:
        return _("The list is there, and still empty.")


class Whole(Visible):
    """Of lists, those that their reader sees whole. Of one that is only shared, the rest is its owner's business: who
    may add an address to it would learn who is among the owner's clients.
    """

    def get_object(self, queryset: Any = None) -> Any:
        client_list = super().get_object(queryset)
        if not access.may_see_addresses(self.request.user, client_list.owner_id):
            raise Http404
        return client_list


class ChangeList(Whole, ChangePage):
    """Change a list's name."""

    model = ClientList
    room = "lists"
    form_class = ListForm
    template_name = "lists/form.html"

    def get_success_url(self) -> str:
        return self.address_of(self.object)

    def success(self, obj: ClientList) -> str:
        return _("The list is saved.")


class AddMembers(Whole, ChangePage):
    """Put clients on a list by their addresses."""

    model = ClientList
    room = "lists"
    form_class = MembersForm
    template_name = "lists/add.html"

    def saved(self, form: Any) -> str:
        client_list = form.save()
        said = ngettext("%(count)d client is new on the list.", "%(count)d clients are new on the list.", form.added)
        messages.success(self.request, said % {"count": form.added})
        return self.address_of(client_list)


class TakeOff(Whole, ActionPage):
    """Take the selected clients off a list."""

    model = ClientList
    room = "lists"

    def act(self, obj: ClientList) -> str:
        user: Any = self.request.user
        clients = Client.objects.visible_to(user).filter(memberships__client_list=obj, pk__in=selected(self.request))
        count = verbs.remove_from_list(obj, clients)
        return ngettext(
            "%(count)d client was taken off the list.", "%(count)d clients were taken off the list.", count
        ) % {"count": count}

    def back(self, obj: ClientList) -> str:
        return back_to(self.address_of(obj), self.request.POST.get("back"))


class DeleteList(Whole, DeletePage):
    """Delete a list."""

    model = ClientList
    room = "lists"

    @cached_property
    def what_goes(self) -> str:
        planned = Mailing.objects.visible_to(self.request.user).filter(lists=self.object, next_at__isnull=False)
        goes = {"size": self.object.memberships.count(), "mailings": planned.order_by("name")}
        return render_to_string("lists/_what_goes.html", goes)

    def delete_by_verb(self, obj: ClientList) -> str:
        verbs.delete_list(obj)
        return _("The list is deleted. Its clients are still there.")
