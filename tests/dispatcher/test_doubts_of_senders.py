"""A sender that the mail service does not take: nobody else waits for it, and its own clients get their letters."""

import pytest
from django.utils import timezone

from dispatcher.providers.base import Outcome
from dispatcher.providers.memory import ACCEPTED, PERMANENT, Answer
from tests.dispatcher.test_doubts import RELAY, refused, uncharged, work
from tests.dispatcher.test_sending import launched, states
from vestnik.accounts.letters import AccountLetter
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Attempt
from vestnik.senders import verbs
from vestnik.senders.models import Domain, Sender
from vestnik.testing.factories import make_mailing

NOT_OURS = Answer(Outcome.PERMANENT, 550, "5.7.60 Client does not have permissions to send as this sender")
BOBS = b"<news@bobs.example>"


@pytest.fixture(autouse=True)
def mail(settings):
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"
    settings.MAIL_FROM = "herald@vestnik.example"


@pytest.fixture
def sender(bob):
    sender = verbs.save_sender(Sender(owner=bob, address="news@bobs.example"))
    verbs.confirm(sender)
    Domain.objects.update(proven_at=timezone.now())
    AccountLetter.objects.all().delete()
    sender.refresh_from_db()
    return sender


def senders(provider):
    return {letter.content.partition(b"From: ")[2].partition(b"\r\n")[0] for letter in provider.letters}


def test_a_sender_that_is_refused_halts_nobody_and_its_letters_come_from_the_installation(
    alice,
    bob,
    provider,
    lane,
    sender,
    caplog,
):
    provider.whenever(BOBS, NOT_OURS)
    his, hers = launched(make_mailing(bob, 60, sender=sender)), launched(make_mailing(alice, 5))
    work(lane, bob, alice, until=lambda: states(hers) == ["sent"] * 5)
    work(lane, bob, until=lambda: states(his) == ["sent"] * 60, seconds=30)
    assert outages.current() is None
    assert set(Attempt.objects.filter(delivery__run=his).values_list("outcome", flat=True)) == {"accepted"}
    domain = Domain.objects.get()
    assert domain.refused_at
    assert "5.7.60" in domain.refusal
    (letter,) = AccountLetter.objects.all()
    assert (letter.recipient, letter.subject) == (bob.email, "Letters no longer come from bobs.example")
    (told,) = [record for record in caplog.records if "takes no letters from bobs.example" in record.message]
    assert told.levelname == "ERROR"


def test_letters_keep_their_message_id_whoever_they_come_from(bob, provider, lane, sender):
    provider.whenever(BOBS, NOT_OURS)
    run = launched(make_mailing(bob, 30, sender=sender))
    work(lane, bob, until=lambda: states(run) == ["sent"] * 30, seconds=30)
    keys = {}
    for letter in provider.letters:
        keys.setdefault(letter.delivery_id, set()).add(letter.key)
    assert {len(each) for each in keys.values()} == {1}
    assert len(senders(provider)) == 2


def test_dead_addresses_of_a_sender_that_is_taken_are_dead(bob, provider, lane, sender):
    run = launched(make_mailing(bob, 40, sender=sender))
    dead = list(run.deliveries.order_by("pk").values_list("address", flat=True))[:8]
    vague = Answer(Outcome.PERMANENT, 550, "rejected")
    for address in dead:
        provider.answers(address, *[vague] * 5)
    work(lane, bob, until=lambda: sorted(states(run)) == ["failed"] * 8 + ["sent"] * 32)
    assert Domain.objects.get().refused_at is None


def test_certainly_dead_addresses_end_no_trust(bob, provider, lane, sender):
    run = launched(make_mailing(bob, 60, sender=sender))
    provider.always(PERMANENT)
    work(lane, bob, until=lambda: states(run) == ["failed"] * 60)
    assert Domain.objects.get().refused_at is None


def test_that_a_senders_letters_are_taken_says_nothing_of_the_installations_own_address(
    alice,
    bob,
    provider,
    lane,
    sender,
):
    provider.always(RELAY)
    provider.whenever(BOBS, ACCEPTED)
    hers = launched(make_mailing(alice, 60))
    his = launched(make_mailing(bob, 400, sender=sender))
    work(lane, alice, bob, until=refused)
    assert uncharged(hers)
    assert set(states(his)) <= {"sent", "queued", "sending"}


def test_when_its_owner_has_it_tried_again_and_it_is_taken_now_letters_come_from_it(
    bob,
    provider,
    lane,
    sender,
):
    provider.whenever(BOBS, NOT_OURS)
    first = launched(make_mailing(bob, 30, sender=sender))
    work(lane, bob, until=lambda: states(first) == ["sent"] * 30, seconds=30)
    provider.whenever(BOBS, ACCEPTED)
    verbs.try_again(Domain.objects.get())
    provider.letters.clear()
    second = launched(make_mailing(bob, 5, sender=sender))
    work(lane, bob, until=lambda: states(second) == ["sent"] * 5)
    assert senders(provider) == {b"Bob Baker <news@bobs.example>"}
