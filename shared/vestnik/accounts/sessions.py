"""Sessions of those who signed in, as the database keeps them."""

from django.contrib.sessions.models import Session
from django.db.models.functions import Now

AT_ONCE = 10_000
"""So many in one statement: the tick comes again in a minute."""


def prune() -> None:
    """Forget sessions that have run out; Django itself only does not believe them any more."""
    old = Session.objects.filter(expire_date__lt=Now()).order_by("expire_date").values("pk")[:AT_ONCE]
    Session.objects.filter(pk__in=old).delete()
