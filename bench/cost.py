"""What a letter costs each part of an installation: processor time, what PostgreSQL writes and keeps, connections."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil

from bench import mailing, wire
from bench.installation import installation

if TYPE_CHECKING:
    from vestnik.accounts.models import User

LETTERS = 20_000
PER_RUN = 100_000
PARTS = {
    "dispatcher bulk": "bulk",
    "dispatcher control": "control",
    "postgres": "PostgreSQL",
    "valkey": "the queue",
    "smtp-sink": "the external service",
}
"""By words of the command that started it."""


def run(letters: int = LETTERS) -> None:
    """Send a mailing and print what each letter of it took.

    `OLD_LETTERS=10000000` puts so many letters of earlier runs into the ledger then, and does it again. Linux alone.
    """
    old = int(os.environ.get("OLD_LETTERS", "0"))
    with wire.sink() as port, installation(f"smtp://{wire.HOST}:{port}?connections={mailing.CONNECTIONS}"):
        owner = mailing.make_owner(letters)
        mailing.send(owner, "a few")
        _print_cost(owner, letters)
        if old:
            _write_old(old)
            print(f"beside {old:,} letters of earlier runs:")
            _print_cost(owner, letters)


def _print_cost(owner: "User", letters: int) -> None:
    before, written, kept = _processor_seconds(), _written(), _kept()
    rate, _ = mailing.send(owner)
    print(f"{letters:,} letters of 4 kB, {rate:,.0f}/s, on {psutil.cpu_count()} processors; each of them took")
    for part, seconds in _processor_seconds().items():
        print(f"  {(seconds - before[part]) / letters * 1e6:6.0f} µs of a processor: {part}")
    print(f"  {(_written() - written) / letters:6.0f} bytes of PostgreSQL's log")
    print(f"  {(_kept() - kept) / letters:6.0f} bytes of its disk, to stay: the letter, its attempt, their indexes")
    print(f"connections to PostgreSQL: {_connections()}", flush=True)


def _parts() -> Iterator[tuple[str, psutil.Process]]:
    """Yield the processes that this one started, by what they are."""
    for process in psutil.Process().children():
        command = " ".join(process.cmdline())
        yield next(part for words, part in PARTS.items() if words in command), process


def _processor_seconds() -> dict[str, float]:
    """Return the seconds of processors that each part, with its children, the dead ones too, has used so far."""
    return {
        part: sum(
            sum(one.cpu_times()[:4])  # user, system, and the same of children that have ended
            for one in [process, *process.children(recursive=True)]
        )
        for part, process in _parts()
    }


def _ask(query: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def _written() -> int:
    return _ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")


def _kept() -> int:
    return _ask("SELECT pg_total_relation_size('mailings_delivery') + pg_total_relation_size('mailings_attempt')")


def _connections() -> int:
    return _ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")


def _write_old(count: int) -> None:
    """Give the ledger a past: letters that were sent at their first attempt, a run an hour."""
    from django.db import connection

    with connection.cursor() as cursor:
        for hours, first in enumerate(range(0, count, PER_RUN), 1):
            cursor.execute(OLD_RUN, {"hours": hours, "letters": min(PER_RUN, count - first)})
        cursor.execute("VACUUM (ANALYZE) mailings_delivery, mailings_attempt, mailings_run, mailings_tally")


OLD_RUN = """
WITH run AS (
    INSERT INTO mailings_run (
        mailing_id, owner_id, state, reason, opened_at, filled_at, window_end, finished_at, total,
        key, sender, sender_name, reply_to, subject, html, text)
    SELECT mailing_id, owner_id, 'finished', '', opened_at - age, filled_at - age, window_end - age, finished_at - age,
           %(letters)s, key, sender, sender_name, reply_to, subject, html, text
    FROM (SELECT *, make_interval(hours => %(hours)s) AS age FROM mailings_run ORDER BY id LIMIT 1) AS the_first
    RETURNING id, filled_at
), delivery AS (
    INSERT INTO mailings_delivery (run_id, client_id, address, state, claim, attempts, recoveries, settled_at)
    SELECT id, number, 'client' || number || '@example.org', 'sent', 1, 1, 0, filled_at + number * interval '1 ms'
    FROM run, generate_series(1, %(letters)s) AS number
    RETURNING id, run_id, settled_at
), attempt AS (
    INSERT INTO mailings_attempt (delivery_id, claim, outcome, charged, code, answer, began_at, duration, worker_id)
    SELECT id, 1, 'accepted', true, 250, '250 2.0.0 Ok', settled_at, 0.01, (SELECT min(id) FROM mailings_worker)
    FROM delivery
)
INSERT INTO mailings_tally (run_id, worker_id, hour, sent, attempts)
SELECT id, 0, date_trunc('hour', filled_at), %(letters)s, %(letters)s FROM run
"""
