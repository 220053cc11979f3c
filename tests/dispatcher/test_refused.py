"""Addresses that a run has shown to be dead: suppressed when it is over, and asked about where they are too many."""

import pytest

from dispatcher.ledger import closing, refused
from dispatcher.providers import memory
from dispatcher.runs import launching, ticking
from tests.dispatcher.test_sending import slice_of
from vestnik.clients.models import Suppression
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Attempt, Run, Worker
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_list, make_mailing

pytestmark = pytest.mark.usefixtures("valkey")

DEAD = "5.1.1 <somebody> User unknown"


def ended(alice, answers, code=550, client_list=None, total=None):
    """A run that is over, whose first letters were refused with these answers; the others were sent."""
    lists = [client_list or make_list(alice, total or len(answers))]
    (run,) = launching.launch(make_mailing(alice, lists=lists).pk)
    worker = Worker.objects.create(name="bulk@host", provider="smtp")
    for letter, answer in zip(run.deliveries.order_by("client_id"), answers, strict=False):
        letter.state, letter.claim, letter.attempts, letter.due_at = "failed", 1, 1, None
        letter.settled_at = run.filled_at
        letter.save()
        Attempt.objects.create(
            delivery=letter, claim=1, outcome="permanent", charged=True, code=code, answer=answer, worker=worker,
            began_at=run.filled_at, duration=0.1,
        )  # fmt: skip
    run.deliveries.filter(state="queued").update(state="sent", due_at=None, settled_at=run.filled_at)
    assert closing.finish(run.pk)
    return Run.objects.get(pk=run.pk)


def suppressed(owner):
    return dict(Suppression.objects.filter(owner=owner, lifted_at=None).values_list("address", "reason"))


def address_of(run, number=0):
    return run.deliveries.order_by("client_id")[number].address


@pytest.mark.parametrize(
    "answer", [DEAD, "5.1.10 null MX", "#5.2.1 mailbox disabled", "5.1.6 moved", "550 5.1.1 No such user"]
)
def test_a_mailbox_that_is_certainly_not_there_is_suppressed_at_once(alice, bob, answer):
    run = ended(alice, [answer], total=3)
    refused.note(run.pk)
    assert suppressed(alice) == {address_of(run): "refused"}
    assert Suppression.objects.get().delivery_id == run.deliveries.get(state="failed").pk
    assert not suppressed(bob)


@pytest.mark.parametrize(
    "answer",
    [
        *("5.2.2 Mailbox full", "5.7.1 Spam", "5.7.26 DMARC", "5.3.4 too large", "Message rejected as spam"),
        *("Relay access denied", "5.2.2 over quota; see 5.1.1", "sender rejected: 5.1.1"),
    ],
)
def test_full_mailboxes_and_policies_suppress_nobody_however_often(alice, answer):
    client_list = make_list(alice, 2)
    for _ in range(3):
        refused.note(ended(alice, [answer], client_list=client_list).pk)
    assert not suppressed(alice)


@pytest.mark.parametrize("answer", ["User unknown", "No such user here", "5.1.2 Host or domain name not found"])
def test_a_refusal_that_is_not_certain_counts_when_two_runs_agree(alice, answer):
    client_list = make_list(alice, 2)
    first = ended(alice, [answer], client_list=client_list)
    refused.note(first.pk)
    assert not suppressed(alice)
    refused.note(ended(alice, [answer], client_list=client_list).pk)
    assert suppressed(alice) == {address_of(first): "refused"}


def test_another_owners_run_agrees_to_nothing(alice, bob):
    mine = make_list(alice, 1)
    refused.note(ended(bob, ["User unknown"]).pk)
    refused.note(ended(alice, ["User unknown"], client_list=mine).pk)
    assert not Suppression.objects.exists()


def test_an_address_that_was_changed_between_begins_again(alice):
    client_list = make_list(alice, 1)
    refused.note(ended(alice, ["User unknown"], client_list=client_list).pk)
    client_list.clients.update(email="better@example.org")
    refused.note(ended(alice, ["User unknown"], client_list=client_list).pk)
    assert not suppressed(alice)


def test_so_many_that_it_may_be_the_services_mistake_are_asked_about(alice, caplog):
    run = ended(alice, [DEAD] * 21, total=30)
    refused.note(run.pk)
    run.refresh_from_db()
    assert (run.refused_asked, suppressed(alice)) == (21, {})
    assert "21 of 30 addresses or more were refused for good, too many to be believed" in caplog.text

    runs.believe_refusals(run, True)
    refused.note(run.pk)
    run.refresh_from_db()
    assert (run.refused_asked, len(suppressed(alice))) == (runs.LIMIT_LIFTED, 21)


def test_who_does_not_believe_it_keeps_them(alice):
    run = ended(alice, [DEAD] * 21, total=30)
    refused.note(run.pk)
    runs.believe_refusals(run, False)
    refused.note(run.pk)
    run.refresh_from_db()
    assert (run.refused_asked, suppressed(alice)) == (runs.LIMIT_KEPT, {})
    runs.believe_refusals(run, True)
    assert run.pk not in refused.to_do(), "nothing is in question any more"


def test_a_tenth_of_a_large_run_is_believed(alice):
    run = ended(alice, [DEAD] * 21, total=210)
    refused.note(run.pk)
    assert len(suppressed(alice)) == 21


def test_more_than_a_page_is_read_to_its_end(alice, monkeypatch):
    monkeypatch.setattr(refused, "PAGE", 4)
    run = ended(alice, ["5.7.1 Spam", *[DEAD] * 9, "5.2.2 full", *["User unknown"] * 3], total=20)
    refused.note(run.pk)
    assert len(suppressed(alice)) == 9


def test_the_tick_finds_runs_whose_hint_was_lost(alice):
    run = ended(alice, [DEAD])
    assert refused.to_do() == [run.pk]
    ticking.do_what_is_due()
    refused.note(run.pk)
    assert refused.to_do() == []
    refused.note(run.pk)


def test_a_run_that_is_open_waits(alice):
    (run,) = launching.launch(make_mailing(alice, 1).pk)
    refused.note(run.pk)
    assert refused.to_do() == []
    run.refresh_from_db()
    assert run.refusals_seen_at is None


def test_through_the_whole_engine_the_next_run_leaves_the_dead_out(engine, provider, alice):
    (run,) = launching.launch(make_mailing(alice, 3).pk)
    gone = address_of(run)
    provider.answers(gone, memory.PERMANENT)
    slice_of(engine, alice)
    assert run.deliveries.get(address=gone).state == "failed"
    refused.note(run.pk)
    assert suppressed(alice) == {gone: "refused"}
    again = make_mailing(alice, lists=Mailing.objects.get(pk=run.mailing_id).lists.all())
    (second,) = launching.launch(again.pk)
    assert (second.total, second.left_out) == (2, {"refused": 1})
