"""The page behind a letter's link: no account, no cookie, no script; looking changes nothing, one click does."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client as Browser

from tests.web.ledger import make_run
from vestnik import unsubscribing
from vestnik.accounts.models import User
from vestnik.clients import suppressions, verbs
from vestnik.clients.models import Suppression
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings import unsubscribe_links
from vestnik.mailings.ledger.models import Delivery, Run

pytestmark = pytest.mark.usefixtures("valkey")

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def run(alice: User) -> Run:
    return make_run(alice, sent=2)


@pytest.fixture
def letter(run: Run) -> Delivery:
    return run.deliveries.order_by("pk")[0]


@pytest.fixture
def stranger() -> Browser:
    """A browser, or a mailbox provider: without a cookie, and held to the rules about forgery that others are."""
    return Browser(enforce_csrf_checks=True)


def link(letter: Delivery) -> str:
    return unsubscribe_links.signer()(letter.pk).removeprefix(settings.SITE_URL)


def stopped(letter: Delivery) -> bool:
    return Suppression.objects.filter(address=letter.address, lifted_at=None).exists()


def page(browser: Browser, address: str, **headers: str) -> str:
    answer = browser.get(address, headers=headers or None)
    assert answer.status_code == 200
    return answer.content.decode()


def test_looking_changes_nothing_and_leaves_no_cookie(stranger: Browser, letter: Delivery) -> None:
    for ask in (stranger.get, stranger.head, stranger.options):
        answer = ask(link(letter))
        assert answer.status_code == 200
        assert not answer.cookies
    assert not stopped(letter)


@pytest.mark.parametrize("form", ["urlencoded", "multipart", "nothing"])
def test_one_click_stops_everything_of_the_sender(stranger: Browser, letter: Delivery, form: str) -> None:
    sent: dict[str, Any] = {
        "urlencoded": {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"},
        "multipart": {"data": ONE_CLICK},
        "nothing": {"data": b"", "content_type": "application/octet-stream"},
    }[form]
    answer = stranger.post(link(letter), **sent)
    assert (answer.status_code, answer.cookies) == (200, {})
    assert stopped(letter)
    assert stranger.post(link(letter), **sent).status_code == 200, "a second time is as good"
    assert Suppression.objects.count() == 1


def test_the_page_says_who_writes_to_whom_and_from_where(alice: User, stranger: Browser, letter: Delivery) -> None:
    User.objects.filter(pk=alice.pk).update(postal_address="1 Long Street, Riga")
    said = page(stranger, link(letter))
    assert "Letters from Alice Archer" in said
    assert "1 Long Street, Riga" in said
    assert f"Your address: {letter.address}" in said


def test_a_person_stops_all_and_takes_it_back(stranger: Browser, letter: Delivery) -> None:
    answer = stranger.post(link(letter), {"do": "all"})
    assert answer.status_code == 303
    said = page(stranger, answer["Location"])
    assert "You are unsubscribed." in said
    assert stopped(letter)

    stranger.post(link(letter), {"do": "back"})
    assert not stopped(letter)
    assert "Unsubscribe from all" in page(stranger, link(letter))


def test_a_person_leaves_one_of_the_mailings_lists(alice: User, stranger: Browser, run: Run, letter: Delivery) -> None:
    first = run.mailing.lists.get()  # type: ignore[union-attr]
    second = verbs.create_list(alice, "Offers & more")
    verbs.add_to_list(second, first.clients.all())
    run.mailing.lists.add(second)  # type: ignore[union-attr]
    secret = verbs.create_list(alice, "Difficult people")
    verbs.add_to_list(secret, first.clients.all())

    said = page(stranger, link(letter))
    assert "Offers &amp; more" in said
    assert "Difficult people" not in said, "a list that the letter has nothing to do with is the owner's business"
    stranger.post(link(letter), {"do": "lists", "list": [str(second.pk), str(secret.pk), "x", "9" * 30]})

    assert [each.client_list for each in Suppression.objects.filter(lifted_at=None)] == [second]
    assert "You have left these lists: <strong><bdi>Offers &amp; more</bdi></strong>." in page(stranger, link(letter))
    stranger.post(link(letter), {"do": "back"})
    assert not stopped(letter)
    nothing = stranger.post(link(letter), {"do": "lists"})
    assert "Choose at least one list." in nothing.content.decode()


def test_the_page_is_in_the_readers_language_and_can_be_read_in_the_other(stranger: Browser, letter: Delivery) -> None:
    said = page(stranger, link(letter), accept_language="ru,en;q=0.5")
    assert '<html lang="ru">' in said
    assert "Отписаться от всех" in said
    assert f'href="{link(letter)}?lang=en"' in said
    assert "Unsubscribe from all" in page(stranger, f"{link(letter)}?lang=en", accept_language="ru")


@pytest.mark.parametrize("token", ["example", "A" * 22, "%00", "é", "a" * 500, "AQ", "-"])
def test_a_link_that_stands_for_nothing_says_so(db: None, stranger: Browser, token: str) -> None:
    for answer in (stranger.get(f"/u/{token}"), stranger.post(f"/u/{token}", ONE_CLICK)):
        assert answer.status_code == 404
        assert "This link leads nowhere" in answer.content.decode()
    assert not Suppression.objects.exists()


def test_the_address_is_a_key_and_told_to_nobody(stranger: Browser, letter: Delivery) -> None:
    for answer in (stranger.get(link(letter)), stranger.post(link(letter), ONE_CLICK)):
        assert answer["Cache-Control"] == "no-store"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert answer["X-Accel-Expires"] == "0"


def test_redis_may_be_away(stranger: Browser, letter: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: Any, **_kwargs: Any) -> None:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(redis.connection.AbstractConnection, "connect", away)
        patch.setattr(redis.ConnectionPool, "get_connection", away)
        assert "Unsubscribe from all" in page(stranger, link(letter))
        assert stranger.post(link(letter), ONE_CLICK).status_code == 200
    assert stopped(letter)


def test_whom_others_have_stopped_is_told_so_and_offered_nothing_that_does_not_work(
    alice: User, stranger: Browser, letter: Delivery
) -> None:
    suppressions.suppress(alice.pk, [letter.address], SuppressionReason.BY_HAND)
    said = page(stranger, link(letter))
    assert f"This sender does not write to {letter.address} any more." in said
    assert "<button" not in said


def test_a_senders_name_is_only_words(alice: User, stranger: Browser, run: Run, letter: Delivery) -> None:
    Run.objects.filter(pk=run.pk).update(sender_name="<script>alert(1)</script>")
    assert "<script>alert" not in page(stranger, link(letter))


def test_who_is_signed_in_sees_the_same(alice: User, letter: Delivery) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(alice)
    assert "Unsubscribe from all" in page(browser, link(letter))
    assert browser.post(link(letter), ONE_CLICK).status_code == 200
    assert stopped(letter)


def test_a_closed_account_writes_nothing_more(alice: User, stranger: Browser, letter: Delivery) -> None:
    from vestnik import account_deletion

    User.objects.create_superuser("root@example.org", "a long password")
    address = link(letter)
    account_deletion.delete_account(alice)
    assert "the account is closed" in page(stranger, address)
    assert stranger.post(address, ONE_CLICK).status_code == 200


def test_few_questions_are_asked_of_the_database(
    stranger: Browser, letter: Delivery, django_assert_max_num_queries: Any
) -> None:
    address = link(letter)
    with django_assert_max_num_queries(9):
        stranger.post(address, ONE_CLICK)


def test_stopping_by_the_link_is_what_the_core_says(stranger: Browser, letter: Delivery) -> None:
    stranger.post(link(letter), ONE_CLICK)
    reader = unsubscribing.subscription(link(letter).rpartition("/")[2])
    assert reader is not None
    assert unsubscribing.stopped_because(reader) == "unsubscribed"
