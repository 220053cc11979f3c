"""Who may see and do what: the rules of the table, one by one."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.core.exceptions import ValidationError
from django.utils import timezone

from vestnik import access, sharing
from vestnik.accounts import groups
from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing, Message
from vestnik.testing.factories import make_clients, make_list, make_mailing, make_message


def fresh(user):
    """The same user with nothing remembered, as the next request has them."""
    return User.objects.get(pk=user.pk)


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@example.org", "a long password")


@pytest.fixture
def carol(db):
    """She writes the blog."""
    user = User.objects.create_user("carol@example.org", "a long password")
    user.groups.add(Group.objects.get(name=groups.CONTENT_MANAGERS))
    return user


@pytest.fixture
def mailing(alice):
    return make_mailing(alice, 2)


def things_of(mailing):
    return [mailing, mailing.message, mailing.lists.get()]


def test_an_owner_does_everything_with_their_own(alice, mailing):
    for thing in things_of(mailing):
        assert all(access.may(alice, action, thing) for action in access.ACTIONS)
        assert access.may_share(alice, thing)
        assert list(access.own_or_shared(alice, type(thing).objects.all())) == [thing]
    assert access.may_choose_audience(alice, mailing)
    assert access.may_see_addresses(alice, alice.pk)


def test_of_other_peoples_things_strangers_and_visitors_know_nothing(bob, mailing):
    for nobody in (bob, AnonymousUser()):
        for thing in (*things_of(mailing), Client.objects.first()):
            assert not any(access.may(nobody, action, thing) for action in access.ACTIONS)
            assert not access.may_share(nobody, thing)
            assert not type(thing).objects.visible_to(nobody).exists()
            assert not type(thing).objects.own_or_shared(nobody).exists()
        assert not access.may_see_addresses(nobody, mailing.owner_id)
        assert not access.may_supervise(nobody)
        assert not runs.visible_to(nobody).exists()
    assert not access.may_own(AnonymousUser())


def test_what_was_shared_to_view_is_seen_and_no_more(alice, bob, mailing):
    for thing in things_of(mailing):
        sharing.share(thing, alice, bob.email, "view")
        assert [action for action in access.ACTIONS if access.may(bob, action, thing)] == ["view"]
        assert list(type(thing).objects.own_or_shared(bob)) == [thing]
        assert not access.may_share(bob, thing)


def test_what_was_shared_to_edit_is_changed_and_neither_deleted_nor_shared_on(alice, bob, mailing):
    for thing in things_of(mailing):
        sharing.share(thing, alice, bob.email, "edit")
        assert [action for action in access.ACTIONS if access.may(bob, action, thing)] == ["view", "change"]
        assert not access.may_share(bob, thing)
    assert not access.may_choose_audience(bob, mailing)


def test_sharing_never_opens_the_owners_clients(alice, bob, mailing):
    for thing in things_of(mailing):
        sharing.share(thing, alice, bob.email, "edit")
    assert not Client.objects.visible_to(bob).exists()
    assert not access.may(bob, "view", Client.objects.first())
    assert not access.may_see_addresses(bob, alice.pk)


def test_a_shared_mailing_shows_its_runs_and_does_not_share_its_message(alice, bob, mailing):
    run = runs.open_run(mailing, mailing.end)
    sharing.share(mailing, alice, bob.email, "view")
    assert list(runs.visible_to(bob)) == list(runs.own_or_shared(bob)) == [run]
    assert not access.may(bob, "view", mailing.message)


def test_a_manager_sees_every_mailing_message_and_run_and_changes_none(maria, mailing):
    run = runs.open_run(mailing, mailing.end)
    for thing in (mailing, mailing.message, run):
        assert [action for action in access.ACTIONS if access.may(maria, action, thing)] == ["view"]
        assert not access.may_share(maria, thing)
    assert list(Mailing.objects.visible_to(maria)) == [mailing]
    assert list(Message.objects.visible_to(maria)) == [mailing.message]
    Run.objects.update(mailing=None)
    assert list(runs.visible_to(maria)) == [run]


def test_a_managers_own_lists_do_not_fill_with_everybodys_things(maria, mailing):
    runs.open_run(mailing, mailing.end)
    own = make_mailing(maria)
    assert list(Mailing.objects.own_or_shared(maria)) == [own]
    assert list(Message.objects.own_or_shared(maria)) == [own.message]
    assert not runs.own_or_shared(maria).exists()


def test_a_manager_sees_neither_clients_nor_lists_nor_addresses(alice, maria, mailing):
    assert not Client.objects.visible_to(maria).exists()
    assert not ClientList.objects.visible_to(maria).exists()
    assert not access.may(maria, "view", mailing.lists.get())
    assert not access.may_see_addresses(maria, alice.pk)


def test_what_managers_owned_before_they_see_and_change_no_more(maria):
    [client] = make_clients(maria, 1)
    for thing in (*things_of(make_mailing(maria)), client):
        assert [action for action in access.ACTIONS if access.may(maria, action, thing)] == ["view"]
        assert not access.may_share(maria, thing)
    assert not access.may_own(maria)
    assert access.may_see_addresses(maria, maria.pk)


def test_what_was_shared_with_a_manager_to_edit_they_see(alice, maria):
    client_list = make_list(alice)
    sharing.share(client_list, alice, maria.email, "edit")
    assert [action for action in access.ACTIONS if access.may(maria, action, client_list)] == ["view"]


def test_managers_and_superusers_supervise_and_others_do_not(alice, maria, carol, root):
    assert [access.may_supervise(user) for user in (alice, carol, maria, root)] == [False, False, True, True]
    assert access.may_own(carol)


def test_content_managers_and_superusers_write_the_blog_and_others_do_not(alice, maria, carol, root):
    people = (AnonymousUser(), alice, maria, carol, root)
    assert [access.may_write_blog(user) for user in people] == [False, False, False, True, True]


@pytest.mark.parametrize("lack", [{"is_active": False}, {"confirmed_at": None}], ids=["blocked", "unconfirmed"])
def test_a_content_manager_who_is_blocked_or_unconfirmed_writes_nothing(carol, lack):
    User.objects.update(**lack)
    assert not access.may_write_blog(fresh(carol))


def test_superusers_alone_try_dead_jobs_again(alice, maria, carol, root):
    people = (AnonymousUser(), alice, maria, carol, root)
    assert [access.may_requeue(user) for user in people] == [False, False, False, False, True]


@pytest.mark.parametrize("lack", ["blocked", "unconfirmed"])
def test_a_manager_who_is_blocked_or_unconfirmed_supervises_nothing(maria, lack):
    User.objects.update(**{"blocked": {"is_active": False}, "unconfirmed": {"confirmed_at": None}}[lack])
    assert not access.may_supervise(fresh(maria))


def test_a_manager_blocks_neither_themself_nor_a_manager_nor_a_superuser(alice, maria, root):
    other = User.objects.create_user("mark@example.org", "a long password")
    other.groups.add(Group.objects.get(name=groups.MANAGERS))
    people = (alice, maria, other, root)
    assert [access.may_block(maria, person) for person in people] == [True, False, False, False]
    assert [access.may_block(root, person) for person in people] == [True, True, True, False]
    assert not any(access.may_block(alice, person) for person in people)


def test_a_superuser_does_everything_and_has_their_own_rooms(root, mailing):
    for thing in things_of(mailing):
        assert all(access.may(root, action, thing) for action in access.ACTIONS)
        assert list(type(thing).objects.visible_to(root)) == [thing]
        assert not type(thing).objects.own_or_shared(root).exists()
    assert access.may_choose_audience(root, mailing)
    assert access.may_see_addresses(root, mailing.owner_id)


def test_the_blocked_do_nothing_at_all_superusers_too(alice, root, mailing):
    User.objects.update(is_active=False)
    for user in (fresh(alice), fresh(root)):
        for thing in things_of(mailing):
            assert not any(access.may(user, action, thing) for action in access.ACTIONS)
            assert not access.may_share(user, thing)
            assert not type(thing).objects.visible_to(user).exists()
            assert not type(thing).objects.own_or_shared(user).exists()
        assert not access.may_own(user)
        assert not access.may_supervise(user)
        assert not access.may_write_blog(user)
        assert not access.may_requeue(user)
        assert not access.may_see_addresses(user, alice.pk)
        assert not runs.visible_to(user).exists()


def test_the_unconfirmed_see_their_own_and_change_nothing(alice, mailing):
    alice.confirmed_at = None
    assert [action for action in access.ACTIONS if access.may(alice, action, mailing)] == ["view"]
    assert not access.may_share(alice, mailing)
    assert not access.may_choose_audience(alice, mailing)
    alice.confirmed_at = timezone.now()
    assert access.may(alice, "change", mailing)


def test_clients_cannot_be_shared(alice):
    [client] = make_clients(alice, 1)
    assert not access.may_share(alice, client)


def test_migrate_leaves_the_groups_with_exactly_their_permissions(alice):
    managers = Group.objects.get(name=groups.MANAGERS)
    content = Group.objects.get(name=groups.CONTENT_MANAGERS)
    managers.permissions.clear()
    content.permissions.set(managers.permissions.model.objects.filter(codename="delete_user"))
    managers.permissions.set(content.permissions.all())
    content.user_set.add(alice)
    groups.make()
    held = {f"{app}.{name}" for app, name in managers.permissions.values_list("content_type__app_label", "codename")}
    assert held == groups.PERMISSIONS[groups.MANAGERS]
    assert len(held) == 6
    written = {f"blog.{codename}" for codename in content.permissions.values_list("codename", flat=True)}
    assert written == groups.PERMISSIONS[groups.CONTENT_MANAGERS]
    assert content.user_set.get() == alice


def test_an_editor_changes_a_mailings_settings_and_leaves_its_audience(alice, bob, mailing):
    sharing.share(mailing, alice, bob.email, "edit")
    mailing.name = "Renamed"
    verbs.save_mailing(mailing, by=bob)
    mailing.refresh_from_db()
    assert mailing.name == "Renamed"
    for audience in ({"lists": [make_list(bob)]}, {"lists": []}, {"clients": make_clients(alice, 1)}):
        with pytest.raises(ValidationError):
            verbs.save_mailing(mailing, by=bob, **audience)
    assert mailing.lists.count() == 1
    verbs.save_mailing(mailing, by=alice, lists=[])
    assert not mailing.lists.exists()


def test_an_editor_chooses_among_messages_that_both_may_see(alice, bob, mailing):
    sharing.share(mailing, alice, bob.email, "edit")
    hers, his, both = make_message(alice), make_message(bob), make_message(alice)
    sharing.share(both, alice, bob.email, "view")
    for message in (hers, his):
        mailing.message = message
        with pytest.raises(ValidationError) as refusal:
            verbs.save_mailing(mailing, by=bob)
        assert set(refusal.value.message_dict) == {"message"}
    mailing.message = both
    verbs.save_mailing(mailing, by=bob)
    mailing.refresh_from_db()
    assert mailing.message == both


def test_a_message_that_only_the_editor_sees_is_refused_whether_it_is_older_or_newer(alice, bob):
    older = make_message(bob)
    mailing = make_mailing(alice, 1)
    sharing.share(mailing, alice, bob.email, "edit")
    for message in (older, make_message(bob)):
        mailing.message = message
        with pytest.raises(ValidationError, match="Only a message of one's own"):
            verbs.save_mailing(mailing, by=bob)
