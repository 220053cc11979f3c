"""Two who change one thing at once in the admin, or one here and one there: the second is told."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.urls import reverse

from tests.web.test_hostile_requests import filled
from tests.web.test_versions import SAID, THINGS, make, save
from vestnik.accounts.models import User
from vestnik.clients import verbs as clients
from vestnik.mailings import verbs

pytestmark = pytest.mark.usefixtures("valkey")

VERBS = {
    "messages": (verbs, "save_message"),
    "mailings": (verbs, "save_mailing"),
    "clients": (clients, "save_client"),
    "lists": (clients, "save_list"),
}


@pytest.fixture
def browser(db: None) -> Browser:
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("root@example.org", "a long password"))
    return browser


def address(thing: Any) -> str:
    return reverse(f"admin:{thing._meta.app_label}_{thing._meta.model_name}_change", args=[thing.pk])


def sent(page: Any, **typed: str) -> dict[str, Any]:
    """What a browser sends of the page's form, with what was typed."""
    fields: dict[str, list[str]] = {}
    for name, value in filled(page):
        fields.setdefault(name, []).append(value)
    return fields | typed


def theirs(room: str, thing: Any) -> None:
    kept = type(thing).objects.get()
    setattr(kept, THINGS[room], "Theirs")
    save(room, kept)


@pytest.mark.parametrize("room", THINGS)
def test_what_another_saved_meanwhile_is_not_written_over_unnoticed(browser: Browser, alice: User, room: str) -> None:
    thing, field = make(room, alice), THINGS[room]
    page = browser.get(address(thing))
    theirs(room, thing)

    page = browser.post(address(thing), sent(page, **{field: "Mine"}))
    assert page.status_code == 200
    assert page.content.decode().count(SAID) == 1
    assert 'value="Mine"' in page.content.decode()
    assert getattr(type(thing).objects.get(), field) == "Theirs"
    again = browser.post(address(thing), sent(page))
    assert again.status_code == 302, again.context["adminform"].form.errors
    assert getattr(type(thing).objects.get(), field) == "Mine"


@pytest.mark.parametrize("room", THINGS)
def test_what_another_saves_at_the_same_moment_is_not_written_over_either(
    browser: Browser, alice: User, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form has seen nothing yet when the verb does."""
    thing, field = make(room, alice), THINGS[room]
    page = browser.get(address(thing))
    verb = getattr(*VERBS[room])

    def late(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        theirs(room, thing)
        return verb(*args, **kwargs)

    monkeypatch.setattr(*VERBS[room], late)
    page = browser.post(address(thing), sent(page, **{field: "Mine"}))
    assert page.content.decode().count(SAID) == 1
    assert 'value="Mine"' in page.content.decode()
    assert getattr(type(thing).objects.get(), field) != "Mine"
    assert browser.post(address(thing), sent(page)).status_code == 302
    assert getattr(type(thing).objects.get(), field) == "Mine"


@pytest.mark.parametrize("room", THINGS)
def test_a_form_that_says_nothing_of_what_it_has_seen_hurts_nobody(browser: Browser, alice: User, room: str) -> None:
    thing = make(room, alice)
    page = browser.get(address(thing))
    for seen in ("", "yesterday", "9" * 5000):
        assert browser.post(address(thing), sent(page, seen=seen)).status_code == 302
