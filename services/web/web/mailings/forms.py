"""The form of a mailing: its times are the wall clock of the zone it names."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from vestnik import access, addresses, clock, zones
from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList
from vestnik.mailings import calendar, verbs
from vestnik.mailings.ledger.models import MailingKind
from vestnik.mailings.models import Mailing, Message
from vestnik.senders import standing
from vestnik.senders.models import Sender
from web.forms import ObjectForm, addresses_in

CLOCK = "%Y-%m-%dT%H:%M"


class WallClockField(forms.DateTimeField):
    """A date and time without a zone: another field says which one is meant."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=CLOCK)

    def to_python(self, value: Any) -> Any:
        moment = forms.Field.to_python(self, value)
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment.strip()) if moment.strip() else None
            except ValueError:
                raise ValidationError(self.error_messages["invalid"], code="invalid") from None
        return moment.replace(tzinfo=None) if moment else None


class AddressesField(forms.CharField):
    """Addresses of one's own clients, between commas, spaces or line breaks; its value is those clients."""

    widget = forms.Textarea({"rows": 3, "placeholder": "anna@example.org, boris@example.org"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=100_000, **kwargs)
        self.owner: User | None = None

    def clean(self, value: Any) -> Any:
        wanted = list(dict.fromkeys(map(_normalised, addresses_in(super().clean(value)))))
        found = {client.email: client for client in Client.objects.filter(owner=self.owner, email__in=wanted)}
        if strangers := [address for address in wanted if address not in found]:
            named = ", ".join(map(addresses.shown, strangers[:5])) + (" …" if len(strangers) > 5 else "")
            raise ValidationError(_("None of your clients: %(named)s. Add them first."), params={"named": named})
        return list(found.values())


def _normalised(word: str) -> str:
    try:
        return addresses.normalise(word)
    except addresses.InvalidAddress as error:
        refusal = _("“%(word)s” is not an address: %(reason)s")
        raise ValidationError(refusal, params={"word": word[:100], "reason": error.reason}) from None


class MailingForm(ObjectForm):
    start = WallClockField(label=_("Start"))
    end = WallClockField(label=_("End"), help_text=_("What was not sent by then is not sent late."))
    single = AddressesField(
        label=_("Single clients"), required=False, help_text=_("Addresses of clients beside the lists.")
    )
    time_zone = forms.ChoiceField(label=_("Time zone"))

    class Meta:
        model = Mailing
        fields = ("name", "message", "lists", "sender", "sender_name", "periodicity", "kind")
        widgets = {"lists": forms.CheckboxSelectMultiple, "periodicity": forms.Select, "kind": forms.RadioSelect}

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, owner=owner, **kwargs)
        mailing = self.instance
        self.editor, self.owner = owner, mailing.owner
        self.fields["message"].queryset = self._messages(owner).only("subject").order_by("-updated_at", "-pk")  # type: ignore[attr-defined]
        self.fields["message"].empty_label = _("Choose a message")  # type: ignore[attr-defined]
        self.fields["lists"].queryset = ClientList.objects.filter(owner=self.owner).order_by("name")  # type: ignore[attr-defined]
        self.fields["single"].owner = self.owner  # type: ignore[attr-defined]
        self.fields["time_zone"].choices = zones.choices(mailing.time_zone if mailing.pk else owner.time_zone)  # type: ignore[attr-defined]
        self.fields["sender_name"].widget.attrs["placeholder"] = self.owner.get_full_name()
        if access.may_choose_audience(owner, mailing):
            self._offer_senders()
        else:
            del self.fields["lists"], self.fields["single"], self.fields["sender"]
        if not (mailing.kind == MailingKind.SERVICE or access.may_write_service_letters(owner)):
            del self.fields["kind"]  # of service letters anybody makes a mailing again
        if mailing.pk is None:
            now = clock.now().astimezone(zoneinfo.ZoneInfo(owner.time_zone)).replace(tzinfo=None, second=0)
            defaults = {"start": now, "end": now + timedelta(days=1), "time_zone": owner.time_zone}
            self.initial = {**defaults, **self.initial}
        else:
            self.initial = {**self.initial, **self._written(mailing)}

    def _offer_senders(self) -> None:
        field: Any = self.fields["sender"]
        field.queryset = Sender.objects.filter(owner=self.owner).order_by("address")
        field.empty_label = addresses.shown(settings.MAIL_FROM)
        ready = standing.ready(self.owner)
        not_yet = _("%(sender)s: not yet, until then as above")
        field.label_from_instance = lambda sender: str(sender) if ready.get(sender) else not_yet % {"sender": sender}

    def _messages(self, editor: User) -> QuerySet[Message]:
        """Return what both the mailing's owner and who fills the form in may choose, and what was chosen before."""
        offered = Message.objects.own_or_shared(self.owner)
        if editor != self.owner:
            offered &= Message.objects.visible_to(editor)
        return offered | Message.objects.filter(pk=self.instance.message_id)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        zone = zoneinfo.ZoneInfo(cleaned.get("time_zone") or "UTC")
        if cleaned.get("time_zone"):
            self.instance.time_zone = cleaned["time_zone"]
        before = self.instance.on_the_wall() if self.instance.pk else {}
        for name in ("start", "end"):
            wall: datetime | None = cleaned.get(name)
            # What was not changed stays as it was, to the microsecond.
            if wall is not None and not (before and f"{before[name]:{CLOCK}}" == f"{wall:{CLOCK}}"):
                self._set(name, wall, zone)
        if {"lists", "single"} <= cleaned.keys() and not cleaned["lists"] and not cleaned["single"]:
            if self.fields["lists"].queryset.exists():  # type: ignore[attr-defined]
                self.add_error("lists", _("Choose at least one list, or name single clients."))
            else:
                self.add_error("single", _("Name at least one client."))
        return cleaned

    def by_verb(self) -> Mailing:
        return verbs.save_mailing(
            self.instance,
            lists=self.cleaned_data.get("lists"),
            clients=self.cleaned_data.get("single"),
            by=self.editor,
            seen=self.cleaned_data.get("seen"),
            from_address=self.from_address,
        )

    def _set(self, name: str, wall: datetime, zone: zoneinfo.ZoneInfo) -> None:
        try:
            moment = calendar.of_wall(wall, zone)
        except OverflowError:
            self.add_error(name, _("This is beyond the calendar."))
            return
        if name == "start":
            self.instance.begin_at(moment)
        else:
            self.instance.end = moment.instant

    def _written(self, mailing: Mailing) -> dict[str, Any]:
        single = map(addresses.shown, mailing.clients.order_by("email").values_list("email", flat=True))
        return {**mailing.on_the_wall(), "time_zone": mailing.time_zone, "single": "\n".join(single)}
