"""Dead letters that were tried again and died again, and very many of them."""

import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.web.ledger import make_run
from vestnik.accounts.models import User
from vestnik.mailings.ledger import dead_letters
from vestnik.mailings.ledger.causes import Cause
from vestnik.mailings.ledger.models import Attempt, Delivery, Run, Worker


@pytest.mark.usefixtures("valkey")
def test_all_of_a_cause_tried_again_does_not_reach_who_was_dismissed_after_a_second_try(alice: User) -> None:
    refused = Cause("failed", "permanent", 550)
    run = make_run(alice, failed=2)
    mine = dead_letters.runs_of(alice)
    resting, other = run.deliveries.order_by("pk")
    Run.objects.filter(pk=run.pk).update(window_end=timezone.now() - timedelta(seconds=1))
    ((second),) = dead_letters.try_again(mine, [resting.pk], uuid.uuid4()).runs
    again = second.deliveries.get()
    Delivery.objects.filter(pk=again.pk).update(state="failed", due_at=None, settled_at=timezone.now(), claim=1)
    Attempt.objects.create(
        delivery=again, claim=1, outcome="permanent", charged=True, code=550, answer="no", began_at=timezone.now(),
        duration=0.1, worker=Worker.objects.get(),
    )  # fmt: skip
    Run.objects.filter(pk=second.pk).update(
        state="finished", finished_at=timezone.now(), window_end=timezone.now() - timedelta(seconds=1)
    )
    assert dead_letters.dismiss(mine, [again.pk]) == (1, False)
    (groups, _more) = dead_letters.groups(mine)
    assert [(group.cause, group.letters) for group in groups] == [(refused, 1)], "one letter is dead by the page"
    ((third),) = dead_letters.try_again(mine, refused, uuid.uuid4()).runs
    assert list(third.deliveries.values_list("client_id", flat=True)) == [other.client_id]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("valkey")
def test_dismissing_all_of_many_dead_letters_takes_seconds(alice: User) -> None:
    run = make_run(alice, failed=1)
    mine, cause = dead_letters.runs_of(alice), Cause("failed", "permanent", 550)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mailings_delivery (run_id, client_id, address, state, settled_at, claim, attempts)"
            " SELECT %s, 10000000 + n, 'a' || n || '@example.org', 'failed', now(), 1, 1"
            " FROM generate_series(1, 50000) n",
            [run.pk],
        )
        cursor.execute(
            "INSERT INTO mailings_attempt"
            " (delivery_id, claim, outcome, charged, code, answer, began_at, duration, worker_id)"
            " SELECT id, 1, 'permanent', true, 550, 'no', now(), 0.1, (SELECT max(id) FROM mailings_worker)"
            " FROM mailings_delivery WHERE client_id >= 10000000"
        )
        cursor.execute("ANALYZE")
        cursor.execute("SET statement_timeout = '20s'")
    try:
        began = time.monotonic()
        assert dead_letters.dismiss(mine, cause) == (50_001, False)
        assert time.monotonic() - began < 10
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
