"""Figures over everybody, by the tallies."""

from collections.abc import Collection
from datetime import datetime, time
from typing import Any, NamedTuple

from django.db.models import Count, Sum
from django.utils import timezone

from vestnik import clock
from vestnik.mailings.ledger.models import Run, RunState, Tally
from vestnik.mailings.models import Mailing


class OfUsers(NamedTuple):
    """Mailings, and letters that were sent: their numbers by the ids of users who have any."""

    mailings: dict[int, int]
    sent: dict[int, int]


def of_installation() -> dict[str, int]:
    """Count mailings, open runs (`under_way`), and letters sent since the reader's midnight (`sent_today`)."""
    zone: Any = timezone.get_current_timezone()
    midnight = datetime.combine(clock.now().astimezone(zone).date(), time(), zone)
    sent = Tally.objects.filter(hour__gte=midnight).aggregate(sent=Sum("sent"))["sent"]
    return {
        "mailings": Mailing.objects.count(),
        "under_way": Run.objects.filter(state=RunState.OPEN).count(),
        "sent_today": sent or 0,
    }


def of_users(user_ids: Collection[int]) -> OfUsers:
    """Count the mailings that each of these users has, and the letters of theirs that were ever sent."""
    mailings = Mailing.objects.filter(owner__in=user_ids).values_list("owner").annotate(Count("pk"))
    sent = Tally.objects.filter(run__owner_id__in=user_ids).values_list("run__owner_id").annotate(Sum("sent"))
    return OfUsers(dict(mailings), dict(sent))
