"""Figures over everybody, by the tallies."""

from collections.abc import Collection
from datetime import datetime, time
from typing import Any

from django.db.models import Count, Sum
from django.utils import timezone

from vestnik import clock
from vestnik.mailings.ledger.models import Run, RunState, Tally
from vestnik.mailings.models import Mailing


def of_installation() -> dict[str, int]:
    """Mailings, how many runs are open, and letters sent since the reader's midnight."""
    zone: Any = timezone.get_current_timezone()
    midnight = datetime.combine(clock.now().astimezone(zone).date(), time(), zone)
    sent = Tally.objects.filter(hour__gte=midnight).aggregate(sent=Sum("sent"))["sent"]
    return {
        "mailings": Mailing.objects.count(),
        "under_way": Run.objects.filter(state=RunState.OPEN).count(),
        "sent_today": sent or 0,
    }


def of_users(user_ids: Collection[int]) -> tuple[dict[int, int], dict[int, int]]:
    """How many mailings each of these users has, and how many of their letters were ever sent."""
    mailings = Mailing.objects.filter(owner__in=user_ids).values_list("owner").annotate(Count("pk"))
    sent = Tally.objects.filter(run__owner_id__in=user_ids).values_list("run__owner_id").annotate(Sum("sent"))
    return dict(mailings), dict(sent)
