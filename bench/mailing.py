"""A mailing end to end: created, launched by the workers, every letter at the sink, the ledger settled."""

import statistics
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from bench import wire
from bench.installation import installation

if TYPE_CHECKING:
    from vestnik.accounts.models import User

LETTERS = 20_000
ROUNDS = 3
CONNECTIONS = 50
"""Of each of the two bulk processes: together as many sessions as smtp-source has."""


def signed(letters: int = LETTERS) -> None:
    """Print the same for letters that are signed by two keys (DKIM): what the signatures cost."""
    run(letters, ROUNDS, signing=True)


def run(letters: int = LETTERS, rounds: int = ROUNDS, signing: bool = False) -> None:
    """Print the rates of paired runs, and the median of their ratios; of letters with signatures if `signing`."""
    with wire.sink() as port, installation(f"smtp://{wire.HOST}:{port}?connections={CONNECTIONS}"):
        owner = make_owner(letters)
        if signing:
            _make_keys()
        send(owner, "a few")
        ratios = []
        for _ in range(rounds):
            limit = wire.source(port, letters, 2 * CONNECTIONS)
            rate, first = send(owner)
            ratios.append(rate / limit)
            print(
                f"{letters} letters of 4 kB: {rate:,.0f}/s end to end (first on record after {first:.2f} s), "
                f"the wire {limit:,.0f}/s: {ratios[-1]:.2f}",
                flush=True,
            )
        if signing:
            _check_keys()
    if signing:
        print(
            f"signed: {statistics.median(ratios):.2f} of the wire (median of {rounds}; two keys, RSA-2048 and Ed25519)"
        )
    else:
        print(f"mailing: {statistics.median(ratios):.2f} of the wire (median of {rounds}; sound from 0.30)")


def _make_keys() -> None:
    """Have letters from the installation's own address signed, as if the DNS had the records."""
    from django.conf import settings

    from vestnik import addresses
    from vestnik.senders import keys, verbs

    domain = verbs.domain_of_installation(addresses.domain(settings.MAIL_FROM))
    keys.make(domain)
    for key in domain.keys.all():
        keys.seen(key)


def _check_keys() -> None:
    """Refuse a figure of letters that were not all signed."""
    from vestnik.mail.dkim_keys import Algorithm
    from vestnik.senders.models import SIGNING, DkimKey

    if DkimKey.objects.filter(SIGNING).count() != len(Algorithm):
        raise SystemExit("the keys were not in use to the end")


def make_owner(letters: int) -> "User":
    """Make an owner with that many clients in a list, and a few in another."""
    from vestnik.accounts.models import User
    from vestnik.testing.factories import make_list

    owner = User.objects.create_user("bench@example.org")
    make_list(owner, letters, name="everybody")
    make_list(owner, 200, name="a few")
    return owner


def send(owner: "User", to: str = "everybody") -> tuple[float, float]:
    """Send a mailing to a list; return the letters a second until the run's end, and the seconds to the first one."""
    from vestnik import clock
    from vestnik.mailings import verbs
    from vestnik.mailings.ledger.models import Attempt, Run

    text = "Dear {{ full_name }},\n" + ("x" * 70 + "\n") * 52
    message = verbs.create_message(owner, subject="News for {{ full_name }}", text=text)
    audience = owner.client_lists.get(name=to)
    now = clock.now()
    began = time.perf_counter()
    mailing = verbs.create_mailing(
        owner, name="Bench", message=message, lists=[audience], start=now, end=now + timedelta(hours=1)
    )
    while not mailing.runs.filter(state=Run.State.FINISHED).exists():
        time.sleep(0.02)
    took = time.perf_counter() - began
    sent = mailing.runs.get().deliveries.filter(state="sent").count()
    if sent != audience.clients.count():
        raise SystemExit(f"only {sent} of {audience.clients.count()} letters were sent")
    first = Attempt.objects.filter(delivery__run__mailing=mailing).earliest("began_at").began_at
    return sent / took, (first - now).total_seconds()
