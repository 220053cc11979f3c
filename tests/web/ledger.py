"""Runs whose letters have come to their ends, without a dispatcher: rows as its statements would have left them."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from vestnik.clients.models import Client
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Delivery, Run, Tally, Worker
from vestnik.testing.factories import make_mailing

OUTCOMES = {"sent": ("accepted", 250), "failed": ("permanent", 550), "unknown": ("unknown", None)}


def make_run(owner: Any, answer: str = "No such user here", **counts: int) -> Run:
    """A run of a new mailing with so many letters in each state. It is open while some are `queued` or `sending`."""
    settings = {"name": counts.pop("name")} if "name" in counts else {}
    mailing = make_mailing(owner, sum(counts.values()), **settings)
    mailing.next_at = None
    mailing.save()
    run = runs.open_run(mailing, mailing.end, occurrence=mailing.start)
    worker = Worker.objects.create(name="bulk@host", provider="smtp")
    clients = iter(Client.objects.filter(lists__mailings=mailing).order_by("pk"))
    now = timezone.now()
    for state, count in counts.items():
        over = state not in ("queued", "sending")
        made = Delivery.objects.bulk_create(
            Delivery(
                run=run,
                client_id=client.pk,
                address=client.email,
                state=state,
                due_at=now if state == "queued" else None,
                worker=worker if state == "sending" else None,
                claim=1,
                attempts=int(state in OUTCOMES),
                settled_at=now if over else None,
            )
            for _, client in zip(range(count), clients, strict=False)
        )
        if state in OUTCOMES:
            outcome, code = OUTCOMES[state]
            Attempt.objects.bulk_create(
                Attempt(
                    delivery=delivery, claim=1, outcome=outcome, charged=True, code=code, answer=answer, began_at=now,
                    duration=0.2, worker=worker,
                )
                for delivery in made
            )  # fmt: skip
    ends = {state: count for state, count in counts.items() if state not in ("queued", "sending")}
    Tally.objects.create(
        run=run,
        worker_id=worker.pk,
        hour=now.replace(minute=0, second=0, microsecond=0),
        attempts=sum(ends.get(state, 0) for state in OUTCOMES),
        seconds=2.0 * ends.get("sent", 0),
        within_minute=ends.get("sent", 0),
        within_hour=ends.get("sent", 0),
        **ends,
    )
    run.total, run.filled_at = sum(counts.values()), now - timedelta(seconds=3)
    if ends == counts:
        run.state, run.finished_at = "finished", now
    run.save()
    return run
