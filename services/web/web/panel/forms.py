"""What the panel asks: why something is done, and which mailings are to be seen."""

from datetime import date

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from vestnik.mailings.models import FIRST_YEAR, LAST_YEAR, Mailing

HELD = [
    ("off", _("switched off")),
    ("paused", _("paused")),
    ("blocked", _("of blocked users")),
    ("free", _("neither")),
]


class ReasonForm(forms.Form):
    """How long it may be is the verb's to say: a browser would cut what is pasted without a word."""

    reason = forms.CharField(
        label=_("Reason"),
        widget=forms.Textarea({"rows": 3}),
        help_text=_("The owner reads it, and it stays in the audit log."),
    )


SELECT = {"class": "form-select w-auto flex-fill flex-md-grow-0"}
DAY = forms.DateInput({"type": "date", "class": "form-control"}, "%Y-%m-%d")
DAYS = [MinValueValidator(date(FIRST_YEAR, 1, 1)), MaxValueValidator(date(LAST_YEAR, 12, 31))]


class MailingFilter(forms.Form):
    """What narrows the list of mailings. What makes no sense narrows nothing."""

    status = forms.ChoiceField(
        required=False,
        choices=[("", _("Any status")), *Mailing.Status.choices],
        widget=forms.Select({**SELECT, "aria-label": _("Status")}),
    )
    held = forms.ChoiceField(
        required=False,
        choices=[("", _("Held or not")), *HELD],
        widget=forms.Select({**SELECT, "aria-label": _("Held")}),
    )
    since = forms.DateField(label=_("On or after"), required=False, widget=DAY, validators=DAYS)
    until = forms.DateField(label=_("On or before"), required=False, widget=DAY, validators=DAYS)
    owner = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)
