"""The form by which addresses are suppressed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from vestnik import addresses
from vestnik.clients import suppressions
from vestnik.clients.suppressions import SuppressionReason
from web.forms import MOST_ADDRESSES, addresses_in, cut_what_is_far_too_long

if TYPE_CHECKING:
    from vestnik.accounts.models import User

NAMED = 10
"""Wrong addresses that are named."""
REASONS = [
    (SuppressionReason.BY_HAND.value, _("I do not want to write to these addresses")),
    (SuppressionReason.IMPORTED.value, _("They unsubscribed elsewhere")),
]


class SuppressForm(forms.Form):
    addresses = forms.CharField(
        label=_("E-mail addresses"),
        max_length=300_000,
        widget=forms.Textarea({"rows": 10, "class": "font-monospace"}),
        help_text=_(
            "Separated by commas, spaces or line breaks, at most %(limit)d. They need not be among your clients."
        )
        % {"limit": MOST_ADDRESSES},
    )
    reason = forms.ChoiceField(label=_("Why"), choices=REASONS, widget=forms.RadioSelect, initial=REASONS[0][0])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cut_what_is_far_too_long(self)

    def clean_addresses(self) -> list[str]:
        found, wrong = set(), []
        for word in addresses_in(self.cleaned_data["addresses"]):
            try:
                found.add(addresses.normalise(word))
            except addresses.InvalidAddress:
                wrong.append(word[: addresses.MAX_LENGTH])
        if wrong:
            named = ", ".join(wrong[:NAMED]) + (" …" if len(wrong) > NAMED else "")
            raise ValidationError(_("Nothing was added. Not valid addresses: %(named)s."), params={"named": named})
        return sorted(found)

    def save(self, owner: User) -> int:
        """Suppress them for the owner; return how many were not suppressed before."""
        reason = SuppressionReason(self.cleaned_data["reason"])
        return suppressions.suppress(owner.pk, self.cleaned_data["addresses"], reason)
