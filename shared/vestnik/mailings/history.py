"""What a client was sent."""

from vestnik.clients.models import Client
from vestnik.mailings.ledger.models import Delivery, Run

RUNS = 50
"""How many of the owner's latest runs are looked through: letters are found by their run and their client."""


def letters_to(client: Client) -> list[Delivery]:
    """Return the letters to the client in the owner's latest RUNS runs, with runs and mailings, the latest first."""
    runs = Run.objects.filter(owner_id=client.owner_id, total__gt=0).order_by("-opened_at")
    return list(
        Delivery.objects.filter(run__in=list(runs.values_list("pk", flat=True)[:RUNS]), client_id=client.pk)
        .select_related("run__mailing")
        .defer("run__html", "run__text")
        .order_by("-run_id")
    )
