"""What it costs to leave people out: launches beside a suppression list, and how fast one click is answered."""

import io
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from bench.front import gunicorn
from bench.installation import servers
from tests.local.helpers import free_port
from tests.system.processes import Dispatcher
from tests.timing import wait_until

if TYPE_CHECKING:
    from vestnik.accounts.models import User
    from vestnik.mailings.ledger.models import Run

MILLION = 1_000_000
ROUNDS = 2
CLICKS = 2_000
AT_ONCE = 16
PER_SECOND = 200
BODY = b"List-Unsubscribe=One-Click"


def launches(clients: int = MILLION, suppressed: int = MILLION, rounds: int = ROUNDS) -> None:
    """Measure launches to so many clients, without and with so many suppressed addresses, a tenth of them clients."""
    with (
        servers(MAIL_SERVICE_URL="smtp://127.0.0.1:9") as directory,
        Dispatcher(dict(os.environ), directory, "control"),
    ):
        owner = make_owner(clients)
        before = [launch(owner) for _ in range(rounds)]
        _suppress(owner, clients, suppressed)
        after = [launch(owner) for _ in range(rounds)]
    ratio = statistics.median(after) / statistics.median(before)
    print(f"launches of {clients:,}: {_told(before)}; beside {suppressed:,} suppressed addresses: {_told(after)}")
    print(f"stops: {ratio:.2f} of the time of a launch without any (sound up to 1.30)")


def clicks(number: int = CLICKS) -> None:
    """Measure how long answers take when so many people unsubscribe, 200 a second, by gunicorn as it is served."""
    with (
        servers(MAIL_SERVICE_URL="smtp://127.0.0.1:9", ALLOWED_HOSTS="127.0.0.1") as directory,
        Dispatcher(dict(os.environ), directory, "control"),
    ):
        owner = make_owner(number)
        launch(owner, cancel=False)
        paths = _paths(owner)
        port = free_port()
        with gunicorn(port, directory / "web.log"):
            _click(port, paths[:50])
            took = _click(port, paths[50:], PER_SECOND)
        from vestnik.clients.models import Suppression

        stopped = Suppression.objects.count()
        if stopped != number:
            raise SystemExit(f"only {stopped} of {number} are written down")
    took.sort()
    middle, late, latest = (round(took[at] * 1000) for at in (len(took) // 2, len(took) * 99 // 100, -1))
    print(
        f"one click: {len(took):,} answers, {PER_SECOND}/s asked for, all {number:,} stopped;"
        f" median {middle} ms, one in a hundred later than {late} ms, the latest {latest} ms (sound up to 1,000)"
    )


def _told(seconds: list[float]) -> str:
    return ", ".join(f"{each:.1f} s" for each in seconds)


def make_owner(number: int) -> "User":
    """Make an owner with a list of so many clients, imported from a file as people do it."""
    from vestnik.accounts.models import User
    from vestnik.clients.import_files import Rejected, import_file

    owner = User.objects.create_user("bench@example.org")
    import_file(owner, io.BytesIO(b"".join(_lines(number))), Rejected(io.BytesIO), list_name="all")
    return owner


def _lines(number: int) -> Iterator[bytes]:
    yield b"email,full_name\n"
    for n in range(number):
        yield f"client{n}@example.org,Client {n}\n".encode()


def _suppress(owner: "User", clients: int, number: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO clients_suppression (owner_id, address, reason)"
            " SELECT %s, CASE WHEN n < %s THEN 'client' ELSE 'gone' END || n || '@example.org', 'unsubscribed'"
            " FROM generate_series(0, %s) n",
            [owner.pk, clients // 10, number - 1],
        )
        cursor.execute("ANALYZE clients_suppression")


def launch(owner: "User", cancel: bool = True) -> float:
    """Launch a mailing to everybody; return how many seconds its letters took to be written."""
    from vestnik.clients.models import ClientList
    from vestnik.mailings import verbs
    from vestnik.testing.factories import make_mailing

    mailing = make_mailing(owner, lists=list(ClientList.objects.filter(owner=owner)))

    def launched() -> "Run | None":
        return mailing.runs.filter(filled_at__isnull=False).first()

    wait_until(lambda: launched() is not None, 300)
    run = launched()
    assert run is not None
    assert run.filled_at is not None
    if cancel:
        verbs.cancel(mailing)
        wait_until(lambda: mailing.runs.exclude(state="open").exists(), 300)
    return (run.filled_at - run.opened_at).total_seconds()


def _paths(owner: "User") -> list[str]:
    from vestnik.mailings import unsubscribe_links
    from vestnik.mailings.ledger.models import Delivery

    link = unsubscribe_links.signer()
    ids = Delivery.objects.filter(run__owner_id=owner.pk, state="queued").values_list("pk", flat=True)
    return ["/u/" + link(pk).rpartition("/")[2] for pk in ids]


def _click(port: int, paths: list[str], rate: float = 1000.0) -> list[float]:
    """Post each path at its time, over some connections; return how long after that time each answer was there."""
    began = time.monotonic() + 0.1

    def post(number: int, path: str) -> float:
        due = began + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", path, BODY, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise SystemExit(f"a click is answered with {answer.status}")
        finally:
            connection.close()
        return time.monotonic() - due

    with ThreadPoolExecutor(AT_ONCE) as people:
        return list(people.map(post, range(len(paths)), paths))
