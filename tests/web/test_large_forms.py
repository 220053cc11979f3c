"""No form holds a thread of the web for long, whatever is sent in it: the longest text that a field may have, in each
of the fields that people type in, costs less than a second of processor time, and is answered in words.
"""

import time
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.test import Client as Browser
from django.urls import reverse

from tests.timing import in_time
from tests.web.ledger import make_run
from vestnik.accounts.models import User
from vestnik.clients.import_jobs import take_file
from web.middleware import LONGEST_FIELD

pytestmark = pytest.mark.usefixtures("valkey")

MONSTERS = {
    "letters": "я",
    "addresses": "a@пример.рф\n",
    "an attribute of many lines": "a: b\n" + "  x\n" * 50,
    "placeholders": "{{ full_name }}",
    "quotes": "\"'",
}


NOT_TYPED = ("file", "checkbox", "radio")


class Fields(HTMLParser):
    """The forms of a page that are sent by POST: of each its address, and its fields with what stands in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str], set[str]]] = []
        self._open = False
        self._choice = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = own.get("method") == "post"
            if self._open:
                self.forms.append((own.get("action", ""), {}, set()))
        if not self._open or not self.forms:
            return
        _action, fields, free = self.forms[-1]
        name = own.get("name", "")
        if tag == "textarea" or (tag == "input" and own.get("type", "text") not in NOT_TYPED):
            fields[name] = own.get("value", "")
            free |= {name} if own.get("type") != "hidden" else set()
        elif tag == "select":
            fields[name], self._choice = "", name
        elif tag == "option" and ("selected" in own or not fields.get(self._choice)):
            fields[self._choice] = own.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"


OPEN = ("account_login", "account_signup", "account_reset_password")
PAGES = (
    *("clients:new", "clients:change", "clients:import-detail", "lists:new", "lists:change", "lists:add"),
    *("messages:new", "messages:change", "mailings:new", "mailings:change", "sharing:detail", "profile"),
    *("account_change_password", "account_email", *OPEN),
)


@pytest.fixture
def places(alice: User) -> dict[str, str]:
    """Where the pages are, with Alice's things on them."""
    mailing: Any = make_run(alice, sent=1).mailing
    client_list = mailing.lists.get()
    named: dict[str, list[Any]] = {
        "clients:change": [client_list.clients.get().pk],
        "clients:import-detail": [take_file(alice, [b"email\na@example.org\n"], "clients.csv").pk],
        "lists:change": [client_list.pk],
        "lists:add": [client_list.pk],
        "messages:change": [mailing.message.pk],
        "mailings:change": [mailing.pk],
        "sharing:detail": ["list", client_list.pk],
    }
    return {page: reverse(page, args=named.get(page, [])) for page in PAGES}


def forms_of(browser: Browser, path: str) -> list[tuple[str, dict[str, str], set[str]]]:
    found = Fields(browser.get(path).content.decode()).forms
    assert found
    return [(action or path, fields, free - {"csrfmiddlewaretoken", ""}) for action, fields, free in found]


def answered(browser: Browser, path: str, body: dict[str, str]) -> tuple[float, int]:
    """The seconds of processor time that the answer takes, and its status."""
    began = time.process_time()
    status = browser.post(path, {name: text for name, text in body.items() if name}).status_code
    return time.process_time() - began, status


@pytest.mark.parametrize("page", PAGES)
def test_the_longest_field_that_is_taken_holds_no_thread(places: dict[str, str], alice: User, page: str) -> None:
    browser = Browser()
    if page not in OPEN:
        browser.force_login(alice)
    for path, fields, free in forms_of(browser, places[page]):
        for name in sorted(free):
            for piece in MONSTERS.values():
                took, status = answered(browser, path, fields | {name: piece * (LONGEST_FIELD // len(piece))})
                assert status in (200, 302, 400, 404, 429), (name, piece)
                in_time(took, 1, f"for {name} of {piece!r}")


@pytest.mark.parametrize("page", ["clients:new", "messages:new", "account_signup"])
def test_a_body_full_of_the_longest_fields_holds_no_thread(places: dict[str, str], alice: User, page: str) -> None:
    browser = Browser()
    if page not in OPEN:
        browser.force_login(alice)
    for path, fields, free in forms_of(browser, places[page]):
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // max(1, len(free))
        took, _status = answered(browser, path, fields | {name: "'" * min(most, LONGEST_FIELD) for name in free})
        in_time(took, 1)


def test_a_field_longer_than_any_may_be_is_refused_in_words(alice: User) -> None:
    browser = Browser()
    browser.force_login(alice)
    answer = browser.post(reverse("clients:new"), {"email": "a" * (LONGEST_FIELD + 1)})
    assert answer.status_code == 400
    assert "something too large" in answer.content.decode()
