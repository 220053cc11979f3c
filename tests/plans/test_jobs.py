"""What jobs ask by Django's querysets: the tick, launches, figures. Asked on the sample, planned for all sizes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from dispatcher import account_erasure
from dispatcher.runs import launching, ticking
from tests.plans import reading
from tests.plans.conftest import Known
from tests.plans.sample import CLIENTS, PEOPLE, RUNS
from vestnik import account_deletion as deleting
from vestnik.accounts import idempotency
from vestnik.clients import import_jobs
from vestnik.clients.models import Client, Membership
from vestnik.mailings import audience, history
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.ledger.statistics import of_runs, progress
from vestnik.mailings.models import Mailing
from vestnik.metrics import collector as metrics

pytestmark = pytest.mark.usefixtures("valkey")

JOBS: dict[str, Callable[[], Any]] = {
    "what is due": ticking.due_mailings,
    "what is due soon": lambda: launching.due_soon(timedelta(minutes=2)),
    "runs without a mailing": ticking.close,
    "imports that were overdue": lambda: import_jobs.to_do(timedelta(seconds=10)),
    "files of old imports": import_jobs.prune_files,
    "deleted accounts": deleting.deleted_accounts,
    "forms of old": idempotency.prune,
    "the oldest letter due": metrics._oldest_due_seconds,
    "who would get a mailing": lambda: audience.count(Mailing.objects.get(pk=19)),
    "a launch": lambda: _launch(Mailing.objects.get(pk=19)),
    "the totals of a run": lambda: runs.totals(RUNS),
    "the totals of runs": lambda: of_runs([RUNS, RUNS - 1]),
    "how a run goes": lambda: progress(Run.objects.get(pk=RUNS)),
    "the letters to a client": lambda: history.letters_to(Client.objects.get(pk=20)),
    "the end of a list's members": lambda: account_erasure._delete(Membership.objects.filter(client_list__owner=3)),
    "the end of an owner's clients": lambda: account_erasure._delete(Client.objects.filter(owner=0)),
}


def _launch(mailing: Mailing) -> None:
    run = launching._fill(mailing, runs.open_run(mailing, mailing.end))
    assert run
    assert run.total == CLIENTS // PEOPLE


@pytest.mark.parametrize("job", JOBS)
def test_a_job_finds_what_it_is_about_whatever_there_is_beside_it(
    on_the_sample: None, dispatchers: Known, job: str
) -> None:
    with transaction.atomic(), reading.noted() as asked:
        JOBS[job]()
        transaction.set_rollback(True)
    found = []
    for sql, with_values in asked.items():
        for scale, database in dispatchers:
            plan = reading.of(database, with_values)
            if faults := reading.faults(plan, reading.large(database), to_the_end=False):
                found.append(f"{scale}: {'; '.join(faults)}\n{sql}\n{reading.told(plan)}")
    assert asked
    assert not found, "\n\n".join([f"“{job}” does not scale.", *found])
    assert connection.settings_dict["NAME"].startswith("plans")
