"""What came back of letters: written down once, counted, obeyed, and not believed when it is too much."""

from datetime import timedelta

import pytest
from django.utils import timezone

from dispatcher import account_erasure
from dispatcher.ledger import refused
from dispatcher.runs import launching
from vestnik import account_deletion
from vestnik.clients.models import Suppression
from vestnik.mailings.ledger import events, runs, statistics
from vestnik.mailings.ledger.events import Report
from vestnik.mailings.ledger.models import BounceKind, DeliveryEvent, EventKind, Run
from vestnik.testing.factories import make_list, make_mailing

pytestmark = pytest.mark.usefixtures("valkey")

HARD = Report(kind=EventKind.BOUNCED, bounce=BounceKind.HARD, status="5.1.1", answer="550 5.1.1 no such", source="mail")
SOFT = Report(kind=EventKind.BOUNCED, bounce=BounceKind.SOFT, status="5.2.2", answer="552 5.2.2 full", source="mail")
POLICY = Report(kind=EventKind.BOUNCED, bounce=BounceKind.POLICY, status="5.7.1", answer="554 spam", source="mail")
COMPLAINT = Report(kind=EventKind.COMPLAINED, answer="abuse", source="mail")


def sent(alice, number=3, client_list=None, days_ago=0):
    """A run of which every letter was accepted."""
    lists = [client_list or make_list(alice, number)]
    (run,) = launching.launch(make_mailing(alice, lists=lists).pk)
    run.opened_at -= timedelta(days=days_ago)
    run.save(update_fields=["opened_at"])
    run.deliveries.update(state="sent", due_at=None, settled_at=run.opened_at)
    return run


def letters(run):
    return list(run.deliveries.order_by("client_id"))


def suppressed(owner):
    return dict(Suppression.objects.filter(owner=owner, lifted_at=None).values_list("address", "reason"))


@pytest.mark.parametrize(("report", "reason"), [(HARD, "bounced"), (COMPLAINT, "complained")])
def test_an_address_that_is_dead_or_complains_is_suppressed_at_once(alice, bob, report, reason):
    letter, *_ = letters(sent(alice))
    assert events.note(letter.pk, report)
    assert suppressed(alice) == {letter.address: reason}
    assert Suppression.objects.get().delivery_id == letter.pk
    assert not suppressed(bob)


def test_what_is_reported_again_changes_nothing(alice):
    run = sent(alice)
    letter, *_ = letters(run)
    assert [events.note(letter.pk, HARD) for _ in range(3)] == [True, False, False]
    assert not events.note(letter.pk, SOFT)
    events.note(letter.pk, COMPLAINT)
    totals = statistics.of_runs([run.pk])[run.pk]
    assert (totals.bounced, totals.complained) == (1, 1)
    assert [each.kind for each in events.of_letter(letter.pk, run)] == ["bounced", "complained"]


def test_a_hard_bounce_after_a_soft_one_is_obeyed_and_counted_once(alice):
    run = sent(alice)
    letter, *_ = letters(run)
    assert events.note(letter.pk, SOFT)
    assert not suppressed(alice)
    assert events.note(letter.pk, HARD)
    assert suppressed(alice) == {letter.address: "bounced"}
    assert statistics.of_runs([run.pk])[run.pk].bounced == 1
    assert DeliveryEvent.objects.get().bounce == "hard"


def test_the_letter_stays_sent_and_every_sum_holds(alice):
    run = sent(alice)
    events.note(letters(run)[0].pk, HARD)
    assert {letter.state for letter in letters(run)} == {"sent"}
    assert runs.totals(run.pk)["left"] == runs.totals(run.pk)["total"] - runs.totals(run.pk)["sent"]


def test_it_is_counted_in_the_quarter_in_which_its_letter_was_so_that_rates_are_of_the_same_letters(alice):
    run = sent(alice)
    letter, *_ = letters(run)
    then = timezone.now() - timedelta(days=3)
    run.deliveries.update(settled_at=then)
    events.note(letter.pk, HARD)
    (row,) = run.tallies.all()
    assert row.bounced == 1
    assert timedelta() <= then - row.hour < timedelta(minutes=15)
    report = statistics.report(alice, then - timedelta(days=1), then + timedelta(days=1), then.tzinfo)
    assert not report.totals.bounced, "its run was opened after that period"


def test_soft_bounces_of_three_runs_over_three_days_suppress_and_policies_never(alice):
    client_list = make_list(alice, 2)
    for days_ago in (3, 2, 0):
        assert not suppressed(alice), days_ago
        full, spam = letters(sent(alice, client_list=client_list, days_ago=days_ago))
        events.note(full.pk, SOFT)
        events.note(spam.pk, POLICY)
    assert suppressed(alice) == {full.address: "bounced"}


@pytest.mark.parametrize("days", [(0, 0, 0, 0), (2, 1, 0)])
def test_a_mailbox_that_was_full_for_a_day_or_two_is_written_to_again(alice, days):
    client_list = make_list(alice, 1)
    for days_ago in days:
        events.note(letters(sent(alice, client_list=client_list, days_ago=days_ago))[0].pk, SOFT)
    assert not suppressed(alice)


def test_a_second_try_of_the_same_letters_is_no_run_of_its_own(alice):
    client_list = make_list(alice, 1)
    first = sent(alice, client_list=client_list, days_ago=9)
    for days_ago in (5, 0):
        again = sent(alice, client_list=client_list, days_ago=days_ago)
        Run.objects.filter(pk=again.pk).update(again_of=first)
        events.note(letters(again)[0].pk, SOFT)
    events.note(letters(first)[0].pk, SOFT)
    assert not suppressed(alice)


def test_soft_bounces_of_another_owner_or_another_address_do_not_count(alice, bob):
    theirs = make_list(bob, 1)
    mine = make_list(alice, 1)
    theirs.clients.update(email=mine.clients.get().email)
    for days_ago in (9, 5):
        events.note(letters(sent(bob, client_list=theirs, days_ago=days_ago))[0].pk, SOFT)
        events.note(letters(sent(alice, client_list=mine, days_ago=days_ago))[0].pk, SOFT)
    mine.clients.update(email="better@example.org")
    events.note(letters(sent(alice, client_list=mine))[0].pk, SOFT)
    assert not Suppression.objects.exists()


def test_what_the_owner_lifted_since_is_not_suppressed_by_an_older_letter(alice):
    client_list = make_list(alice, 1)
    old, new = sent(alice, client_list=client_list), sent(alice, client_list=client_list)
    events.note(letters(new)[0].pk, HARD)
    Suppression.objects.update(lifted_at=timezone.now() + timedelta(seconds=1))
    assert events.note(letters(old)[0].pk, HARD)
    assert not suppressed(alice)


def test_soft_bounces_begin_again_when_the_owner_lifted_the_address(alice):
    client_list = make_list(alice, 1)
    for days_ago in (8, 4, 0):
        events.note(letters(sent(alice, client_list=client_list, days_ago=days_ago))[0].pk, SOFT)
    assert suppressed(alice)
    Suppression.objects.update(lifted_at=timezone.now())
    events.note(letters(sent(alice, client_list=client_list))[0].pk, SOFT)
    assert not suppressed(alice)


def test_what_is_queued_to_the_address_is_cancelled_with_that_reason(alice):
    client_list = make_list(alice, 2)
    letter, *_ = letters(sent(alice, client_list=client_list))
    (waiting,) = launching.launch(make_mailing(alice, lists=[client_list]).pk)
    events.note(letter.pk, COMPLAINT)
    states = dict(waiting.deliveries.values_list("address", "state"))
    assert states.pop(letter.address) == "cancelled"
    assert set(states.values()) == {"queued"}
    assert waiting.deliveries.get(address=letter.address).reason == "complained"


@pytest.mark.parametrize("report", [HARD, COMPLAINT])
def test_what_is_queued_to_a_better_address_of_the_same_client_goes_out(alice, report):
    client_list = make_list(alice, 1)
    (letter,) = letters(sent(alice, client_list=client_list))
    client_list.clients.update(email="better@example.org")
    (waiting,) = launching.launch(make_mailing(alice, lists=[client_list]).pk)
    events.note(letter.pk, report)
    assert waiting.deliveries.get().state == "queued"
    assert set(suppressed(alice)) == {letter.address}


def test_policies_and_soft_bounces_do_not_make_hard_ones_doubtful(alice):
    run = sent(alice, 60)
    for letter in letters(run)[:30]:
        events.note(letter.pk, POLICY)
    for letter in letters(run)[30:59]:
        events.note(letter.pk, SOFT)
    events.note(letters(run)[59].pk, HARD)
    assert suppressed(alice) == {letters(run)[59].address: "bounced"}
    assert Run.objects.get(pk=run.pk).refused_asked == 0


def test_a_soft_bounce_that_turns_hard_counts_once_against_the_run(alice):
    run = sent(alice, 40)
    for letter in letters(run)[:20]:
        events.note(letter.pk, SOFT)
        events.note(letter.pk, HARD)
    assert len(suppressed(alice)) == 20
    assert events.dead_addresses(run.pk) == 20


def test_who_believes_it_has_those_suppressed_whose_third_soft_bounce_it_was(alice):
    client_list = make_list(alice, 30)
    for days_ago in (8, 4, 0):
        run = sent(alice, client_list=client_list, days_ago=days_ago)
        for letter in letters(run):
            events.note(letter.pk, SOFT)
    run = Run.objects.get(pk=run.pk)
    assert (len(suppressed(alice)), run.refused_asked) == (20, 30)
    runs.believe_refusals(run, True)
    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=timezone.now())
    refused.note(run.pk)
    assert len(suppressed(alice)) == 30


def test_an_answer_that_comes_while_refusals_are_looked_at_is_not_lost(alice, monkeypatch):
    run = sent(alice, 40)
    for letter in letters(run)[:25]:
        events.note(letter.pk, HARD)
    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=timezone.now(), refusals_seen_at=None)
    look = refused._dead

    def slow(*asked):
        runs.believe_refusals(Run.objects.get(pk=run.pk), True)
        return look(*asked)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(refused, "_dead", slow)
        refused.note(run.pk)
    assert run.pk in refused.to_do(), "the tick comes again"
    refused.note(run.pk)
    assert len(suppressed(alice)) == 25


def test_more_than_a_tenth_that_bounce_are_asked_about_and_suppressed_when_their_owner_says_so(alice, caplog):
    run = sent(alice, 40)
    for letter in letters(run)[:25]:
        events.note(letter.pk, HARD)
    run = Run.objects.get(pk=run.pk)
    assert len(suppressed(alice)) == runs.ALWAYS_BELIEVED
    assert run.refused_asked == 25
    assert caplog.text.count("too many to be believed; their owner is asked") == 1

    runs.believe_refusals(run, True)
    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=timezone.now())
    refused.note(run.pk)
    assert len(suppressed(alice)) == 25
    events.note(letters(run)[30].pk, HARD)
    assert len(suppressed(alice)) == 26, "their owner believes this run"


def test_who_does_not_believe_it_is_not_asked_again(alice):
    run = sent(alice, 40)
    for letter in letters(run)[:21]:
        events.note(letter.pk, HARD)
    runs.believe_refusals(Run.objects.get(pk=run.pk), False)
    for letter in letters(run)[21:25]:
        events.note(letter.pk, HARD)
    run = Run.objects.get(pk=run.pk)
    assert (run.refused_asked, len(suppressed(alice))) == (runs.LIMIT_KEPT, 20)


def test_a_bounce_that_is_faster_than_the_receipt_is_counted(alice):
    (run,) = launching.launch(make_mailing(alice, 1).pk)
    (letter,) = letters(run)
    events.note(letter.pk, HARD)
    assert statistics.of_runs([run.pk])[run.pk].bounced == 1


def test_a_report_about_no_letter_says_nothing(alice):
    assert not events.note(987_654, HARD)
    assert not DeliveryEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_erased_account_leaves_counts_and_no_words(alice):
    run = sent(alice, 2)
    first, second = letters(run)
    quoting = Report(kind=EventKind.BOUNCED, bounce=BounceKind.HARD, answer=f"<{first.address}>: gone", source="mail")
    events.note(first.pk, quoting)
    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=timezone.now())
    account_deletion.delete_account(alice)
    account_erasure.erase(alice.pk)
    assert DeliveryEvent.objects.get().answer == ""
    events.note(second.pk, HARD)
    assert {event.answer for event in DeliveryEvent.objects.all()} == {""}
    assert not Suppression.objects.exists()
    assert statistics.of_runs([run.pk])[run.pk].bounced == 2
