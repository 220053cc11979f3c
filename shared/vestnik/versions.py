"""Two people who change one object at once: the second is told before their version replaces what the first saved."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.template.defaultfilters import date
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

CHANGED, GONE = "changed", "gone"
"""The codes of the refusals."""

Object = TypeVar("Object", bound=models.Model)


def refuse_if_changed(stored: Any, seen: datetime | None) -> None:
    """Raise ValidationError (code CHANGED) if `stored` was saved since `seen`, the `updated_at` that a form showed."""
    if seen and stored.updated_at != seen:
        moment = date(localtime(stored.updated_at), "SHORT_DATETIME_FORMAT")
        raise ValidationError(
            _(
                "Somebody saved this while you were writing (%(moment)s). Nothing of yours is lost: look at theirs"
                " in another tab, and save again if yours is to take its place."
            ),
            code=CHANGED,
            params={"moment": moment},
        )


def locked(obj: Object, seen: datetime | None = None) -> Object | None:
    """Return the object as it is stored, locked against changes until the transaction ends; None if it is new.

    Raises ValidationError if it was deleted (code GONE), or saved since `seen` (code CHANGED).
    """
    if obj.pk is None:
        return None
    stored = type(obj)._default_manager.select_for_update(no_key=True).filter(pk=obj.pk).first()
    if stored is None:
        raise ValidationError(_("This was deleted while you were writing."), code=GONE)
    refuse_if_changed(stored, seen)
    return stored
