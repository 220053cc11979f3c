"""The page of whom one does not write to, and where its numbers are told."""

from __future__ import annotations

import csv
import html
import io

import pytest
from django.test import Client as Browser
from django.urls import reverse

from tests import permits
from tests.web.ledger import make_run
from tests.web.test_versions import filled
from vestnik.accounts.models import User
from vestnik.clients import importing, suppressions
from vestnik.clients.models import Suppression
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings.ledger.models import MailingKind, Run
from vestnik.testing.factories import make_clients, make_list, make_mailing

pytestmark = pytest.mark.usefixtures("valkey")

LIST, NEW, CSV = (reverse(f"suppressions:{name}") for name in ("list", "new", "csv"))


@pytest.fixture
def browser(alice: User) -> Browser:
    browser = Browser()
    browser.force_login(alice)
    return browser


def text(answer) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def suppressed(owner: User) -> dict[str, str]:
    return dict(Suppression.objects.filter(owner=owner, lifted_at=None).values_list("address", "reason"))


def test_addresses_are_added_by_hand_whoever_they_are(browser: Browser, alice: User) -> None:
    answer = browser.post(NEW, {"addresses": "Bob@Example.org; anna@example.org\nbob@example.org", "reason": "by hand"})
    assert answer.status_code == 302
    assert suppressed(alice) == {"bob@example.org": "by hand", "anna@example.org": "by hand"}
    said = text(browser.get(LIST))
    assert "2 addresses are new on the list." in said
    assert "added by hand" in said


def test_a_wrong_address_is_named_and_nothing_is_added(browser: Browser, alice: User) -> None:
    answer = browser.post(NEW, {"addresses": "bob@example.org, nobody", "reason": "imported"})
    assert "Nothing was added. Not valid addresses: nobody." in text(answer)
    assert not suppressed(alice)


@pytest.mark.parametrize("reason", ["unsubscribed", "bounced", "", "x"])
def test_nobody_says_by_hand_that_somebody_unsubscribed(browser: Browser, alice: User, reason: str) -> None:
    assert browser.post(NEW, {"addresses": "bob@example.org", "reason": reason}).status_code == 200
    assert not suppressed(alice)


def test_what_others_did_is_lifted_and_what_the_person_did_is_not(browser: Browser, alice: User) -> None:
    suppressions.suppress(alice.pk, ["hand@example.org"], SuppressionReason.BY_HAND)
    suppressions.suppress(alice.pk, ["person@example.org"], SuppressionReason.UNSUBSCRIBED)
    keys = dict(Suppression.objects.values_list("address", "pk"))
    said = text(browser.get(LIST))
    assert "Write again: hand@example.org" in said
    assert "Write again: person@example.org" not in said

    for pk in keys.values():
        browser.post(reverse("suppressions:lift", args=[pk]))
    assert suppressed(alice) == {"person@example.org": "unsubscribed"}
    assert "only if they ask for it themselves" in text(browser.get(LIST))


def test_others_see_and_lift_none_of_it(alice: User, bob: User, maria: User) -> None:
    suppressions.suppress(alice.pk, ["hand@example.org"], SuppressionReason.BY_HAND)
    lift = reverse("suppressions:lift", args=[Suppression.objects.get().pk])
    for user in (bob, maria):
        browser = Browser()
        browser.force_login(user)
        assert "hand@example.org" not in text(browser.get(LIST))
        assert b"hand@example.org" not in b"".join(browser.get(CSV))
        assert browser.post(lift).status_code in (403, 404)
    assert suppressed(alice)


def test_the_list_is_searched_narrowed_and_exported(browser: Browser, alice: User) -> None:
    suppressions.suppress(alice.pk, ["anna@example.org"], SuppressionReason.BOUNCED)
    suppressions.suppress(alice.pk, ["boris@example.org"], SuppressionReason.BY_HAND)
    news = make_list(alice, name="News")
    suppressions.suppress(alice.pk, ["vera@example.org"], SuppressionReason.UNSUBSCRIBED, lists=[news.pk])

    found = text(browser.get(LIST, {"q": "ANNA"}))
    assert "anna@example.org" in found
    assert "boris@example.org" not in found
    assert "boris@example.org" not in text(browser.get(LIST, {"reason": "bounced"}))
    assert "Nothing found" in text(browser.get(LIST, {"q": "nobody"}))
    assert "from this list only:" in text(browser.get(LIST))
    header, *rows = csv.reader(b"".join(browser.get(CSV)).decode("utf-8-sig").splitlines())
    assert header == ["address", "unsubscribed", "reason", "since", "list"]
    assert [row[:2] for row in rows] == [
        ["vera@example.org", ""],
        ["boris@example.org", "yes"],
        ["anna@example.org", "yes"],
    ]
    assert rows[0][4] == "News"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_an_exported_list_suppresses_the_same_addresses_where_it_is_imported(
    browser: Browser, alice: User, bob: User, language: str
) -> None:
    User.objects.filter(pk=alice.pk).update(language=language)
    for reason in SuppressionReason:
        suppressions.suppress(alice.pk, [f"{reason.name.lower()}@example.org"], reason)
    news = make_list(alice, name="News")
    suppressions.suppress(alice.pk, ["vera@example.org"], SuppressionReason.UNSUBSCRIBED, lists=[news.pk])

    importing.import_clients(bob, io.BytesIO(b"".join(browser.get(CSV))))

    assert set(suppressed(bob)) == {f"{reason.name.lower()}@example.org" for reason in SuppressionReason}


def test_who_is_asked_about_refused_addresses_answers_on_the_runs_page(
    browser: Browser, alice: User, bob: User
) -> None:
    run = make_run(alice, failed=30)
    Run.objects.filter(pk=run.pk).update(refused_asked=30)
    page, answer = (reverse(f"runs:{name}", args=[run.pk]) for name in ("detail", "refused"))
    assert "30 addresses of 30 were refused, or their letters came back" in text(browser.get(page))
    stranger = Browser()
    stranger.force_login(bob)
    assert stranger.post(answer, {"believe": "yes"}).status_code == 404

    browser.post(answer, {"believe": "perhaps"})
    assert Run.objects.get(pk=run.pk).refused_asked == 30
    browser.post(answer, {"believe": "yes"})
    run.refresh_from_db()
    assert (run.refused_asked, run.refusals_seen_at) == (-1, None)
    assert "The addresses will be on the suppression list in a moment." in text(browser.get(page))


def test_a_clients_page_says_that_they_are_not_written_to(browser: Browser, alice: User, bob: User) -> None:
    (client,) = make_clients(alice, 1)
    page = reverse("clients:detail", args=[client.pk])
    suppressions.suppress(bob.pk, [client.email], SuppressionReason.BY_HAND)
    assert "suppression list:" not in text(browser.get(page))

    news = make_list(alice, name="News")
    suppressions.suppress(alice.pk, [client.email], SuppressionReason.UNSUBSCRIBED, lists=[news.pk])
    suppressions.suppress(None, [client.email], SuppressionReason.BOUNCED)
    said = text(browser.get(page))
    assert "Gets no mailings by the list “News”: unsubscribed, since" in said
    assert "On the suppression list: letters came back, since" in said


def test_who_may_no_longer_send_service_letters_makes_the_mailing_one_like_others(
    browser: Browser, alice: User
) -> None:
    mailing = make_mailing(permits.of_service_letters(alice), 1, kind=MailingKind.SERVICE)
    alice.user_permissions.clear()
    address = reverse("mailings:change", args=[mailing.pk])
    form = browser.get(address).context["form"]
    assert browser.post(address, filled(form)).status_code == 200, "as it is, it is refused"
    assert browser.post(address, filled(form, kind="mailing")).status_code == 302
    mailing.refresh_from_db()
    assert mailing.kind == MailingKind.MAILING


def test_an_empty_list_says_what_it_is_for(browser: Browser) -> None:
    assert "People who unsubscribe are listed here" in text(browser.get(LIST))


def test_the_mailings_pages_say_who_is_left_out_and_why(browser: Browser, alice: User) -> None:
    clients = make_clients(alice, 5)
    suppressions.suppress(alice.pk, [each.email for each in clients[:2]], SuppressionReason.UNSUBSCRIBED)
    suppressions.suppress(alice.pk, [clients[2].email], SuppressionReason.REFUSED)
    mailing = make_mailing(alice, clients=clients, lists=[])
    words = "3 are left out: unsubscribed – 2, refused by its server – 1"
    for name in ("detail", "send-now"):
        page = text(browser.get(reverse(f"mailings:{name}", args=[mailing.pk])))
        assert words in page
        assert "2 clients" in page
    run = make_run(alice, sent=2)
    Run.objects.filter(pk=run.pk).update(left_out={"unsubscribed": 1})
    assert "1 is left out: unsubscribed – 1" in text(browser.get(reverse("runs:detail", args=[run.pk])))
