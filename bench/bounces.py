"""What comes back of a large run: how fast bounces are taken, and what its pages and exports cost with them."""

import os
import smtplib
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bench import stops
from bench.installation import servers
from bench.soak.bouncing import REPORT
from tests.local.helpers import free_port
from tests.system.processes import Dispatcher

if TYPE_CHECKING:
    from vestnik.mailings.ledger.models import Run

MILLION = 1_000_000
BOUNCED = 30_000
CONNECTIONS = 8
DOMAIN = "bounces.example.org"
ROUNDS = 3


def run(letters: int = MILLION, bounced: int = BOUNCED) -> None:
    """Measure how fast so many bounces of so many letters are taken, and the run's journal and export around that."""
    port = free_port()
    variables = {"BOUNCE_DOMAIN": DOMAIN, "BOUNCE_LISTEN": f"127.0.0.1:{port}"}
    with servers(MAIL_SERVICE_URL="smtp://127.0.0.1:9", **variables) as directory:
        sent = _make_run(letters, directory)
        before = _export(sent)
        with Dispatcher(dict(os.environ), directory, "bounces"):
            part = bounced // 10
            rates = [_bounce(port, chosen) for chosen in _chosen(sent, bounced, part)]
        _check(bounced)
        after = _export(sent)
        middle, late = _pages(sent, "bounced", bounced)
        listed = _took(lambda: _exhaust(sent, "bounced"))
    print(
        f"{bounced:,} bounces of {letters:,} letters: {statistics.median(rates):,.0f}/s taken; the first {part:,}"
        f" {rates[0]:,.0f}/s, the last {rates[-1]:,.0f}/s"
    )
    print(f"the bounced ones: a page of them {middle:.0f} ms, the slowest {late:.0f} ms; their export {listed:.1f} s")
    ratio = statistics.median(after) / statistics.median(before)
    print(f"bounces: the whole export takes {ratio:.2f} of its time without any (sound up to 1.30)")


def _make_run(number: int, directory: Path) -> "Run":
    """Launch a mailing to so many as the service does, and say of all its letters that they were accepted."""
    from django.db import connection

    from vestnik.mailings.ledger.models import Run, Worker

    with Dispatcher(dict(os.environ), directory, "control"):
        stops.launch(stops.make_owner(number), cancel=False)
    run, worker = Run.objects.get(), Worker.objects.create(name="bench", provider="bench")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mailings_delivery SET state = 'sent', due_at = NULL, claim = 1, attempts = 1, settled_at = now()"
            " WHERE run_id = %s",
            [run.pk],
        )
        cursor.execute(
            "INSERT INTO mailings_attempt"
            " (delivery_id, worker_id, claim, outcome, charged, code, answer, began_at, duration)"
            " SELECT id, %s, 1, 'accepted', true, 250, '250 2.0.0 Ok: queued', now(), 0.1 FROM mailings_delivery",
            [worker.pk],
        )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return run


def _chosen(run: "Run", number: int, part: int) -> list[list[str]]:
    """Return, by parts, the addresses to which so many of the run's letters come back, from all over it."""
    from vestnik.mailings import return_addresses
    from vestnik.mailings.ledger.models import Delivery

    write = return_addresses.writer(DOMAIN)
    ids = Delivery.objects.filter(run=run).order_by("pk").values_list("pk", flat=True)[:: run.total // number][:number]
    addresses = [write(pk).envelope_sender for pk in ids]
    return [addresses[at : at + part] for at in range(0, number, part)]


def _bounce(port: int, addresses: Sequence[str]) -> float:
    """Hand a bounce over to each address, over some connections; return how many a second were taken."""

    def hand_over(own: Sequence[str]) -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="mx.example.org", timeout=60) as client:
            for address in own:
                client.sendmail("", [address], REPORT)

    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as peers:
        list(peers.map(hand_over, [addresses[at::CONNECTIONS] for at in range(CONNECTIONS)]))
    return len(addresses) / (time.perf_counter() - began)


def _check(number: int) -> None:
    from django.db.models import Sum

    from vestnik.mailings.ledger.models import DeliveryEvent, Tally

    known, counted = DeliveryEvent.objects.count(), Tally.objects.aggregate(all=Sum("bounced"))["all"]
    if (known, counted) != (number, number):
        raise SystemExit(f"of {number} bounces {known} are written down and {counted} counted")


def _export(run: "Run") -> list[float]:
    return [_took(lambda: _exhaust(run)) for _ in range(ROUNDS)]


def _exhaust(run: "Run", state: str = "") -> None:
    from vestnik.mailings.ledger.statistics import export

    for _row in export(run, state):
        pass


def _pages(run: "Run", state: str, number: int) -> tuple[float, float]:
    """Go through all pages of the journal; return how long one takes, the median and the most, in milliseconds."""
    from vestnik.mailings.ledger.statistics import came_back, journal

    took, seen = [], 0
    after: int | None = None
    while True:
        began = time.perf_counter()
        page = journal(run, state, after=after)
        came_back(run, [letter.client_id for letter in page.letters])
        took.append((time.perf_counter() - began) * 1000)
        seen += len(page.letters)
        after = page.after
        if after is None:
            break
    if seen != number:
        raise SystemExit(f"the journal shows {seen} of {number}")
    return statistics.median(took), max(took)


def _took(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
