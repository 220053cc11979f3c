"""Forms that are sent twice, by a double click, a second tab or a reloaded page: what they create is created once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from vestnik.accounts.models import User

KEPT = timedelta(days=1)
"""How long a form that was sent once may be open, and still not create its object again."""


class Submission(models.Model):
    """A form with this key that a user sent, and where it led."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    key = models.UUIDField()  # made with the form, one for each time it is shown
    # A URL's path, or a run's number (verbs.try_again); empty until the transaction ends.
    address = models.CharField(max_length=2000, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("submission")
        verbose_name_plural = _("submissions")
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="submission_once")]
        # Pruning: what is old.
        indexes = [models.Index(fields=["at"], name="submission_at")]

    def __str__(self) -> str:
        return f"{self.user_id}/{self.key}"


class Outcome(NamedTuple):
    """What came of a form."""

    address: str
    """Where it led, when it was sent first: what `do` returned."""
    is_first: bool
    """Whether this call did it."""


def run_once(user: User, key: uuid.UUID, do: Callable[[], str]) -> Outcome:
    """Do what the user's form asks for, unless it was sent before; return where it led.

    `do` creates an object and returns what leads to it. If it raises, nothing of it stays, and the form can be sent
    again. A form that is sent a second time while the first is at work waits for it: the unique index sees to that.
    """
    with transaction.atomic():
        if _is_first(user, key):
            address = do()
            Submission.objects.filter(user=user, key=key).update(address=address)
            return Outcome(address, True)
    return Outcome(Submission.objects.values_list("address", flat=True).get(user=user, key=key), False)


def prune() -> None:
    """Delete submissions of forms that are older than KEPT."""
    Submission.objects.filter(at__lt=Now() - KEPT).delete()


def _is_first(user: User, key: uuid.UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Submission._meta.db_table} (user_id, key, address) VALUES (%s, %s, '')"
            " ON CONFLICT (user_id, key) DO NOTHING",
            [user.pk, key],
        )
        return bool(cursor.rowcount)
