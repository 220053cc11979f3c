"""Forms that are saved by the core's verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

if TYPE_CHECKING:
    from vestnik.accounts.models import User


class VerbForm(forms.ModelForm):
    """A model's form for its owner. The verb checks the whole; what it refuses is said beside the field it is about.

    `about_all` names the field beside which refusals stand that are about none.
    """

    about_all = ""

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner: User = owner
        if self.instance.pk is None:
            self.instance.owner = owner

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
