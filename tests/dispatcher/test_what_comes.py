"""Whether more letters come: what refusals in doubt wait for."""

from datetime import timedelta

import pytest
from django.utils import timezone

from dispatcher.ledger import due, statements
from dispatcher.sending import gate
from tests.dispatcher.test_sending import launched
from vestnik.mailings.ledger.models import Delivery, Worker
from vestnik.testing.factories import make_mailing

pytestmark = pytest.mark.django_db


def later(run):
    Delivery.objects.filter(run=run).update(due_at=timezone.now() + timedelta(minutes=1))


def test_nothing_comes_where_nothing_is_due_or_in_hand(alice):
    assert not gate.something_comes()
    run = launched(make_mailing(alice, 2))
    assert gate.something_comes()
    later(run)
    assert not gate.something_comes()


def test_what_is_in_hand_of_any_process_comes(alice):
    run = launched(make_mailing(alice, 1))
    worker = Worker.objects.create(name="another", provider="memory://")
    assert statements.claim(run.pk, worker.pk, 5, None)
    assert gate.something_comes()


@pytest.mark.parametrize("how", ["paused", "cancelled", "over", "blocked"])
def test_what_may_not_be_sent_does_not_come(alice, how):
    run = launched(make_mailing(alice, 2))
    now = timezone.now()
    if how == "paused":
        run.mailing.paused_at = now
        run.mailing.save()
    elif how == "cancelled":
        type(run).objects.filter(pk=run.pk).update(cancelled_at=now)
    elif how == "over":
        type(run).objects.filter(pk=run.pk).update(window_end=now - timedelta(seconds=1))
    else:
        alice.is_active = False
        alice.save()
    assert not gate.something_comes()


def test_lanes_are_woken_for_owners_with_letters_due_of_all_runs_or_of_some(alice, bob):
    hers, his = launched(make_mailing(alice, 2)), launched(make_mailing(bob, 1))
    assert sorted(due.owners_with_letters_due()) == sorted([alice.pk, bob.pk])
    assert due.owners_with_letters_due([his.pk]) == [bob.pk]
    assert due.owners_with_letters_due([]) == []
    later(hers)
    assert due.owners_with_letters_due() == [bob.pk]
