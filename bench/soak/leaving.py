"""People who unsubscribe while everything dies around them, and what was in hand for them at the answer."""

from __future__ import annotations

import random

OFTEN = 0.3
"""Of the looks, those at which somebody leaves."""


class Leavers:
    """Lets somebody leave now and then, by the link of a letter that waits for them."""

    def __init__(self, dice: random.Random) -> None:
        self.claims: dict[int, int] = {}
        """Letters that were not over when their reader had stopped them, and how often they had been claimed."""
        self.number = 0
        self._dice = dice

    def maybe_one(self) -> None:
        """Let somebody leave, or nobody. Raises django.db.Error while the database is away."""
        from vestnik import unsubscribing
        from vestnik.mailings import unsubscribe_links
        from vestnik.mailings.ledger.models import Delivery, DeliveryState, RunState

        if self._dice.random() > OFTEN:
            return
        waiting = Delivery.objects.filter(run__state=RunState.OPEN, state=DeliveryState.QUEUED)
        ends = waiting.order_by("pk").values_list("pk", flat=True)
        first, last = ends.first(), ends.last()
        if first is None or last is None:
            return
        chosen = waiting.filter(pk__gte=self._dice.randint(first, last)).order_by("pk").first()
        if chosen is None:
            return
        reader = unsubscribing.subscription(unsubscribe_links.signer()(chosen.pk).rpartition("/")[2])
        assert reader is not None
        unsubscribing.stop_all(reader)
        self.number += 1
        self.claims |= later_claims(reader.owner_id, chosen.client_id)


def later_claims(owner_id: int, client_id: int) -> dict[int, int]:
    """Return the owner's letters to this client, and how often each has been claimed: none may be claimed again."""
    from vestnik.mailings.ledger.models import Delivery

    theirs = Delivery.objects.filter(run__owner_id=owner_id, client_id=client_id)
    return dict(theirs.values_list("pk", "claim"))
