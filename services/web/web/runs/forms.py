from django import forms

from vestnik.mailings.ledger.models import DeliveryState


class TryAgainForm(forms.Form):
    """Which letters of a run are to be tried again: all in one state, or of these one."""

    state = forms.ChoiceField(choices=[(state, state) for state in (DeliveryState.FAILED, DeliveryState.UNKNOWN)])
    delivery = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    request_id = forms.UUIDField()
