"""Sharing in the browser: the owner's page, and what the others then see."""

import pytest
from django.test import Client as Browser
from django.urls import reverse

from vestnik import sharing
from vestnik.accounts.models import User
from vestnik.mailings import verbs
from vestnik.mailings.models import Mailing
from vestnik.testing import factories

pytestmark = pytest.mark.usefixtures("valkey")


def signed_in(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def mailing(alice: User) -> Mailing:
    return factories.make_mailing(alice, 3, name="Alice's news")


def page_of(mailing: Mailing, page: str = "detail") -> str:
    return reverse(f"mailings:{page}", args=[mailing.pk])


def share_page(mailing: Mailing) -> str:
    return reverse("sharing:detail", args=["mailing", mailing.pk])


def test_a_mailing_that_was_shared_is_found_and_seen(alice: User, bob: User, mailing: Mailing) -> None:
    signed_in(alice).post(share_page(mailing), {"address": "BOB@example.org", "level": "view"})
    browser = signed_in(bob)

    listed = browser.get(reverse("mailings:list"), {"whose": "shared"}).content.decode()
    assert "Alice&#x27;s news" in listed
    seen = browser.get(page_of(mailing)).content.decode()
    assert "Dear" not in seen
    assert reverse("mailings:letter", args=[mailing.pk]) in seen
    assert browser.get(page_of(mailing, "letter")).status_code == 200
    assert browser.get(page_of(mailing, "change")).status_code == 404
    assert browser.post(page_of(mailing, "pause")).status_code == 404


def test_the_page_looks_the_same_whether_or_not_somebody_has_the_address(
    alice: User, bob: User, mailing: Mailing
) -> None:
    browser = signed_in(alice)
    said = [
        browser.post(share_page(mailing), {"address": address, "level": "view"}, follow=True).content.decode()
        for address in (bob.email, "nobody@example.org")
    ]

    assert all("at once if they have an account, else as soon as they have one" in page for page in said)
    assert "nobody@example.org" in said[1]


def test_who_shares_again_what_is_shared_just_so_is_not_told_of_a_letter(alice: User, mailing: Mailing) -> None:
    browser = signed_in(alice)

    def said(level: str) -> str:
        typed = {"address": "x@example.net", "level": level}
        return browser.post(share_page(mailing), typed, follow=True).content.decode()

    for level in ("view", "edit", "view"):
        assert "told by a letter" in said(level)
        again = said(level)
        assert "told by a letter" not in again
        assert "x@example.net just so already" in again


def test_who_may_change_a_mailing_changes_its_name_and_never_its_audience(
    alice: User, bob: User, mailing: Mailing
) -> None:
    sharing.share(mailing, alice, bob.email, "edit")
    browser = signed_in(bob)
    form = browser.get(page_of(mailing, "change")).context["form"]
    assert "lists" not in form.fields
    assert "single" not in form.fields
    sent = {name: form[name].value() or "" for name in form.fields}
    sent |= {name: sent[name].strftime("%Y-%m-%dT%H:%M") for name in ("start", "end")}
    answer = browser.post(page_of(mailing, "change"), {**sent, "name": "Bob's touch", "lists": [], "single": ""})

    assert answer.status_code == 302, answer.context["form"].errors
    mailing.refresh_from_db()
    assert mailing.name == "Bob's touch"
    assert mailing.lists.count() == 1
    assert browser.post(page_of(mailing, "delete")).status_code == 404
    assert browser.get(share_page(mailing)).status_code == 404


def test_a_share_is_taken_back(alice: User, bob: User, mailing: Mailing) -> None:
    share = sharing.share(mailing, alice, bob.email, "view")
    signed_in(alice).post(reverse("sharing:take-back", args=["mailing", mailing.pk]), {"share": share.pk})

    assert signed_in(bob).get(page_of(mailing)).status_code == 404


def test_one_does_not_share_with_oneself_or_with_no_address(alice: User, mailing: Mailing) -> None:
    browser = signed_in(alice)
    for address in (alice.email, "not an address", "", "x" * 10_000):
        answer = browser.post(share_page(mailing), {"address": address, "level": "view"})
        assert answer.status_code == 200
        assert answer.context["form"].errors["address"]
    assert not sharing.shares_of(mailing)


@pytest.mark.parametrize("kind", ["mailing", "message", "list", "nothing"])
def test_a_strangers_things_are_not_shared(bob: User, mailing: Mailing, kind: str) -> None:
    things = {"message": mailing.message_id, "list": mailing.lists.get().pk}
    address = reverse("sharing:detail", args=[kind, things.get(kind, mailing.pk)])

    assert signed_in(bob).get(address).status_code == 404
    assert signed_in(bob).post(address, {"address": "eve@example.org", "level": "edit"}).status_code == 404


def test_a_shared_message_can_be_sent_in_ones_own_mailing(alice: User, bob: User) -> None:
    message = factories.make_message(alice, subject="Shared words")
    sharing.share(message, alice, bob.email, "view")

    offered = signed_in(bob).get(reverse("mailings:new")).context["form"].fields["message"].queryset
    assert message in offered


def test_a_shared_list_shows_its_name_and_size_and_nobody_on_it(alice: User, bob: User) -> None:
    shared = factories.make_list(alice, 2, name="Regulars")
    sharing.share(shared, alice, bob.email, "edit")
    browser = signed_in(bob)

    page = browser.get(reverse("lists:detail", args=[shared.pk])).content.decode()
    assert "Regulars" in page
    for client in shared.clients.all():
        assert client.email not in page
        assert client.full_name not in page
    for name in ("change", "add", "delete", "take-off"):
        answer = browser.post(reverse(f"lists:{name}", args=[shared.pk]), {"addresses": "x@example.org", "name": "Y"})
        assert answer.status_code == 404, name


def test_an_editor_pauses_and_a_message_of_the_editors_own_is_not_offered(
    alice: User, bob: User, mailing: Mailing
) -> None:
    sharing.share(mailing, alice, bob.email, "edit")
    secret = verbs.create_message(bob, subject="Bob's", text="x")
    browser = signed_in(bob)
    browser.post(page_of(mailing, "pause"))

    mailing.refresh_from_db()
    assert mailing.paused_at is not None
    assert secret not in browser.get(page_of(mailing, "change")).context["form"].fields["message"].queryset
