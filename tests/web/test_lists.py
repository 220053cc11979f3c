"""The pages of client lists."""

import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from guardian.shortcuts import assign_perm

from tests.timing import in_time
from vestnik.accounts.models import User
from vestnik.clients import verbs
from vestnik.clients.models import Client, ClientList
from vestnik.testing import factories

pytestmark = pytest.mark.usefixtures("valkey")

SCRIPT = "<script>alert(1)</script>"
HUGE = 10**30


def browser_of(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def browser(alice: User) -> Browser:
    return browser_of(alice)


@pytest.fixture
def friends(alice: User) -> ClientList:
    return verbs.create_list(alice, "Friends")


def at(name: str, client_list: ClientList) -> str:
    return reverse(f"lists:{name}", args=[client_list.pk])


def added(browser: Browser, client_list: ClientList, addresses: str) -> Any:
    return browser.post(at("add", client_list), {"addresses": addresses})


def members(client_list: ClientList) -> list[str]:
    return sorted(client_list.clients.values_list("email", flat=True))


# A list and its name


def test_a_list_is_made_once_however_often_the_button_is_pressed(browser: Browser, alice: User) -> None:
    form = {"name": "Friends", "form_key": uuid.uuid4()}
    first, second = (browser.post(reverse("lists:new"), form) for _ in range(2))

    made = ClientList.objects.get()
    assert (made.owner, made.name) == (alice, "Friends")
    assert first["Location"] == second["Location"] == at("detail", made)


@pytest.mark.parametrize("name", ["", " ", "x" * 10_000, "a\nb", "a\x00", "Friends"])
def test_a_name_that_no_list_can_have_is_refused_beside_its_field(
    browser: Browser, friends: ClientList, name: str
) -> None:
    answer = browser.post(reverse("lists:new"), {"name": name, "form_key": uuid.uuid4()})

    assert answer.status_code == 200
    assert answer.context["form"].errors["name"]
    assert ClientList.objects.count() == 1


def test_a_list_is_renamed(browser: Browser, friends: ClientList) -> None:
    answer = browser.post(at("change", friends), {"name": "Foes"}, follow=True)

    assert "The list is saved" in answer.content.decode()
    assert ClientList.objects.get().name == "Foes"


@pytest.mark.parametrize("name", [SCRIPT, "\u202eFriends", "أصدقاء", "👩‍👩‍👧 Family"])
def test_names_of_all_kinds_are_shown_as_they_are(browser: Browser, alice: User, name: str) -> None:
    client_list = factories.make_list(alice, 1, name)
    factories.make_mailing(alice, lists=[client_list], name=name)
    addresses = [at(page, client_list) for page in ("detail", "change", "delete", "add")]
    for address in (reverse("lists:list"), *addresses):
        page = browser.get(address).content.decode()
        assert "<script>alert" not in page
        assert name in page.replace("&lt;", "<").replace("&gt;", ">")


# All lists


def test_lists_are_shown_with_their_sizes_and_found_by_name(browser: Browser, alice: User) -> None:
    factories.make_list(alice, 2, "Friends")
    factories.make_list(alice, 0, "Foes")

    found = browser.get(reverse("lists:list")).context["object_list"]
    assert [(each.name, each.size) for each in found] == [("Foes", 0), ("Friends", 2)]
    found = browser.get(reverse("lists:list"), {"q": "RIEN"}).context["object_list"]
    assert [each.name for each in found] == ["Friends"]


@pytest.mark.parametrize("page", ["list", "detail"])
def test_a_page_takes_the_same_queries_however_many_rows_there_are(
    browser: Browser, alice: User, friends: ClientList, page: str
) -> None:
    address = reverse("lists:list") if page == "list" else at("detail", friends)
    factories.make_clients(alice, 1, friends)
    browser.get(address)  # notes when the user was seen
    with CaptureQueriesContext(connection) as few:
        browser.get(address)
    factories.make_clients(alice, 29, friends)
    for _number in range(29):
        factories.make_list(alice, 1)
    with CaptureQueriesContext(connection) as many:
        answer = browser.get(address)

    assert len(answer.context["object_list"]) == 30
    assert len(many) == len(few)


# Who is on it


def test_clients_are_added_by_their_addresses(browser: Browser, alice: User, friends: ClientList) -> None:
    for name in ("anna", "boris", "clara", "dora"):
        verbs.create_client(alice, f"{name}@example.org")
    verbs.add_to_list(friends, Client.objects.filter(email="dora@example.org"))
    written = "Anna@Example.org\r\nanna@example.org, boris@example.org;\tdora@example.org\r\n\r\n"
    answer = browser.post(at("add", friends), {"addresses": written}, follow=True)

    assert "2 clients are new on the list" in answer.content.decode()
    assert members(friends) == ["anna@example.org", "boris@example.org", "dora@example.org"]


def test_addresses_that_no_client_has_are_named_and_nobody_is_added(
    browser: Browser, alice: User, bob: User, friends: ClientList
) -> None:
    verbs.create_client(alice, "anna@example.org")
    verbs.create_client(bob, "bobs@example.org")
    answer = added(browser, friends, f"anna@example.org bobs@example.org {SCRIPT}")

    said = " ".join(answer.context["form"].errors["addresses"])
    assert "these 2 addresses" in said
    assert "bobs@example.org" in said
    assert "<script>alert" not in answer.content.decode()
    assert "anna@example.org" in answer.content.decode()
    assert members(friends) == []


def test_of_many_unknown_addresses_only_the_first_are_named(browser: Browser, friends: ClientList) -> None:
    answer = added(browser, friends, "\n".join(f"x{number}@example.org" for number in range(3000)))

    said = " ".join(answer.context["form"].errors["addresses"])
    assert "these 3000 addresses" in said
    assert said.count("@") == verbs.NAMED


def test_addresses_that_take_long_to_read_hold_no_thread(browser: Browser, friends: ClientList) -> None:
    def seconds(first: int, count: int) -> float:
        """Of processor time, for so many addresses whose domains are not ASCII; half a second for 3,000 alone here."""
        began = time.process_time()
        added(browser, friends, "\n".join(f"x{number}@пример{number}.рф" for number in range(first, first + count)))
        return time.process_time() - began

    of_few = seconds(10_000, 300)
    in_time(seconds(0, 3000), 20 * max(of_few, 0.05), "and ten times as many take no more than twice ten times as long")

    answer = added(browser, friends, "\n".join(f"x{number}@example.org" for number in range(3001)))
    assert "3001 addresses; at most 3000" in " ".join(answer.context["form"].errors["addresses"])


@pytest.mark.parametrize("written", ["", " \n ", "x" * 100_001, "x" * 10_000, "anna@example.org\x00"])
def test_what_is_no_address_is_refused(browser: Browser, friends: ClientList, written: str) -> None:
    assert added(browser, friends, written).context["form"].errors["addresses"]


def test_members_are_found_and_taken_off(browser: Browser, alice: User, bob: User, friends: ClientList) -> None:
    anna, boris = factories.make_clients(alice, 2, friends)
    foes = factories.make_list(bob, 1)
    stranger = foes.clients.get()
    found = browser.get(at("detail", friends), {"q": anna.email}).context["object_list"]
    assert list(found) == [anna]

    form = {"client": [anna.pk, stranger.pk, "x", HUGE], "back": "sort=email"}
    answer = browser.post(at("take-off", friends), form)
    assert answer["Location"] == at("detail", friends) + "?sort=email"
    assert "1 client was taken off the list" in browser.get(answer["Location"]).content.decode()
    assert list(friends.clients.all()) == [boris]
    assert Client.objects.filter(pk=anna.pk).exists()
    assert foes.clients.exists()


# Deleting


def test_deleting_says_what_goes_and_leaves_the_clients(browser: Browser, alice: User) -> None:
    friends, others = factories.make_list(alice, 3, "Friends"), factories.make_list(alice, 1)
    planned = factories.make_mailing(
        alice, lists=[friends, others], name="Spring news", start=timezone.now() + timedelta(days=1)
    )
    over = factories.make_mailing(alice, lists=[friends], name="Old news")
    over.__class__.objects.filter(pk=over.pk).update(next_at=None)

    asked = browser.get(at("delete", friends)).content.decode()
    assert "3 clients are on it" in asked
    assert "Spring news" in asked
    assert "Old news" not in asked
    browser.post(at("delete", friends))
    assert not ClientList.objects.filter(pk=friends.pk).exists()
    assert Client.objects.filter(lists=None, owner=alice).count() == 3
    assert list(planned.lists.all()) == [others]


# Who may


def test_who_may_change_a_shared_list_does_not_learn_or_change_who_is_on_it(alice: User, bob: User) -> None:
    friends = factories.make_list(alice, 1, "Friends")
    verbs.create_client(alice, "secret@example.org")
    for action in ("view", "change", "delete"):
        assign_perm(f"clients.{action}_clientlist", bob, friends)
    browser = browser_of(bob)

    page = browser.get(at("detail", friends)).content.decode()
    assert "1 client is on this list" in page
    for name in ("add", "take-off", "change", "delete"):
        assert at(name, friends) not in page
        form = {"addresses": "secret@example.org", "client": friends.clients.get().pk, "name": "Mine"}
        assert browser.post(at(name, friends), form).status_code == 404
    assert friends.clients.count() == 1
    assert ClientList.objects.get().name == "Friends"


def test_a_strangers_list_does_not_exist(bob: User, friends: ClientList) -> None:
    stranger = browser_of(bob)

    assert "Friends" not in stranger.get(reverse("lists:list")).content.decode()
    for name in ("detail", "change", "delete", "add"):
        assert stranger.get(at(name, friends)).status_code == 404
    for name in ("change", "delete", "add", "take-off"):
        assert stranger.post(at(name, friends), {"name": "Mine", "addresses": "x"}).status_code == 404
    assert stranger.get(f"/lists/{HUGE}/").status_code == 404
    assert ClientList.objects.get().name == "Friends"


def test_managers_and_the_unconfirmed_look_and_change_nothing(alice: User, maria: User) -> None:
    lists = {user: factories.make_list(user, 1) for user in (alice, maria)}
    alice.confirmed_at = None
    alice.save()
    for user, client_list in lists.items():
        browser = browser_of(user)
        client = client_list.clients.get()

        assert reverse("lists:new") not in browser.get(reverse("lists:list")).content.decode()
        page = browser.get(at("detail", client_list)).content.decode()
        assert client.email in page
        for name in ("add", "take-off", "change", "delete"):
            assert at(name, client_list) not in page
            assert browser.post(at(name, client_list), {"client": client.pk}).status_code == 403
        assert browser.post(reverse("lists:new"), {"name": "New"}).status_code == 403
        assert client_list.clients.exists()


def test_who_may_see_a_list_but_not_its_clients_is_told_so(alice: User, bob: User) -> None:
    friends = factories.make_list(alice, 1, "Friends")
    assign_perm("clients.view_clientlist", bob, friends)
    page = browser_of(bob).get(at("detail", friends)).content.decode()

    assert "Friends" in page
    assert "Only the owner of the list sees who is on it" in page
    assert friends.clients.get().email not in page
