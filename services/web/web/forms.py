"""Forms that are saved by the core's verbs."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from vestnik import versions

if TYPE_CHECKING:
    from vestnik.accounts.models import User


MOST_ADDRESSES = 3_000
"""Addresses that one field may hold: each takes a moment, and more are better imported."""

_FAR_TOO_LONG = 10
"""How many times as long as it may be a text is that is not shown again as a whole."""


def addresses_in(text: str) -> list[str]:
    """Return what stands in a text between commas, semicolons, spaces and line breaks, each once.

    Raises ValidationError where that is too much.
    """
    written = list(dict.fromkeys(word for word in re.split(r"[\s,;]+", text) if word))
    if len(written) > MOST_ADDRESSES:
        raise ValidationError(
            _("These are %(number)d addresses; at most %(limit)d are taken at once. Import a file of them instead."),
            params={"number": len(written), "limit": MOST_ADDRESSES},
        )
    return written


def cut_what_is_far_too_long(form: forms.BaseForm) -> None:
    """Refuse what is many times longer than it may be by its beginning; the rest is neither looked at nor shown."""
    if not form.is_bound:
        return
    for name, field in form.fields.items():
        most = _FAR_TOO_LONG * (getattr(field, "max_length", None) or 0)
        typed = form.data.get(form.add_prefix(name)) or ""
        if most and len(typed) > most:
            form.data = cast(QueryDict, form.data).copy()
            form.data[form.add_prefix(name)] = typed[:most]


class SeenForm(forms.ModelForm):
    """A form that knows which version of its object it was filled with: `seen`, for the verb to look at, too."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen"] = self.instance.updated_at.isoformat()

    def clean_seen(self) -> datetime | None:
        """Return when the object was saved that is changed here. Who was told of a later one may save again."""
        try:
            seen = datetime.fromisoformat(self.cleaned_data["seen"])
        except ValueError:
            return None
        if self.instance.pk:
            try:
                versions.refuse_if_changed(self.instance, seen)
            except ValidationError as refusal:
                self.add_error(None, refusal)
                self.see(self.instance.updated_at)
        return seen

    def see(self, moment: datetime) -> None:
        """Let the form, as it is shown again, know of the version of that moment."""
        self.data = cast(QueryDict, self.data).copy()
        self.data["seen"] = moment.isoformat()


class VerbForm(forms.ModelForm):
    """A model's form for its owner. The verb checks the whole; what it refuses is said beside the field it is about.

    `about_all` names the field beside which refusals stand that are about none. `from_address` is the IP address that
    the form came from.
    """

    about_all = ""

    def __init__(self, *args: Any, owner: User, from_address: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner: User = owner
        self.from_address = from_address
        if self.instance.pk is None:
            self.instance.owner = owner
        cut_what_is_far_too_long(self)

    def save(self, commit: bool = True) -> Any:
        """Save by the verb; raises ValidationError, and nothing is saved then."""
        return self.by_verb()

    def by_verb(self) -> Any:
        """Call the core's verb with what was typed."""
        raise NotImplementedError

    def refuse(self, refusal: ValidationError) -> None:
        """Say what the verb refused."""
        for field, errors in refusal.update_error_dict({}).items():
            if field == NON_FIELD_ERRORS and self.about_all:
                field = self.about_all
            self.add_error(field if field in self.fields else None, errors)


class ObjectForm(SeenForm, VerbForm):
    """The form of an object that others may be changing, too."""

    def refuse(self, refusal: ValidationError) -> None:
        super().refuse(refusal)
        if getattr(refusal, "code", None) == versions.CHANGED:  # at the last moment: the form had seen nothing yet
            kept = type(self.instance)._default_manager.filter(pk=self.instance.pk).first()
            if kept is not None:
                self.see(kept.updated_at)
