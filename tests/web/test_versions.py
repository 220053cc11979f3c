"""Two who change one thing at once: the second is told before what the first saved is gone."""

from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from vestnik import sharing
from vestnik.accounts.models import User
from vestnik.clients import import_jobs
from vestnik.clients import verbs as clients
from vestnik.mailings import verbs
from vestnik.testing import factories

pytestmark = pytest.mark.usefixtures("valkey")

SAID = "Somebody saved this while you were writing"
THINGS = {"messages": "subject", "mailings": "name", "clients": "full_name", "lists": "name"}
"""Each room, and a field in which somebody writes."""


@pytest.fixture
def browser(alice: User) -> Browser:
    browser = Browser()
    browser.force_login(alice)
    return browser


def make(room: str, owner: User) -> Any:
    if room == "clients":
        return clients.create_client(owner, "anna@example.org")
    return {"messages": factories.make_message, "mailings": factories.make_mailing, "lists": factories.make_list}[room](
        owner
    )


def save(room: str, thing: Any) -> None:
    verb: Any = {
        "messages": verbs.save_message,
        "mailings": verbs.save_mailing,
        "clients": clients.save_client,
        "lists": clients.save_list,
    }[room]
    verb(thing)


def filled(form: Any, **typed: str) -> dict[str, Any]:
    """What a browser sends of the form, with what was typed."""
    sent = {name: form[name].value() for name in form.fields}
    sent |= {name: value.strftime("%Y-%m-%dT%H:%M") for name, value in sent.items() if hasattr(value, "strftime")}
    return {name: value if value is not None else "" for name, value in sent.items()} | typed


@pytest.mark.parametrize("room", THINGS)
def test_what_another_saved_meanwhile_is_not_written_over_unnoticed(browser: Browser, alice: User, room: str) -> None:
    thing, field = make(room, alice), THINGS[room]
    address = reverse(f"{room}:change", args=[thing.pk])
    page = browser.get(address)
    assert 'name="seen"' in page.content.decode()
    theirs = type(thing).objects.get()
    setattr(theirs, field, "Theirs")
    save(room, theirs)

    page = browser.post(address, filled(page.context["form"], **{field: "Mine"}))
    shown = page.content.decode()
    assert shown.count(SAID) == 1
    assert 'value="Mine"' in shown
    assert getattr(type(thing).objects.get(), field) == "Theirs"
    again = browser.post(address, filled(page.context["form"], **{field: "Mine"}))
    assert again.status_code == 302, again.context["form"].errors
    assert getattr(type(thing).objects.get(), field) == "Mine"


@pytest.mark.parametrize("room", THINGS)
def test_what_another_saves_at_the_same_moment_is_not_written_over_either(
    browser: Browser, alice: User, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form has seen nothing yet when the verb does."""
    thing, field = make(room, alice), THINGS[room]
    address = reverse(f"{room}:change", args=[thing.pk])
    form = browser.get(address).context["form"]
    by_verb = type(form).by_verb

    def late(form: Any) -> Any:
        monkeypatch.undo()
        theirs = type(thing).objects.get()
        setattr(theirs, field, "Theirs")
        save(room, theirs)
        return by_verb(form)

    monkeypatch.setattr(type(form), "by_verb", late)
    page = browser.post(address, filled(form, **{field: "Mine"}))
    assert page.content.decode().count(SAID) == 1
    assert getattr(type(thing).objects.get(), field) == "Theirs"
    assert browser.post(address, filled(page.context["form"], **{field: "Mine"})).status_code == 302
    assert getattr(type(thing).objects.get(), field) == "Mine"


@pytest.mark.parametrize("room", THINGS)
def test_what_was_deleted_meanwhile_does_not_come_back(
    browser: Browser, alice: User, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing, field = make(room, alice), THINGS[room]
    address = reverse(f"{room}:change", args=[thing.pk])
    form = browser.get(address).context["form"]
    by_verb = type(form).by_verb

    def late(form: Any) -> Any:
        type(thing).objects.all().delete()
        return by_verb(form)

    monkeypatch.setattr(type(form), "by_verb", late)
    page = browser.post(address, filled(form, **{field: "Mine"}))
    assert "This was deleted while you were writing" in page.content.decode()
    assert not type(thing).objects.exists()


@pytest.mark.parametrize("seen", ["", "yesterday", "9" * 5000, "2026-01-01"])
@pytest.mark.parametrize("room", THINGS)
def test_a_form_that_says_nothing_of_what_it_has_seen_hurts_nobody(
    browser: Browser, alice: User, room: str, seen: str
) -> None:
    thing = make(room, alice)
    address = reverse(f"{room}:change", args=[thing.pk])
    form = browser.get(address).context["form"]

    assert browser.post(address, filled(form, seen=seen)).status_code in (200, 302)


def test_two_who_share_a_message_are_told_of_each_other(browser: Browser, alice: User, bob: User) -> None:
    message = factories.make_message(alice)
    sharing.share(message, alice, bob.email, "edit")
    address = reverse("messages:change", args=[message.pk])
    bobs = Browser()
    bobs.force_login(bob)
    both = [each.get(address).context["form"] for each in (browser, bobs)]
    browser.post(address, filled(both[0], subject="Alice's"))
    page = bobs.post(address, filled(both[1], subject="Bob's"))

    assert SAID in page.content.decode()
    message.refresh_from_db()
    assert message.subject == "Alice's"


@pytest.mark.parametrize("verb", ["put", "named", "imported"])
def test_who_saves_an_older_form_takes_nobody_off_a_list_they_did_not_see(
    browser: Browser, alice: User, verb: str
) -> None:
    client = make("clients", alice)
    kept, left, joined, meanwhile = (clients.create_list(alice, name) for name in "abcd")
    clients.save_client(client, [kept, left])
    address = reverse("clients:change", args=[client.pk])
    form = browser.get(address).context["form"]
    if verb == "put":
        clients.add_to_list(meanwhile, [client])
    elif verb == "named":
        clients.add_addresses_to_list(meanwhile, [client.email])
    else:
        import_jobs.run_import(factories.make_import(alice, [b"email\nanna@example.org\n"], client_list=meanwhile).pk)

    sent = filled(form) | {"lists": [kept.pk, joined.pk]}
    assert browser.post(address, sent).status_code == 302
    assert set(client.lists.all()) == {kept, joined, meanwhile}


def test_who_was_taken_off_a_list_meanwhile_does_not_come_back_by_an_older_form(browser: Browser, alice: User) -> None:
    client, client_list = make("clients", alice), factories.make_list(alice)
    clients.add_to_list(client_list, [client])
    address = reverse("clients:change", args=[client.pk])
    form = browser.get(address).context["form"]
    clients.remove_from_list(client_list, [client])

    assert browser.post(address, filled(form)).status_code == 302
    assert not client.lists.exists()


@pytest.mark.parametrize("was_on", ["x", "-1 0", "9" * 5000, "9 " * 2000, "\x00"])
def test_a_form_that_says_nonsense_of_lists_hurts_nobody(browser: Browser, alice: User, was_on: str) -> None:
    client = make("clients", alice)
    address = reverse("clients:change", args=[client.pk])
    form = browser.get(address).context["form"]

    assert browser.post(address, filled(form, was_on=was_on)).status_code in (200, 302)


def test_a_form_that_does_not_say_which_lists_it_showed_is_taken_whole(browser: Browser, alice: User) -> None:
    client, client_list = make("clients", alice), factories.make_list(alice)
    clients.add_to_list(client_list, [client])
    address = reverse("clients:change", args=[client.pk])
    sent = filled(browser.get(address).context["form"]) | {"lists": []}
    del sent["was_on"]

    assert browser.post(address, sent).status_code == 302
    assert not client.lists.exists()
