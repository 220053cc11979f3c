"""The forms of a sender and of a domain."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from vestnik import addresses
from vestnik.senders import verbs
from vestnik.senders.models import DOMAIN_LENGTH, Domain, Sender
from web.forms import ObjectForm, VerbForm


class SenderForm(ObjectForm):
    about_all = "address"
    reply_to = forms.ChoiceField(
        label=_("Answers go to"), required=False, help_text=_("To addresses that you have confirmed, and to no others.")
    )

    class Meta:
        model = Sender
        fields = ("address", "name", "reply_to")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sender: Sender = self.instance
        if sender.pk:
            del self.fields["address"]  # another address is another sender
        known = verbs.confirmed_addresses(sender.owner)
        if sender.reply_to and sender.reply_to not in known:
            known.append(sender.reply_to)
        choices = [(address, addresses.shown(address)) for address in known if address != sender.address]
        self.fields["reply_to"].choices = [("", _("the same address")), *choices]  # type: ignore[attr-defined]
        self.fields["name"].widget.attrs["placeholder"] = sender.owner.get_full_name()

    def by_verb(self) -> Sender:
        return verbs.save_sender(self.instance, self.cleaned_data.get("seen"), self.from_address)


class DomainForm(VerbForm):
    about_all = "domain"
    domain = forms.CharField(
        label=_("Domain"), max_length=2 * DOMAIN_LENGTH, help_text=_("What stands after the @ of your addresses.")
    )

    class Meta:
        model = Domain
        fields = ()

    def by_verb(self) -> Domain:
        return verbs.add_domain(self.owner, self.cleaned_data["domain"])


class InstallationsDomainForm(DomainForm):
    """The same, for the whole installation."""

    def by_verb(self) -> Domain:
        return verbs.domain_of_installation(self.cleaned_data["domain"])
