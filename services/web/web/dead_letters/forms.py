from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from vestnik.mailings.ledger.causes import Cause
from web.pages import IdempotencyKeyField, number


class BulkActionForm(forms.Form):
    """Which dead letters something is done to: those selected, the one whose button was pressed, or all of a cause."""

    cause = forms.CharField()
    all = forms.BooleanField(required=False)
    form_key = IdempotencyKeyField()

    def clean_cause(self) -> Cause:
        cause = Cause.of(self.cleaned_data["cause"])
        if cause is None:
            raise ValidationError("")
        return cause

    def clean(self) -> dict[str, Any]:
        data: Any = self.data
        if "cause" not in self.cleaned_data:
            raise ValidationError(_("This button was not pressed on its page; try again from there."))
        selected = data.getlist("only") or data.getlist("letter")
        ids = [pk for pk in map(number, selected) if pk]
        if not ids and not self.cleaned_data["all"]:
            raise ValidationError(_("Tick the letters first."))
        return {**self.cleaned_data, "which": self.cleaned_data["cause"] if self.cleaned_data["all"] else ids}
