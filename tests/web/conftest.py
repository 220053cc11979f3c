"""Somebody of every role, and Alice's things at every address of the project."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.test import Client as Browser

from tests.web.addresses import ROLES
from tests.web.ledger import make_run
from tests.web.posts import make_picture, make_post
from vestnik import clock, sharing, supervision
from vestnik.accounts.groups import CONTENT_MANAGERS
from vestnik.accounts.models import User
from vestnik.clients import import_jobs, suppressions
from vestnik.clients.models import Suppression
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings.ledger.models import Run
from vestnik.senders import verbs as senders
from vestnik.senders.models import Domain, Sender
from vestnik.testing.factories import make_import


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
        keys[role] = browser.cookies[settings.SESSION_COOKIE_NAME].value
    supervision.block(people["blocked"], people["superuser"], "Spam")
    assert tuple(keys) == ROLES
    return keys


@pytest.fixture
def ids(alice: User, run: Run) -> dict[str, int]:
    """What `<int:pk>` means in each room."""
    mailing: Any = run.mailing
    client_list = mailing.lists.get()
    upload = make_import(alice, [b"email\nno address\n"], "clients.csv")
    import_jobs.run_import(upload.pk)
    suppressions.suppress(alice.pk, ["nobody@example.org"], SuppressionReason.BY_HAND)
    make_post(slug="a-post", picture=make_picture())
    senders.save_sender(Sender(owner=alice, address="news@shop.example"))
    return {
        "clients/imports": upload.pk,
        "suppressions": Suppression.objects.get().pk,
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
        "senders/domains": Domain.objects.get().pk,
        "senders": Sender.objects.get().pk,
    }
