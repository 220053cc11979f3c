"""Who may open what: every address of the project, by every role, as `rights.txt` has it.

What is opened and sent belongs to Alice: her client, list, message, mailing, run. An empty form is sent. After an
honest change of rights, `python -m pytest tests/web/test_rights.py` tells which lines of the table changed.
"""

from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib import admin
from django.db import transaction
from django.test import Client as Browser
from django.urls import reverse

from tests.web.addresses import ROLES, address, routes
from vestnik.accounts.models import User
from vestnik.blog.models import Picture, Post
from vestnik.mailings.ledger.models import Run

pytestmark = pytest.mark.usefixtures("valkey")

TABLE = Path(__file__).with_name("rights.txt")
WIDEST = 71  # of the routes


@pytest.fixture
def browser() -> Browser:
    return Browser(raise_request_exception=False)  # a fault of ours is an answer, too: 500


def answered(browser: Browser, session: str, method: str, path: str) -> str:
    """What whoever has the session gets, in a word. What it did is undone."""
    browser.cookies = SimpleCookie({django_settings.SESSION_COOKIE_NAME: session} if session else {})
    with transaction.atomic():
        answer = browser.get(path) if method == "GET" else browser.post(path)
        transaction.set_rollback(True)
    if answer.status_code == 302 and "/login/" in answer["Location"]:
        return "login"
    return "yes" if answer.status_code in (200, 302) else str(answer.status_code)


def table() -> dict[tuple[str, str], str]:
    """What `rights.txt` says: a line by its route and method."""
    heading, *lines = (line for line in TABLE.read_text().splitlines() if line and not line.startswith("#"))
    assert heading.split() == ["route", "how", *ROLES]
    return {(line.split()[0], line.split()[1]): line for line in lines}


def written(route: str, method: str, answers: list[str]) -> str:
    """A line of the table."""
    words = (f"{answer:<{len(role)}}" for role, answer in zip(ROLES, answers, strict=True))
    return f"{route:<{WIDEST}} {method:<4} {' '.join(words)}".rstrip()


def test_the_table_names_every_address_of_the_project() -> None:
    known = {route for route, _method in table()}

    assert known == set(routes()), f"missing: {set(routes()) - known}; gone: {known - set(routes())}"


@pytest.mark.django_db
def test_every_role_gets_at_every_address_what_the_table_says(
    browser: Browser, sessions: dict[str, str], ids: dict[str, int], run: Run, settings: Any
) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    said, others = table(), []
    for route in dict.fromkeys(routes()):
        path = address(route, ids, run)
        for method in ("GET", "POST"):
            line = written(route, method, [answered(browser, key, method, path) for key in sessions.values()])
            if said.get((route, method), "").split() != line.split():
                others.append(line)
    assert not others, "\n".join(["These lines of rights.txt changed:", *others])


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "TRACE", "UPDATE"])
def test_nothing_is_done_by_methods_that_no_page_asks_for(
    browser: Browser, sessions: dict[str, str], ids: dict[str, int], run: Run, method: str
) -> None:
    for role in ("visitor", "owner", "superuser"):
        browser.cookies = SimpleCookie({django_settings.SESSION_COOKIE_NAME: sessions[role]})
        for route in dict.fromkeys(routes()):
            path = address(route, ids, run)
            assert browser.generic(method, path).status_code == 405, (role, path)
    assert run.mailing is not None
    assert run.mailing.message.mailings.exists()


@pytest.mark.django_db
def test_the_admin_site_opens_to_superusers_and_the_blog_in_it_to_content_managers(
    browser: Browser, sessions: dict[str, str]
) -> None:
    blog = {Post, Picture}
    assert blog | {User, Run} < admin.site._registry.keys()
    for model in admin.site._registry:
        for page in ("changelist", "add"):
            path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")
            answers = {role: answered(browser, key, "GET", path) for role, key in sessions.items()}
            assert answers["content"] == ("yes" if model in blog else "403"), path
            others = answers.keys() - {"content", "superuser"}
            assert {answers[role] for role in others} == {"login"}, (path, answers)
            assert answers["superuser"] == "yes" or page == "add", path
