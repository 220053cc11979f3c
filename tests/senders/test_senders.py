"""Senders: who agrees, what is proven, and in whose name a letter goes out until then."""

import re
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from tests.elsewhere import elsewhere
from vestnik import account_deletion
from vestnik.accounts.audit import AuditEntry
from vestnik.accounts.letters import AccountLetter
from vestnik.mailings import verbs as mailings
from vestnik.mailings.ledger import runs
from vestnik.senders import letters, standing, verbs
from vestnik.senders.models import Domain, Sender, covering, is_open
from vestnik.testing.factories import make_mailing

HERALD = "herald@vestnik.example"


def sender_of(owner, address="news@shop.example", confirmed=True, proven=True, **fields):
    sender = verbs.save_sender(Sender(owner=owner, address=address, **fields))
    if confirmed:
        verbs.confirm(sender)
    if proven:
        Domain.objects.filter(owner=owner, name=sender.domain).update(proven_at=timezone.now())
    sender.refresh_from_db()
    return sender


def token_of(letter):
    return re.search(r"/senders/confirm/(\S+)/", bytes(letter.content).decode().replace("=\r\n", "")).group(1)


@pytest.fixture(autouse=True)
def from_herald(settings):
    settings.MAIL_FROM = HERALD
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"


def test_a_new_sender_is_asked_by_a_letter_and_agrees_by_its_link(alice):
    alice.full_name = "Alice Archer"
    sender = sender_of(alice, confirmed=False)
    (letter,) = AccountLetter.objects.all()
    assert letter.recipient == "news@shop.example"
    assert b"Alice Archer (alice@example.org)" in bytes(letter.content)
    assert sender.confirmed_at is None
    assert letters.asked(token_of(letter)) == sender


def test_the_owners_own_confirmed_address_agrees_by_itself(alice):
    assert sender_of(alice, alice.email, confirmed=False).confirmed_at is not None
    assert not AccountLetter.objects.exists()


def test_a_link_is_good_for_three_days_and_only_while_the_sender_is_there(alice, time_machine):
    sender = sender_of(alice, confirmed=False)
    token = token_of(AccountLetter.objects.get())
    assert letters.asked(token + "x") is None
    time_machine.move_to(timezone.now() + timedelta(days=2, hours=23))
    assert letters.asked(token) == sender
    time_machine.move_to(timezone.now() + timedelta(hours=2))
    assert letters.asked(token) is None
    time_machine.move_to(timezone.now() - timedelta(days=1))
    verbs.delete_sender(sender)
    assert letters.asked(token) is None


def test_nobody_can_have_us_write_to_a_stranger_again_and_again(alice, settings):
    settings.INVITATIONS_PER_ADDRESS = 3
    sender = sender_of(alice, confirmed=False)
    verbs.ask_again(sender)
    verbs.ask_again(sender)
    with pytest.raises(ValidationError, match="often today"):
        verbs.ask_again(sender)
    verbs.delete_sender(sender)
    with pytest.raises(ValidationError, match="often today"):
        sender_of(alice, confirmed=False)
    assert not Sender.objects.exists()
    assert AccountLetter.objects.count() == 3


def test_the_name_of_who_asks_carries_no_link_to_strangers(alice):
    alice.full_name = "Win now at www.example.com"
    sender_of(alice, confirmed=False)
    assert b"example.com" not in bytes(AccountLetter.objects.get().content)


@pytest.mark.parametrize(
    ("confirmed", "proven", "address", "reply_to"),
    [
        (False, False, HERALD, "alice@example.org"),
        (False, True, HERALD, "alice@example.org"),
        (True, False, HERALD, "news@shop.example"),
        (True, True, "news@shop.example", ""),
    ],
)
def test_letters_come_from_a_sender_that_agreed_and_whose_domain_is_proven(alice, confirmed, proven, address, reply_to):
    sender = sender_of(alice, confirmed=confirmed, proven=proven, name="The Shop")
    assert standing.comes_from(alice, sender) == standing.From(address, "The Shop", reply_to)


def test_names_are_the_mailings_the_senders_or_the_owners(alice):
    alice.full_name = "Alice"
    plain, named = sender_of(alice), sender_of(alice, "shop@shop.example", name="Shop")
    assert [standing.comes_from(alice, sender, name).name for sender, name in [
        (None, ""), (None, "Sale"), (plain, ""), (named, ""), (named, "Sale")
    ]] == ["Alice", "Sale", "Alice", "Shop", "Sale"]  # fmt: skip


def test_answers_go_to_another_address_only_if_the_owner_has_confirmed_it(alice):
    with pytest.raises(ValidationError, match="only to an address that you have confirmed"):
        verbs.save_sender(Sender(owner=alice, address="news@shop.example", reply_to="victim@example.org"))
    sender_of(alice, "desk@shop.example")
    sender = sender_of(alice, reply_to="desk@shop.example")
    assert standing.comes_from(alice, sender).reply_to == "desk@shop.example"
    assert sender_of(alice, "third@shop.example", reply_to=alice.email).reply_to == alice.email


def test_a_senders_address_never_changes_and_its_agreement_cannot_be_typed(alice):
    sender = sender_of(alice, confirmed=False)
    sender.address, sender.confirmed_at, sender.name = "boss@bank.example", timezone.now(), "New name"
    verbs.save_sender(sender)
    sender.refresh_from_db()
    assert (sender.address, sender.confirmed_at, sender.name) == ("news@shop.example", None, "New name")


def test_one_address_is_one_sender_of_an_owner_and_others_may_have_it_as_well(alice, bob):
    sender_of(alice)
    with pytest.raises(ValidationError, match="already"):
        sender_of(alice)
    sender_of(bob)
    assert Sender.objects.count() == 2


def test_what_one_owner_has_proven_is_not_anothers(alice, bob):
    sender_of(alice)
    assert is_open(alice.pk, "shop.example")
    assert not is_open(bob.pk, "shop.example")
    assert standing.comes_from(bob, sender_of(bob, proven=False)).address == HERALD


def test_where_the_mail_service_knows_its_senders_only_administrators_open_a_domain(alice, maria, settings):
    settings.SENDER_DOMAINS = "allowed"
    sender = sender_of(alice)
    assert not standing.may_come_from(sender)
    verbs.allow(Domain.objects.get(), maria)
    assert standing.may_come_from(sender)


@pytest.mark.parametrize(
    ("name", "open_to_alice"),
    [("shop.example", True), ("news.shop.example", True), ("a.b.shop.example", True), ("othershop.example", False),
     ("example", False), ("shop.example.org", False)],
)  # fmt: skip
def test_a_domain_speaks_for_all_below_it_and_for_nothing_else(alice, name, open_to_alice):
    Domain.objects.create(owner=alice, name="shop.example", proven_at=timezone.now())
    assert is_open(alice.pk, name) == open_to_alice


def test_the_domains_above_one_end_where_somebody_registered_it():
    assert covering("a.b.shop.example") == ["a.b.shop.example", "b.shop.example", "shop.example"]
    assert covering("shop.example") == ["shop.example"]
    assert covering("news.shop.co.uk") == ["news.shop.co.uk", "shop.co.uk"]
    assert covering("alice.github.io") == ["alice.github.io"]
    assert covering("co.uk") == ["co.uk"]
    assert covering("example") == ["example"]


def test_an_administrator_allows_a_domain_to_its_owner_or_to_everybody(alice, bob, maria):
    domain = verbs.add_domain(alice, "shop.example")
    verbs.allow(domain, maria)
    assert is_open(alice.pk, "shop.example")
    assert not is_open(bob.pk, "shop.example")
    company = verbs.domain_of_installation("company.example")
    Domain.objects.filter(pk=company.pk).update(proven_at=timezone.now())  # the operator's own proof is nobody else's
    assert not is_open(bob.pk, "company.example")
    verbs.allow(company, maria)
    assert is_open(bob.pk, "company.example")
    verbs.disallow(company, maria)
    assert not is_open(bob.pk, "company.example")
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "label")) == [
        ("allowed", "shop.example"), ("allowed", "company.example"), ("disallowed", "company.example")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "name"),
    [("Shop.Example", "shop.example"), ("  https://shop.example/ ", "shop.example"),
     ("news@shop.example", "shop.example"), ("пример.рф", "xn--e1afmkfd.xn--p1ai"), ("shop.example.", "shop.example")],
)  # fmt: skip
def test_a_domain_is_taken_as_people_write_it(alice, written, name):
    assert verbs.add_domain(alice, written).name == name
    assert verbs.add_domain(alice, written) == Domain.objects.get()


@pytest.mark.parametrize("written", ["", "shop", "shop..example", "a b.example", "-x.example", "x" * 300 + ".example"])
def test_what_is_no_domain_is_refused(alice, written):
    with pytest.raises(ValidationError, match="no name of a domain"):
        verbs.add_domain(alice, written)


@pytest.mark.django_db(transaction=True)
def test_there_are_no_more_than_one_may_have_however_many_are_made_at_once(alice, settings):
    settings.SENDERS_PER_OWNER = 1
    with transaction.atomic():
        verbs.save_sender(Sender(owner=alice, address="a@shop.example"))
        second = elsewhere(lambda: verbs.save_sender(Sender(owner=alice, address="b@shop.example")))
        assert not second.done()
    with pytest.raises(ValidationError, match="as many as one may have"):
        second.result(30)
    with pytest.raises(ValidationError, match="as many as one may have"):
        verbs.add_domain(alice, "other.example")


def test_a_run_goes_out_in_the_name_that_stood_when_it_began(alice):
    sender = sender_of(alice, name="The Shop", proven=False)
    mailing = make_mailing(alice, 1, sender=sender)
    before = runs.open_run(mailing, mailing.end)
    assert (before.sender, before.sender_name, before.reply_to) == (HERALD, "The Shop", "news@shop.example")
    before.delete()
    Domain.objects.update(proven_at=timezone.now())
    after = runs.open_run(mailing, mailing.end)
    assert (after.sender, after.sender_name, after.reply_to) == ("news@shop.example", "The Shop", "")


def test_a_mailing_takes_only_its_owners_senders_and_only_from_its_owner(alice, bob):
    with pytest.raises(ValidationError, match="own senders"):
        make_mailing(alice, 1, sender=sender_of(bob))
    mailing = make_mailing(alice, 1)
    from vestnik import sharing

    sharing.share(mailing, alice, bob.email, "edit")
    mailing.sender = sender_of(alice)
    with pytest.raises(ValidationError, match="in whose name"):
        mailings.save_mailing(mailing, by=bob)


def test_a_mailing_whose_sender_is_deleted_goes_on_in_the_installations_name(alice):
    sender = sender_of(alice)
    mailing = make_mailing(alice, 1, sender=sender)
    verbs.delete_sender(sender)
    mailing.refresh_from_db()
    assert mailing.comes_from.address == HERALD


def test_senders_domains_and_keys_go_with_the_account(alice):
    assert {Sender, Domain} <= {model for model, _way in account_deletion.OF_ACCOUNT}


def test_whoever_adds_and_deletes_senders_all_day_writes_to_no_more_strangers_than_one_may(alice, settings):
    settings.SENDERS_PER_OWNER = 3
    for number in range(3):
        verbs.delete_sender(sender_of(alice, f"a@shop{number}.example", confirmed=False, proven=False))
    with pytest.raises(ValidationError, match="3 times within a day"):
        sender_of(alice, "a@shop9.example", confirmed=False, proven=False)
    assert not Domain.objects.exists()  # a domain goes with its last sender, if nothing is known of it
    assert AccountLetter.objects.count() == 3
    assert {entry.label for entry in AuditEntry.objects.all()} == {f"a@shop{number}.example" for number in range(3)}


def test_a_domain_stays_for_another_sender_and_where_something_is_known_of_it(alice):
    first, second = sender_of(alice, proven=False), sender_of(alice, "b@shop.example", proven=False)
    verbs.delete_sender(first)
    assert Domain.objects.exists()
    Domain.objects.update(proven_at=timezone.now())
    verbs.delete_sender(second)
    assert Domain.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_who_add_one_domain_at_once_get_the_same(alice):
    with transaction.atomic():
        first = verbs.add_domain(alice, "shop.example")
        second = elsewhere(lambda: verbs.add_domain(alice, "shop.example"))
    assert second.result(30) == first


def test_whose_sender_is_gone_writes_on_in_the_installations_name(alice):
    sender = sender_of(alice, name="Shop")
    frozen = standing.comes_from(alice, sender)
    assert standing.still(alice.pk, frozen) == frozen
    Domain.objects.update(proven_at=None)
    fallen_back = standing.From(HERALD, "Shop", alice.email)
    assert standing.still(alice.pk, frozen) == fallen_back
    Domain.objects.update(proven_at=timezone.now())
    verbs.delete_sender(sender)
    assert standing.still(alice.pk, frozen) == fallen_back


def test_a_domain_that_the_mail_service_refuses_is_told_of_once_and_tried_again_when_its_owner_says_so(alice):
    sender = sender_of(alice)
    before = AccountLetter.objects.count()
    for _time in range(2):
        verbs.refuse(alice.pk, "shop.example", "550 5.7.60 not allowed to send as this sender")
    assert not standing.may_come_from(sender)
    assert AccountLetter.objects.count() == before + 1
    assert AccountLetter.objects.latest("pk").subject == "Letters no longer come from shop.example"
    verbs.try_again(Domain.objects.get())
    assert standing.may_come_from(sender)


def test_however_many_senders_there_are_one_query_says_which_are_ready(alice, django_assert_num_queries):
    for number in range(10):
        sender_of(alice, f"a{number}@shop.example", confirmed=number % 2 == 0)
    with django_assert_num_queries(2):
        assert sum(standing.ready(alice).values()) == 5
