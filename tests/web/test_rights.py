"""Who may open what: every address of the project, by every role, as `rights.txt` has it.

What is opened and sent belongs to Alice: her client, list, message, mailing, run. An empty form is sent. After an
honest change of rights, `python -m pytest tests/web/test_rights.py` tells which lines of the table are others now.
"""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client as Browser
from django.urls import get_resolver, reverse

from tests.dead_jobs import bury
from tests.web.ledger import make_run
from tests.web.posts import make_picture, make_post
from vestnik import clock, sharing, supervision
from vestnik.accounts.groups import CONTENT_MANAGERS
from vestnik.accounts.models import User
from vestnik.blog.models import Picture, Post
from vestnik.clients import background
from vestnik.mailings.records import Run
from vestnik.testing.factories import make_import

pytestmark = pytest.mark.usefixtures("valkey")

TABLE = Path(__file__).with_name("rights.txt")
ROLES = (
    "visitor", "unconfirmed", "owner", "stranger", "viewer", "editor", "manager", "content", "blocked", "superuser",
)  # fmt: skip
KINDS = ("mailing", "message", "list")
WIDEST = 71  # of the routes
PLACE = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")


@pytest.fixture
def browser() -> Browser:
    return Browser(raise_request_exception=False)  # a fault of ours is an answer, too: 500


@pytest.fixture
def run(alice: User) -> Run:
    return make_run(alice, name="Weekly news", sent=1, failed=1)


@pytest.fixture
def sessions(alice: User, bob: User, maria: User, run: Run) -> dict[str, str]:
    """Each role's session; empty for visitors. The blocked one had been given Alice's things, to edit."""

    def made(name: str, **extra: Any) -> User:
        return User.objects.create_user(f"{name}@example.org", "a long password", **extra)

    people = {
        "unconfirmed": made("unconfirmed", confirmed_at=None),
        "owner": alice,
        "stranger": bob,
        "viewer": made("viewer"),
        "editor": made("editor"),
        "manager": maria,
        "content": made("content"),
        "blocked": made("blocked"),
        "superuser": User.objects.create_superuser("root@example.org", "a long password"),
    }
    people["content"].groups.add(Group.objects.get(name=CONTENT_MANAGERS))
    mailing: Any = run.mailing
    for thing in (mailing, mailing.message, mailing.lists.get()):
        for role, level in (("viewer", "view"), ("editor", "edit"), ("blocked", "edit")):
            sharing.share(thing, alice, people[role].email, level)
    User.objects.update(last_seen_at=clock.now())
    keys = {"visitor": ""}
    for role, person in people.items():
        browser = Browser()
        browser.force_login(User.objects.get(pk=person.pk))
        keys[role] = browser.cookies[django_settings.SESSION_COOKIE_NAME].value
    supervision.block(people["blocked"], people["superuser"], "Spam")
    assert tuple(keys) == ROLES
    return keys


@pytest.fixture
def ids(alice: User, run: Run) -> dict[str, int]:
    """What `<int:pk>` means in each room."""
    mailing: Any = run.mailing
    client_list = mailing.lists.get()
    upload = make_import(alice, [b"email\nno address\n"], "clients.csv")
    background.run_import(upload.pk)
    make_post(slug="a-post", picture=make_picture())
    return {
        "clients/imports": upload.pk,
        "clients": client_list.clients.order_by("pk")[0].pk,
        "lists": client_list.pk,
        "messages": mailing.message.pk,
        "mailings": mailing.pk,
        "runs": run.pk,
        "sharing/mailing": mailing.pk,
        "sharing/message": mailing.message.pk,
        "sharing/list": client_list.pk,
        "panel/mailings": mailing.pk,
        "panel/users": alice.pk,
    }


def routes(resolver: Any = None, before: str = "") -> Iterator[str]:
    """Every address of the project as its pattern has it, the admin site's as one."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = before + str(pattern.pattern)
        if getattr(pattern, "app_name", "") == "admin":
            yield route
        elif hasattr(pattern, "url_patterns"):
            yield from routes(pattern, route)
        elif "<slug:kind>" in route:
            yield from (route.replace("<slug:kind>", kind) for kind in KINDS)
        else:
            yield route


def address(route: str, ids: dict[str, int], run: Run) -> str:
    """The route with Alice's things in it."""
    letter = run.deliveries.order_by("pk")[0]

    def filled(place: re.Match[str]) -> str:
        name = place[1] or place[2]
        if name == "pk" and route.startswith("panel/dead-messages/"):
            return bury().id  # another for each address: what was done to the queue is not undone
        if name == "pk":
            room = next(room for room in ids if route.startswith(f"{room}/"))
            return str(ids[room])
        names = {"delivery_pk": str(letter.pk), "key": "x", "uidb36": "1", "cause": "failed-permanent-550"}
        blog = {"slug": "a-post", "picture": Picture.objects.get().key, "width": "480", "suffix": "jpg"}
        return (names | blog)[name]

    return "/" + PLACE.sub(filled, route).replace("^", "").replace("$", "")


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
    assert not others, "\n".join(["These lines of rights.txt are others now:", *others])


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
