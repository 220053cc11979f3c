"""Whatever the audit log tells of what was done on a page, it tells from which address."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from tests import permits
from tests.dead_jobs import dead_job
from tests.web.test_versions import filled
from vestnik import sharing
from vestnik.accounts.audit import AuditAction
from vestnik.accounts.models import AuditEntry, User
from vestnik.mailings import verbs
from vestnik.mailings.models import Mailing
from vestnik.senders import verbs as senders
from vestnik.testing import factories

pytestmark = pytest.mark.usefixtures("valkey")

FROM = "192.0.2.55"


def signed_in(user: User) -> Browser:
    browser = Browser(REMOTE_ADDR=FROM)
    browser.force_login(user)
    return browser


@pytest.fixture
def mailing(alice: User) -> Mailing:
    return factories.make_mailing(alice, 1)


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.org", "a long password")


def actions(alice: User, bob: User, maria: User, root: User, mailing: Mailing) -> dict[str, Callable[[], Any]]:
    """How each action is done in a browser, in an order in which they can be."""
    thing = ["mailing", mailing.pk]
    panel: Any = signed_in(maria).post
    queue: Any = signed_in(root).post
    domain = senders.add_domain(alice, "shop.example")

    def choose() -> Any:
        theirs = factories.make_message(bob, subject="Bob's")
        sharing.share(theirs, bob, alice.email, "view", FROM)
        address = reverse("mailings:change", args=[mailing.pk])
        browser = signed_in(bob)
        form = browser.get(address).context["form"]
        return browser.post(address, filled(form, message=str(theirs.pk)))

    def delete() -> Any:
        theirs = factories.make_message(bob)
        sharing.share(theirs, bob, alice.email, "view", FROM)
        verbs.create_mailing(alice, name="M", message=theirs, start=mailing.start, end=mailing.end)
        return signed_in(bob).post(reverse("messages:delete", args=[theirs.pk]))

    def take_back() -> Any:
        share = sharing.shares_of(mailing)[0]
        return signed_in(alice).post(reverse("sharing:take-back", args=thing), {"share": share.pk})

    def change_kind(kind: str) -> Any:
        address = reverse("mailings:change", args=[mailing.pk])
        browser = signed_in(permits.of_service_letters(alice))
        return browser.post(address, filled(browser.get(address).context["form"], kind=kind))

    return {
        "service letters": lambda: change_kind("service"),
        "mailing again": lambda: change_kind("mailing"),
        "shared": lambda: signed_in(alice).post(
            reverse("sharing:detail", args=thing), {"address": bob.email, "level": "edit"}
        ),
        "copied": choose,
        "copied by deleting": delete,
        "unshared": take_back,
        "switched off": lambda: panel(reverse("panel:switch-off", args=[mailing.pk]), {"reason": "Spam"}),
        "switched on": lambda: panel(reverse("panel:switch-on", args=[mailing.pk])),
        "blocked": lambda: panel(reverse("panel:block", args=[bob.pk]), {"reason": "Spam"}),
        "unblocked": lambda: panel(reverse("panel:unblock", args=[bob.pk])),
        "allowed": lambda: queue(reverse("senders:allow", args=[domain.pk])),
        "disallowed": lambda: queue(reverse("senders:disallow", args=[domain.pk])),
        "sender added": lambda: signed_in(alice).post(reverse("senders:new"), {"address": "news@shop.example"}),
        "requeued": lambda: queue(reverse("panel:requeue", args=[dead_job().id])),
        "discarded": lambda: queue(reverse("panel:discard", args=[dead_job().id])),
    }


def test_every_action_on_a_page_is_noted_with_the_address_it_came_from(
    alice: User, bob: User, maria: User, root: User, mailing: Mailing
) -> None:
    done = actions(alice, bob, maria, root, mailing)
    assert set(done) - {"copied by deleting"} == set(AuditAction.values)
    for name, action in done.items():
        before = set(AuditEntry.objects.values_list("pk", flat=True))
        assert action().status_code == 302, name
        noted = AuditEntry.objects.exclude(pk__in=before)
        assert name.removesuffix(" by deleting") in noted.values_list("action", flat=True)
        assert set(noted.values_list("from_address", flat=True)) == {FROM}, name
