"""Operators are told of dead letters: once for each run and cause, whatever their number."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from dispatcher.ledger import rows, statements
from dispatcher.providers.base import Outcome
from dispatcher.runs import launching
from dispatcher.sending import alerts
from dispatcher.sending.alerts import Reporter
from vestnik.accounts.models import User
from vestnik.mailings import verbs
from vestnik.mailings.ledger.models import DeadLetterReport, Delivery, Run, Worker
from vestnik.testing.factories import make_mailing

pytestmark = pytest.mark.usefixtures("valkey")

REFUSED = (Outcome.PERMANENT, 550)
FULL = (Outcome.PERMANENT, 552)
LATER = (Outcome.TEMPORARY, 451)
SILENT = (Outcome.UNKNOWN, None)


class Kept(Transport):
    """Events stay here, and go nowhere."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        if event := envelope.get_event():
            self.events.append(event)


@pytest.fixture
def sentry() -> Iterator[list[Any]]:
    transport = Kept()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            "http://key@127.0.0.1:9/1", transport=transport, default_integrations=False,
            integrations=[LoggingIntegration(level=logging.INFO, event_level=logging.ERROR)],
        )  # fmt: skip
        yield transport.events
        sentry_sdk.flush()
    sentry_sdk.init()


@pytest.fixture
def worker(db: None) -> int:
    return Worker.objects.create(name="w", provider="memory").pk


def launched(owner: User, number: int) -> Run:
    (run,) = launching.launch(make_mailing(owner, number).pk)
    return run


def answered(run: Run, worker: int, reporter: Reporter, *answers: tuple[Outcome, int | None]) -> list[int]:
    """One claimed letter after the other gets an answer, which is written down; the reporter takes note of all."""
    letters = statements.claim(run.pk, worker, len(answers), None)
    assert len(letters) == len(answers)
    now = time.monotonic()
    statements.settle(
        [
            rows.Settlement(letter.delivery_id, letter.claim, worker, outcome, code, "said so", now, 0.1, 0.0)
            for letter, (outcome, code) in zip(letters, answers, strict=True)
        ],
        now,
    )
    for letter, (outcome, code) in zip(letters, answers, strict=True):
        reporter.note(run.pk, letter.delivery_id, outcome, code)
    return [letter.delivery_id for letter in letters]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The reports in the log, each by its reason."""
    return [record.reason for record in caplog.records if record.name == "dispatcher.sending.alerts"]  # type: ignore[attr-defined]


def test_dead_letters_are_reported_once_for_each_cause(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture
) -> None:
    run, reporter = launched(alice, 5), Reporter()
    answered(run, worker, reporter, REFUSED, REFUSED, FULL)
    reporter.flush()
    answered(run, worker, reporter, REFUSED, FULL)
    reporter.flush()
    assert sorted(told(caplog)) == ["failed-permanent-550", "failed-permanent-552"]
    assert sorted(DeadLetterReport.objects.values_list("run_id", "reason")) == [
        (run.pk, "failed-permanent-550"), (run.pk, "failed-permanent-552"),
    ]  # fmt: skip


def test_a_report_names_run_mailing_owner_and_an_example(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture
) -> None:
    run, reporter = launched(alice, 1), Reporter()
    (letter,) = answered(run, worker, reporter, REFUSED)
    reporter.flush()
    (record,) = [record for record in caplog.records if record.name == "dispatcher.sending.alerts"]
    assert record.levelno == logging.ERROR
    named = {name: vars(record)[name] for name in ("run_id", "mailing_id", "owner_id", "delivery_id", "reason")}
    assert named == {
        "run_id": run.pk, "mailing_id": run.mailing_id, "owner_id": alice.pk, "delivery_id": letter,
        "reason": "failed-permanent-550",
    }  # fmt: skip
    assert record.getMessage() == (
        f"run {run.pk} of mailing {run.mailing_id}, owner {alice.pk}: dead letters, 550: the mailbox was refused;"
        f" letter {letter} is one of them"
    )


def test_each_run_has_its_own(alice: User, worker: int, caplog: pytest.LogCaptureFixture) -> None:
    reporter = Reporter()
    for run in (launched(alice, 1), launched(alice, 1)):
        answered(run, worker, reporter, REFUSED)
    reporter.flush()
    assert told(caplog) == ["failed-permanent-550"] * 2


def test_several_processes_report_once(alice: User, worker: int, caplog: pytest.LogCaptureFixture) -> None:
    run = launched(alice, 4)
    for _ in range(4):
        reporter = Reporter()
        answered(run, worker, reporter, REFUSED)
        reporter.flush()
    assert told(caplog) == ["failed-permanent-550"]


@pytest.mark.django_db(transaction=True)
def test_processes_that_report_at_the_same_moment_report_once(alice: User, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker.objects.create(name="w", provider="memory").pk
    run, reporters = launched(alice, 8), [Reporter() for _ in range(4)]
    for reporter in reporters:
        answered(run, worker, reporter, REFUSED, FULL)
    start = threading.Barrier(4)

    def flush(reporter: Reporter) -> None:
        start.wait()
        reporter.flush()
        connections.close_all()

    threads = [threading.Thread(target=flush, args=(reporter,)) for reporter in reporters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told(caplog)) == ["failed-permanent-550", "failed-permanent-552"]


def test_what_is_tried_again_by_itself_is_not_reported_until_it_is_not(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.MAX_ATTEMPTS = 2
    run, reporter = launched(alice, 1), Reporter()
    answered(run, worker, reporter, LATER)
    reporter.flush()
    assert told(caplog) == []
    answered(run, worker, reporter, LATER)
    reporter.flush()
    assert told(caplog) == ["failed-temporary-451"]


def test_what_was_set_aside_is_reported_as_that(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.UNKNOWN_OUTCOMES = "hold"
    run, reporter = launched(alice, 1), Reporter()
    answered(run, worker, reporter, SILENT)
    reporter.flush()
    assert told(caplog) == ["unknown-unknown"]


def test_letters_that_arrived_or_were_given_back_are_nothing_to_report(alice: User, worker: int) -> None:
    run, reporter = launched(alice, 1), Reporter()
    answered(run, worker, reporter, (Outcome.ACCEPTED, 250))
    reporter.note(run.pk, 1, Outcome.RETURNED, None)
    with CaptureQueriesContext(connection) as queries:
        reporter.flush()
    assert len(queries) == 0


def test_what_is_known_to_be_reported_is_not_asked_for_again(alice: User, worker: int) -> None:
    run, reporter = launched(alice, 3), Reporter()
    answered(run, worker, reporter, REFUSED)
    with CaptureQueriesContext(connection) as first:
        reporter.flush()
    answered(run, worker, reporter, REFUSED, REFUSED)
    with CaptureQueriesContext(connection) as second:
        reporter.flush()
        reporter.flush()
    assert (len(first), len(second)) == (1, 0)


def test_a_letter_that_was_dismissed_or_tried_again_meanwhile_is_not_reported(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, reporter = launched(alice, 1), launched(alice, 1), Reporter()
    (dismissed,) = answered(first, worker, reporter, REFUSED)
    Delivery.objects.filter(pk=dismissed).update(dismissed_at=timezone.now())
    answered(second, worker, reporter, REFUSED)
    verbs.try_again(second)
    reporter.flush()
    assert told(caplog) == []


def test_letters_set_aside_by_recovery_are_reported_once(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.RECOVERIES = 1
    run = launched(alice, 3)
    refused, _lost, _lost_too = statements.claim(run.pk, worker, 3, None)
    now = time.monotonic()
    statements.settle([rows.Settlement(*refused.key, worker, *REFUSED, "no", now, 0.1, 0.0)], now)
    Worker.objects.update(ended_at=timezone.now(), died=True)
    assert statements.rescue() == [run.pk]
    alerts.report_set_aside([run.pk])
    alerts.report_set_aside([run.pk])
    alerts.report_set_aside([])
    assert told(caplog) == ["unknown-unknown"]


def test_while_the_database_is_away_the_notes_are_kept(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture
) -> None:
    run, reporter = launched(alice, 1), Reporter()
    answered(run, worker, reporter, REFUSED)

    def away(*_anything: Any) -> None:
        raise OperationalError("the server closed the connection")

    with connection.execute_wrapper(away):
        reporter.flush()
    assert DeadLetterReport.objects.count() == 0
    reporter.flush()
    assert [record.levelname for record in caplog.records if record.name == "dispatcher.sending.alerts"] == [
        "WARNING", "ERROR",
    ]  # fmt: skip


def test_what_it_remembers_and_notes_is_bounded_and_nothing_is_reported_twice_for_that(
    alice: User, worker: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "REMEMBERED", 1)
    run, reporter = launched(alice, 6), Reporter()
    for answer in (REFUSED, FULL, REFUSED, FULL):
        answered(run, worker, reporter, answer)
        reporter.flush()
        assert len(reporter._known) == 1
    assert len(told(caplog)) == 2
    monkeypatch.setattr(alerts, "NOTED", 1)
    answered(run, worker, reporter, (Outcome.PERMANENT, 553), (Outcome.PERMANENT, 554))
    assert len(reporter._noted) == 1


def test_sentry_gets_one_event_for_each_run_and_cause_with_no_address_in_it(
    alice: User, worker: int, sentry: list[Any]
) -> None:
    run, reporter = launched(alice, 50), Reporter()
    for _ in range(5):
        answered(run, worker, reporter, *[REFUSED] * 8, *[FULL] * 2)
        reporter.flush()
    assert sorted(event["fingerprint"] for event in sentry) == [
        ["dead-letters", str(run.pk), "failed-permanent-550"],
        ["dead-letters", str(run.pk), "failed-permanent-552"],
    ]
    for event in sentry:
        assert event["extra"]["run_id"] == run.pk
        assert event["extra"]["reason"] == event["fingerprint"][2]
        assert "%(run_id)" in event["logentry"]["message"]
        assert "@example.org" not in repr(event)
