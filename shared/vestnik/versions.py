"""Two who change one thing at once: the second learns of it before theirs takes the place of what the first saved."""

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

Thing = TypeVar("Thing", bound=models.Model)


def refuse_if_changed(kept: Any, seen: datetime | None) -> None:
    """Raises ValidationError if the thing, as it is kept, is not the one that was `updated_at` that moment."""
    if seen and kept.updated_at != seen:
        moment = date(localtime(kept.updated_at), "SHORT_DATETIME_FORMAT")
        raise ValidationError(
            _(
                "Somebody saved this while you were writing (%(moment)s). Nothing of yours is lost: look at theirs"
                " in another tab, and save again if yours is to take its place."
            ),
            code=CHANGED,
            params={"moment": moment},
        )


def locked(thing: Thing, seen: datetime | None = None) -> Thing | None:
    """The thing as it is kept, which nobody else changes or deletes until the transaction ends; None if it is new.

    Raises ValidationError if it was deleted, or is not the one that was `updated_at` the moment `seen`.
    """
    if thing.pk is None:
        return None
    kept = type(thing)._default_manager.select_for_update(no_key=True).filter(pk=thing.pk).first()
    if kept is None:
        raise ValidationError(_("This was deleted while you were writing."), code=GONE)
    refuse_if_changed(kept, seen)
    return kept
