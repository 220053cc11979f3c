import threading
import uuid
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from tests.elsewhere import begin, elsewhere
from tests.web.ledger import make_run
from vestnik import access, account_deletion, confirmation, sharing
from vestnik.accounts import audit
from vestnik.accounts.models import AccountLetter, AuditEntry, Share, User
from vestnik.clients import verbs as clients
from vestnik.mailings import verbs
from vestnik.mailings.ledger import dead_letters
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing, MailingUserObjectPermission, Message
from vestnik.testing.factories import make_list, make_mailing, make_message


@pytest.fixture(autouse=True)
def stored_mail(settings, valkey):
    """Letters of Vestnik's own are stored, as they are outside of tests."""
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"


@pytest.fixture
def message(alice):
    return make_message(alice)


@pytest.fixture
def carol(db):
    """She has registered, and has not confirmed her address."""
    return User.objects.create_user("carol@example.org", "a long password", confirmed_at=None)


def rights(user, thing):
    user = User.objects.get(pk=user.pk)
    return [action for action in access.ACTIONS if access.may(user, action, thing)]


def test_sharing_gives_rights_at_once_and_taking_back_ends_them(alice, bob, message):
    share = sharing.share(message, alice, " BOB@Example.org ", "view")
    assert (share.address, share.level) == ("bob@example.org", "view")
    assert rights(bob, message) == ["view"]
    assert sharing.shares_of(message) == [share]
    sharing.unshare(share, alice)
    assert rights(bob, message) == []
    assert sharing.shares_of(message) == []
    sharing.unshare(share, alice)


def test_a_share_says_the_same_whoever_has_the_address(alice, bob, carol, message):
    shares = [sharing.share(message, alice, address, "edit") for address in (bob.email, carol.email, "no@example.org")]
    assert {(share.level, str(share).partition("→")[0]) for share in shares} == {("edit", str(shares[0])[:-17])}
    assert sharing.shares_of(message) == sorted(shares, key=lambda share: share.address)
    entries = AuditEntry.objects.order_by("pk").values_list("action", "person_address", "label", "reason")
    assert list(entries) == [("shared", share.address, "News", "edit") for share in shares]


def test_what_waits_for_an_address_is_given_when_it_is_confirmed(alice, carol, message):
    friends = make_list(alice)
    sharing.share(message, alice, carol.email, "edit")
    sharing.share(friends, alice, carol.email, "view")
    assert rights(carol, message) == []
    confirmation.confirm(carol)
    assert rights(carol, message) == ["view", "change"]
    assert rights(carol, friends) == ["view"]
    confirmation.confirm(carol)
    assert rights(carol, message) == ["view", "change"]


def test_what_waits_for_an_address_is_given_by_a_handful_of_statements(alice, carol, django_assert_max_num_queries):
    for number in range(10):
        sharing.share(make_message(alice, subject=str(number)), alice, carol.email, "view")
    with django_assert_max_num_queries(12):
        confirmation.confirm(carol)
    assert Message.objects.own_or_shared(carol).count() == 10


def test_the_blocked_get_nothing_while_they_are(alice, bob, message):
    User.objects.filter(pk=bob.pk).update(is_active=False)
    sharing.share(message, alice, bob.email, "view")
    confirmation.confirm(User.objects.get(pk=bob.pk))
    User.objects.filter(pk=bob.pk).update(is_active=True)
    assert rights(bob, message) == []
    sharing.receive(User.objects.get(pk=bob.pk))
    assert rights(bob, message) == ["view"]


def test_a_second_share_raises_the_level_or_lowers_it(alice, bob, message):
    first = sharing.share(message, alice, bob.email, "view")
    assert sharing.share(message, alice, bob.email, "edit") == first
    assert rights(bob, message) == ["view", "change"]
    sharing.share(message, alice, bob.email, "view")
    assert rights(bob, message) == ["view"]
    sharing.share(message, alice, bob.email, "view")
    assert Share.objects.count() == 1
    assert AuditEntry.objects.count() == 3


@pytest.mark.parametrize(
    ("address", "level", "field"),
    [
        ("alice@example.org", "view", "address"),
        ("ALICE@example.org", "view", "address"),
        ("alice", "view", "address"),
        ("", "view", "address"),
        (f"{'a' * 300}@example.org", "view", "address"),
        ("bob@example.org\nBcc: x@example.org", "view", "address"),
        ("bob@example.org", "delete", "level"),
        ("bob@example.org", "", "level"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(alice, bob, message, address, level, field):
    with pytest.raises(ValidationError) as refusal:
        sharing.share(message, alice, address, level)
    assert set(refusal.value.message_dict) == {field}
    assert not Share.objects.exists()
    assert not AuditEntry.objects.exists()


def test_only_its_owner_shares_a_thing_and_takes_it_back(alice, bob, maria, message):
    share = sharing.share(message, alice, bob.email, "edit")
    for other in (bob, maria, User.objects.create_superuser("root@example.org", "a long password")):
        with pytest.raises(ValidationError, match="Only its owner"):
            sharing.share(message, other, "dora@example.org", "view")
        with pytest.raises(ValidationError, match="Only its owner"):
            sharing.unshare(share, other)
    assert rights(bob, message) == ["view", "change"]


def test_who_changes_their_address_keeps_what_was_shared_with_them(alice, bob, message):
    share = sharing.share(message, alice, bob.email, "view")
    bob.email = "robert@example.org"
    bob.save()
    confirmation.confirm(bob)
    other = User.objects.create_user("bob@example.org", "a long password")
    sharing.receive(other)
    assert (rights(bob, message), rights(other, message)) == (["view"], [])
    sharing.unshare(share, alice)
    assert rights(bob, message) == []


def test_of_two_shares_with_one_person_the_stronger_counts(alice, bob, message):
    sharing.share(message, alice, bob.email, "view")
    strong = sharing.share(message, alice, "robert@example.org", "edit")
    bob.email = "robert@example.org"
    bob.save()
    confirmation.confirm(bob)
    assert rights(bob, message) == ["view", "change"]
    sharing.unshare(strong, alice)
    assert rights(bob, message) == ["view"]


def test_an_owner_who_takes_over_an_address_keeps_their_rights(alice, message):
    share = sharing.share(message, alice, "other@example.org", "view")
    alice.email = "other@example.org"
    alice.save()
    confirmation.confirm(alice)
    sharing.unshare(share, alice)
    assert rights(alice, message) == ["view", "change", "delete"]


def test_a_shared_message_can_be_sent_and_is_still_there_when_it_is_taken_back(alice, bob, message):
    share = sharing.share(message, alice, bob.email, "view")
    mailing = make_mailing(bob, message=message)
    sharing.unshare(share, alice)
    mailing.refresh_from_db()
    assert mailing.message.owner == bob
    assert (mailing.message.subject, mailing.message.text) == (message.subject, message.text)
    assert rights(bob, mailing.message) == ["view", "change", "delete"]
    verbs.save_mailing(mailing)


def test_a_shared_message_can_be_deleted_and_others_go_on_with_copies(alice, bob, message):
    sharing.share(message, alice, bob.email, "view")
    mailing = make_mailing(bob, message=message)
    verbs.delete_message(message)
    mailing.refresh_from_db()
    assert mailing.message.owner == bob


def test_shares_go_with_what_was_shared(alice, bob):
    mailing = make_mailing(alice, 1)
    message, client_list = mailing.message, mailing.lists.get()
    for thing in (mailing, message, client_list):
        sharing.share(thing, alice, bob.email, "view")
    verbs.delete_mailing(mailing)
    verbs.delete_message(message)
    clients.delete_list(client_list)
    assert not Share.objects.exists()


@pytest.mark.parametrize("end", ["owner", "receiver"])
def test_shares_go_with_an_account_at_either_end(alice, bob, end):
    mailing, his = make_mailing(alice, 1), make_message(bob)
    for thing in (mailing, mailing.message, mailing.lists.get()):
        sharing.share(thing, alice, bob.email, "edit")
    kept = sharing.share(his, bob, "dora@example.org", "view") if end == "owner" else None
    account_deletion.delete_account(alice if end == "owner" else bob)
    assert list(Share.objects.all()) == ([kept] if kept else [])
    assert rights(bob, mailing) == []
    assert not MailingUserObjectPermission.objects.filter(user=bob).exists()
    assert MailingUserObjectPermission.objects.filter(user=alice, content_object=mailing).count() == 3


def test_who_registers_again_does_not_get_what_was_shared_before(alice, bob, message):
    sharing.share(message, alice, bob.email, "view")
    account_deletion.delete_account(bob)
    again = User.objects.create_user("bob@example.org", "a long password")
    sharing.receive(again)
    assert rights(again, message) == []


@pytest.mark.django_db(transaction=True)
def test_sharing_and_confirming_at_once_lose_nothing(alice, carol, message, monkeypatch):
    """The owner's transaction is open, its share not yet to be seen, when the other confirms."""
    began, finish, grant = threading.Event(), threading.Event(), audit.write

    def slow_write(*args, **kwargs):
        began.set()
        finish.wait(10)
        return grant(*args, **kwargs)

    monkeypatch.setattr(audit, "write", slow_write)
    sharer = begin(lambda: sharing.share(message, alice, carol.email, "view"))
    began.wait(10)
    carol.confirmed_at = timezone.now()
    carol.save()
    confirmer = elsewhere(lambda: sharing.receive(carol))
    assert not confirmer.done()
    finish.set()
    sharer.result(30)
    confirmer.result(30)
    assert rights(carol, message) == ["view"]


def test_the_owner_of_a_shared_mailing_stays_who_it_was(alice, bob):
    mailing = make_mailing(alice, 1)
    sharing.share(mailing, alice, bob.email, "edit")
    mailing.name = "Bob's idea"
    verbs.save_mailing(mailing, by=bob)
    assert Mailing.objects.get().owner == alice
    verbs.pause(mailing)
    verbs.resume(mailing)
    assert rights(alice, mailing) == ["view", "change", "delete"]


# What an editor has written, after they may write no more


@pytest.fixture
def mailing(alice):
    return make_mailing(alice, 2, name="Alice's news", start=timezone.now() + timedelta(days=1))


def chosen(mailing, by, message, **settings):
    """The mailing after `by` has chosen the message for it."""
    mailing = Mailing.objects.get(pk=mailing.pk)
    mailing.message = message
    return verbs.save_mailing(mailing, by=by, from_address="192.0.2.7", **settings)


def letters_to(person):
    return list(AccountLetter.objects.filter(recipient=person.email).order_by("pk").values_list("subject", flat=True))


def test_what_an_editor_chooses_is_copied_for_the_owner_who_is_told(alice, bob, mailing):
    sharing.share(mailing, alice, bob.email, "edit")
    theirs = make_message(bob, subject="Bob's words")
    sharing.share(theirs, bob, alice.email, "view")
    chosen(mailing, bob, theirs)

    mailing.refresh_from_db()
    copy = mailing.message
    assert (copy.owner, copy.subject, copy.text) == (alice, theirs.subject, theirs.text)
    assert rights(alice, copy) == ["view", "change", "delete"]
    assert rights(bob, copy) == []
    theirs.text = "Something else entirely"
    verbs.save_message(theirs)
    mailing.refresh_from_db()
    assert mailing.message.text == copy.text
    entry = AuditEntry.objects.get(action="copied")
    assert (entry.actor_address, entry.object_id, entry.from_address) == (bob.email, copy.pk, "192.0.2.7")
    assert entry.reason == "“Alice's news”"
    assert letters_to(alice)[-1] == "Another message was chosen for your mailing “Alice's news”"
    chosen(mailing, bob, copy)  # saving it again copies nothing
    theirs.text = copy.text
    verbs.save_message(theirs)
    assert chosen(mailing, bob, theirs).message == copy  # nor does choosing the same words once more
    assert Message.objects.filter(owner=alice).count() == 2


def test_what_an_editor_chooses_of_the_owners_own_is_no_copy(alice, bob, mailing):
    sharing.share(mailing, alice, bob.email, "edit")
    another = make_message(alice, subject="Another")
    sharing.share(another, alice, bob.email, "view")
    assert chosen(mailing, bob, another).message == another
    assert not AuditEntry.objects.filter(action="copied").exists()


@pytest.mark.parametrize("how", ["taken back", "lowered"])
def test_who_may_no_longer_change_a_mailing_does_not_change_its_message_either(alice, bob, mailing, how):
    theirs = make_message(bob, subject="Bob's words", text="As it was")
    sharing.share(theirs, bob, alice.email, "view")
    share = sharing.share(mailing, alice, bob.email, "edit")
    chosen(mailing, alice, theirs)
    mailing.refresh_from_db()
    assert mailing.message == theirs  # by the owner's own choice

    if how == "lowered":
        sharing.share(mailing, alice, bob.email, "view", "192.0.2.9")
    else:
        sharing.unshare(share, alice, "192.0.2.9")
    theirs.text = "Something else entirely"
    verbs.save_message(theirs)
    mailing.refresh_from_db()
    assert (mailing.message.owner, mailing.message.text) == (alice, "As it was")
    entry = AuditEntry.objects.get(action="copied")
    assert (entry.actor_address, entry.from_address) == (alice.email, "192.0.2.9")


def test_whose_message_is_taken_back_goes_on_with_a_copy_and_is_told(alice, bob, message):
    share = sharing.share(message, alice, bob.email, "view")
    first, second = (make_mailing(bob, 1, message=message, name=f"Bob's {name}") for name in ("first", "second"))
    sharing.unshare(share, alice, "192.0.2.9")

    for mailing in (first, second):
        mailing.refresh_from_db()
    assert first.message == second.message != message
    assert first.message.owner == bob
    entry = AuditEntry.objects.get(action="copied")
    assert (entry.actor_address, entry.person_address) == (alice.email, bob.email)
    assert entry.reason == "“Bob's first”, “Bob's second”"
    assert letters_to(bob)[-1] == "Your mailings go on with a copy of “News”"


# The letters


def content_of(letter):
    mail = message_from_bytes(bytes(letter.content), policy=policy.default)
    return mail["Subject"], mail.get_content()


def test_who_something_is_shared_with_reads_of_it_whether_or_not_they_have_an_account(alice, bob, carol, message):
    User.objects.filter(pk=carol.pk).update(language="ru")
    said = set()
    for address in (bob.email, carol.email, "nobody@example.org"):
        sharing.share(message, alice, address, "edit")
        letter = AccountLetter.objects.get(recipient=address)
        subject, text = content_of(letter)
        assert subject == "A message is shared with you"
        assert "Alice Archer (alice@example.org) lets you see and change a message at" in text
        assert "“News”" in text
        said.add(text.replace(address, "ADDRESS"))
    assert len(said) == 1


@pytest.mark.parametrize(
    "name", ["Win at https://evil.example/x", "www.evil", "evil.example", "mail me@evil", "x" * 200]
)
def test_an_invitation_carries_no_words_to_strangers_but_harmless_names(alice, name):
    User.objects.filter(pk=alice.pk).update(full_name=name)
    alice.refresh_from_db()
    mailing = make_mailing(alice, 1, name=name)
    sharing.share(mailing, alice, "nobody@example.net", "view")
    _subject, text = content_of(AccountLetter.objects.get())
    assert "evil" not in text
    assert "x" * 81 not in text
    assert "alice@example.org" in text


def test_a_second_share_that_says_nothing_new_writes_no_letter(alice, bob, message):
    sharing.share(message, alice, bob.email, "view")
    sharing.share(message, alice, bob.email, "view")
    assert len(letters_to(bob)) == 1
    sharing.share(message, alice, bob.email, "edit")
    assert len(letters_to(bob)) == 2


def test_an_address_is_invited_so_often_and_no_more_and_the_share_says_the_same(alice, bob, settings):
    settings.INVITATIONS_PER_ADDRESS = 3
    for number in range(5):
        sharing.share(make_message(alice if number % 2 else bob), alice if number % 2 else bob, "x@example.net", "view")
    assert AccountLetter.objects.filter(recipient="x@example.net").count() == 3
    assert Share.objects.count() == 5
    AccountLetter.objects.update(created_at=timezone.now() - timedelta(hours=25))
    sharing.share(make_message(alice), alice, "x@example.net", "view")
    assert AccountLetter.objects.filter(recipient="x@example.net").count() == 4


def test_an_owner_shares_so_often_a_day_and_so_much_and_no_more(alice, bob, message, settings):
    settings.SHARES_PER_DAY = 3
    for number in range(3):
        sharing.unshare(sharing.share(message, alice, f"x{number}@example.net", "view"), alice)
    with pytest.raises(ValidationError, match="go on tomorrow") as refusal:
        sharing.share(message, alice, "y@example.net", "view")
    assert set(refusal.value.message_dict) == {"address"}
    settings.SHARES_PER_DAY, settings.SHARES_PER_OWNER = 50, 2
    for number in range(2):
        sharing.share(message, alice, f"x{number}@example.net", "view")
    with pytest.raises(ValidationError, match="as many as one may have"):
        sharing.share(message, alice, "y@example.net", "view")
    sharing.share(message, alice, "x1@example.net", "edit")  # no new one
    sharing.share(make_message(bob), bob, "y@example.net", "view")


# Taken back at the very moment


def renamed(thing, by):
    if isinstance(thing, Message):
        thing.subject = "Changed"
        return verbs.save_message(thing, by=by)
    thing.name = "Changed"
    return verbs.save_mailing(thing, by=by)


@pytest.mark.parametrize("how", ["taken back", "lowered", "blocked"])
@pytest.mark.parametrize("kind", ["mailing", "message"])
def test_who_passed_the_door_before_it_was_closed_changes_nothing(alice, bob, mailing, message, kind, how):
    thing = {"mailing": mailing, "message": message}[kind]
    share = sharing.share(thing, alice, bob.email, "edit")
    assert access.may(bob, "change", thing)
    if how == "blocked":
        User.objects.filter(pk=bob.pk).update(is_active=False)
    elif how == "lowered":
        sharing.share(thing, alice, bob.email, "view")
    else:
        sharing.unshare(share, alice)
    with pytest.raises(ValidationError, match="may not change this any longer"):
        renamed(thing, bob)
    assert "Changed" not in str(type(thing).objects.get(pk=thing.pk))
    renamed(thing, alice)
    assert "Changed" in str(type(thing).objects.get(pk=thing.pk))


def test_who_passed_the_door_before_it_was_closed_sends_nothing(alice, bob, message):
    mailing = make_mailing(alice, 2)
    Mailing.objects.update(next_at=None)
    share = sharing.share(mailing, alice, bob.email, "edit")
    sharing.unshare(share, alice)
    with pytest.raises(ValidationError, match="may not change this any longer"):
        verbs.send_now(mailing, by=bob)
    run = verbs.send_now(mailing, by=alice)
    with pytest.raises(ValidationError, match="may not change this any longer"):
        verbs.try_again(run, by=bob)


@pytest.mark.parametrize("verb", [verbs.pause, verbs.resume, verbs.cancel])
def test_who_passed_the_door_before_it_was_closed_stops_and_starts_nothing(alice, bob, verb):
    mailing = make_mailing(alice, 2)
    Mailing.objects.update(next_at=None)
    verbs.send_now(mailing)
    if verb == verbs.resume:
        verbs.pause(mailing)
    share = sharing.share(mailing, alice, bob.email, "edit")
    sharing.unshare(share, alice)
    before = (Mailing.objects.values().get(), Run.objects.values().get())
    with pytest.raises(ValidationError, match="may not change this any longer"):
        verb(mailing, by=bob)
    assert (Mailing.objects.values().get(), Run.objects.values().get()) == before
    verb(mailing, by=alice)
    assert (Mailing.objects.values().get(), Run.objects.values().get()) != before


def test_who_passed_the_door_before_it_was_closed_tries_no_dead_letters_again(alice, bob):
    run = make_run(alice, failed=2)
    share = sharing.share(run.mailing, alice, bob.email, "edit")
    mine = list(dead_letters.runs_of(bob).values_list("pk", flat=True))
    sharing.unshare(share, alice)
    still = Run.objects.filter(pk__in=mine)
    tried = dead_letters.try_again(still, [letter.pk for letter in run.deliveries.all()], uuid.uuid4(), bob)
    assert (tried.runs, list(tried.refused)) == ([], ["You may not change this any longer."])
    assert dead_letters.try_again(still, [letter.pk for letter in run.deliveries.all()], uuid.uuid4(), alice).runs


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["taken back", "lowered"])
@pytest.mark.parametrize("kind", ["mailing", "message"])
def test_who_saves_while_it_is_taken_back_waits_and_is_refused(alice, bob, kind, how, monkeypatch):
    thing = make_mailing(alice) if kind == "mailing" else make_message(alice)
    share = sharing.share(thing, alice, bob.email, "edit")
    began, finish, write, said = threading.Event(), threading.Event(), audit.write, []

    def slow_write(*args, **kwargs):
        began.set()
        finish.wait(10)
        return write(*args, **kwargs)

    def save():
        try:
            renamed(type(thing).objects.get(pk=thing.pk), bob)
        except ValidationError as refusal:
            said.extend(refusal.messages)

    monkeypatch.setattr(audit, "write", slow_write)
    take = sharing.unshare if how == "taken back" else lambda *_: sharing.share(thing, alice, bob.email, "view")
    owner = begin(lambda: take(share, alice))
    began.wait(10)
    editor = elsewhere(save)
    assert not editor.done()
    finish.set()
    owner.result(30)
    editor.result(30)
    assert said == ["You may not change this any longer."]
