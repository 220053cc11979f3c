"""The forms of a list: its name, and who is added to it."""

from django import forms
from django.utils.translation import gettext_lazy as _

from vestnik.clients import verbs
from vestnik.clients.models import ClientList
from web.forms import ObjectForm, VerbForm, addresses_in


class ListForm(ObjectForm):
    about_all = "name"

    class Meta:
        model = ClientList
        fields = ("name",)

    def by_verb(self) -> ClientList:
        return verbs.save_list(self.instance, self.cleaned_data.get("seen"))


class MembersForm(VerbForm):
    """Addresses of clients who are put on the list."""

    about_all = "addresses"
    addresses = forms.CharField(
        label=_("E-mail addresses of clients"),
        max_length=100_000,
        widget=forms.Textarea({"rows": 10, "class": "font-monospace"}),
        help_text=_("One a line. They must be among your clients already; to add new ones, import a file."),
    )
    added = 0

    class Meta:
        model = ClientList
        fields = ()

    def clean_addresses(self) -> list[str]:
        return addresses_in(self.cleaned_data["addresses"])

    def by_verb(self) -> ClientList:
        client_list: ClientList = self.instance
        self.added = verbs.add_addresses_to_list(client_list, self.cleaned_data["addresses"])
        return client_list
