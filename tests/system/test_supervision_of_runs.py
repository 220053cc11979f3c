"""The managers' actions on a run under way, with real processes: nothing begins two seconds after they are pulled."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.timing import in_time, wait_until
from vestnik import supervision
from vestnik.accounts.models import AccountLetter
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing

NUMBER = 600

ACTIONS = {
    "switch": (
        lambda mailing, by: supervision.switch_off(mailing, by, "Complaints"),
        lambda mailing, by: supervision.switch_on(mailing, by),
    ),
    "block": (
        lambda mailing, by: supervision.block(mailing.owner, by, "Spam"),
        lambda mailing, by: supervision.unblock(mailing.owner, by),
    ),
}


def recipients(post):
    return sorted(letter.recipient for letter in post.letters if letter.recipient.startswith("client"))


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_stops_a_run_within_two_seconds_and_lets_it_go_on(
    alice, maria, post, run_dispatcher, settings, action
):
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"
    stop, go_on = ACTIONS[action]
    post.letters_per_second = 150
    run_dispatcher()
    mailing = make_mailing(alice, NUMBER)
    post.wait_for(100)
    stop(mailing, maria)
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() > stopped + 3.5)
    sent = recipients(post)
    run = mailing.runs.get()
    assert 100 <= len(sent) < NUMBER
    assert max(letter.arrived for letter in post.letters if letter.recipient in sent) < stopped + 2.1
    assert (run.state, run.deliveries.filter(state="sending").count()) == ("open", 0)
    wait_until(lambda: AccountLetter.objects.get().state == "sent")
    go_on(mailing, maria)
    went_on = time.monotonic()
    wait_until(lambda: len(recipients(post)) > len(sent), 5)
    in_time(time.monotonic() - went_on, 3)
    wait_until(lambda: mailing.runs.exclude(state=Run.State.OPEN).exists(), 30)
    assert recipients(post) == sorted(run.deliveries.values_list("address", flat=True))
    assert runs.totals(run.pk)["sent"] == NUMBER


def test_blocking_one_owner_leaves_another_owners_run_alone(alice, bob, maria, post, run_dispatcher):
    post.letters_per_second = 150
    run_dispatcher()
    hers, his = make_mailing(alice, 300), make_mailing(bob, 300)
    post.wait_for(100)
    supervision.block(alice, maria, "Spam")
    wait_until(lambda: his.runs.filter(state=Run.State.FINISHED).exists(), 30)
    assert runs.totals(his.runs.get().pk)["sent"] == 300
    assert runs.totals(hers.runs.get().pk)["sent"] < 300


def test_what_fell_due_while_its_owner_was_blocked_starts_when_they_are_unblocked(alice, maria, post, run_dispatcher):
    run_dispatcher()
    mailing = make_mailing(alice, 20, start=timezone.now() + timedelta(seconds=1.5))
    supervision.block(alice, maria, "Spam")
    wait_until(lambda: timezone.now() > mailing.start + timedelta(seconds=2))
    assert not mailing.runs.exists()
    supervision.unblock(alice, maria)
    unblocked = time.monotonic()
    wait_until(lambda: recipients(post), 5)
    in_time(time.monotonic() - unblocked, 2)
    wait_until(lambda: runs.totals(mailing.runs.get().pk)["sent"] == 20)
