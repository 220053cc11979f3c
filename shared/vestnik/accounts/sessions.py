"""Sessions of signed-in people, in the database."""

from django.contrib.sessions.models import Session
from django.db.models.functions import Now

AT_ONCE = 10_000
"""Sessions that one statement deletes: the tick comes again in a minute."""


def prune() -> None:
    """Delete expired sessions, AT_ONCE at most; Django itself only ignores them."""
    old = Session.objects.filter(expire_date__lt=Now()).order_by("expire_date").values("pk")[:AT_ONCE]
    Session.objects.filter(pk__in=old).delete()
