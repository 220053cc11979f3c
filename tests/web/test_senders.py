"""The pages of senders and their domains."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from vestnik import jobs
from vestnik.accounts.letters import AccountLetter
from vestnik.accounts.models import User
from vestnik.mailings.ledger import runs
from vestnik.senders import keys, verbs
from vestnik.senders.models import Domain, Sender
from vestnik.testing.factories import make_list, make_mailing, make_message

pytestmark = pytest.mark.usefixtures("valkey")

LIST, NEW, NEW_DOMAIN = (reverse(f"senders:{name}") for name in ("list", "new", "new-domain"))
HERALD = "herald@vestnik.example"


@pytest.fixture(autouse=True)
def from_herald(settings):
    settings.MAIL_FROM = HERALD
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"


@pytest.fixture
def browser(alice: User) -> Browser:
    return signed_in(alice)


def signed_in(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def hints(monkeypatch) -> list[tuple[object, ...]]:
    enqueued: list[tuple[object, ...]] = []
    monkeypatch.setattr(jobs.Job, "enqueue", lambda job, *args, delay=None: enqueued.append((job.name, *args)))
    return enqueued


def text(answer) -> str:
    assert answer.status_code == 200, answer
    return html.unescape(answer.content.decode())


def link() -> str:
    content = bytes(AccountLetter.objects.latest("pk").content).decode().replace("=\r\n", "")
    return re.search(r"/senders/confirm/\S+/", content)[0]


def test_a_sender_is_added_agrees_on_its_page_and_letters_come_from_it(browser: Browser, alice: User) -> None:
    said = text(browser.post(NEW, {"address": "News@Shop.example", "name": "The Shop"}, follow=True))
    assert "We have written to news@shop.example: open the link in that letter." in said
    assert "waits for the link in our letter" in said

    stranger = Browser()  # whoever reads that mailbox, without an account
    page = stranger.get(link())
    assert "alice@example.org wants to write letters that come from news@shop.example" in text(page)
    assert page["Cache-Control"] == "no-store"
    assert Sender.objects.get().confirmed_at is None  # to look is not to agree: scanners look
    assert "it is confirmed" in text(stranger.post(link(), follow=True))
    assert "its domain is not proven" in text(browser.get(LIST))

    Domain.objects.update(proven_at=timezone.now())
    assert "letters come from it" in text(browser.get(LIST))


def test_a_link_that_is_none_leads_nowhere(browser: Browser) -> None:
    for token in ("x", "a.b.c", "%00"):
        answer = browser.get(f"/senders/confirm/{token}/")
        assert answer.status_code == 404
        assert "This link does not work" in answer.content.decode()


def test_what_is_wrong_is_said_beside_its_field(browser: Browser, alice: User) -> None:
    assert "not an e-mail address" in text(browser.post(NEW, {"address": "nobody"}))
    verbs.save_sender(Sender(owner=alice, address="news@shop.example"))
    assert "You have a sender with this address already." in text(browser.post(NEW, {"address": "news@shop.example"}))
    forged = {"address": "b@shop.example", "reply_to": "victim@example.org"}
    assert "Select a valid choice" in text(browser.post(NEW, forged))
    assert "no name of a domain" in text(browser.post(NEW_DOMAIN, {"domain": "shop"}))


def test_a_senders_name_and_where_answers_go_are_changed(browser: Browser, alice: User) -> None:
    sender = verbs.save_sender(Sender(owner=alice, address="news@shop.example"))
    page = reverse("senders:change", args=[sender.pk])
    seen = sender.updated_at.isoformat()
    browser.post(page, {"address": "x@y.example", "name": "Shop", "reply_to": alice.email, "seen": seen})
    sender.refresh_from_db()
    assert (sender.address, sender.name, sender.reply_to) == ("news@shop.example", "Shop", alice.email)


def test_a_domains_page_has_the_record_to_set_and_asks_the_dns_when_told(
    browser: Browser, alice: User, hints, django_capture_on_commit_callbacks
) -> None:
    answer = browser.post(NEW_DOMAIN, {"domain": "Shop.example"}, follow=True)
    domain = Domain.objects.get()
    said = text(answer)
    assert "_vestnik.shop.example" in said
    assert f"vestnik-verification={domain.token}" in said
    assert "The DNS is being asked" in said
    state = reverse("senders:state", args=[domain.pk])
    assert "HX-Refresh" not in browser.get(state)
    Domain.objects.update(checked_at=timezone.now())
    assert browser.get(state)["HX-Refresh"] == "true"
    hints.clear()
    with django_capture_on_commit_callbacks(execute=True):
        browser.post(reverse("senders:check", args=[domain.pk]))
    assert hints == [("check_domains",)]
    assert "HX-Refresh" not in browser.get(state)


def test_keys_are_made_shown_and_deleted(browser: Browser, alice: User) -> None:
    domain = verbs.add_domain(alice, "shop.example")
    page = reverse("senders:domain", args=[domain.pk])
    said = text(browser.post(reverse("senders:sign", args=[domain.pk]), follow=True))
    for key in domain.keys.all():
        assert key.host in said
        assert key.record in said
    assert "BEGIN" not in said
    assert "There are new keys already" in text(browser.post(reverse("senders:sign", args=[domain.pk]), follow=True))
    for key in domain.keys.all():
        keys.seen(key)
    assert "Vestnik signs the letters" in text(browser.get(page))
    browser.post(reverse("senders:stop-signing", args=[domain.pk]))
    assert not domain.keys.exists()


def test_a_mailings_sender_is_chosen_in_its_form_and_said_on_its_page(browser: Browser, alice: User) -> None:
    form = reverse("mailings:new")
    assert "Write from an address of your own" in text(browser.get(form))
    sender = verbs.save_sender(Sender(owner=alice, address=alice.email))
    assert f"{alice.email}: not yet, until then as above" in text(browser.get(form))
    now = timezone.now()
    answer = browser.post(
        form,
        {
            "name": "Sale",
            "message": make_message(alice).pk,
            "lists": make_list(alice, 1).pk,
            "sender": sender.pk,
            "start": "2099-01-01T10:00",
            "end": "2099-01-02T10:00",
            "time_zone": "UTC",
            "periodicity": "once",
        },
        follow=True,
    )
    assert f"Not from {alice.email} for now" in text(answer)
    Domain.objects.update(proven_at=now)
    mailing = alice.mailings.get()
    assert mailing.sender == sender
    page = text(browser.get(reverse("mailings:detail", args=[mailing.pk])))
    assert f"Not from {alice.email} for now" not in page
    assert HERALD not in page


def test_a_strangers_sender_cannot_be_chosen(browser: Browser, alice: User, bob: User) -> None:
    mailing = make_mailing(alice, 1, start=timezone.now() + timedelta(days=1))
    verbs.save_sender(Sender(owner=alice, address=alice.email))
    theirs = verbs.save_sender(Sender(owner=bob, address=bob.email))
    page = reverse("mailings:change", args=[mailing.pk])
    assert "Select a valid choice" in text(browser.post(page, {"sender": theirs.pk}))


def test_whoever_a_mailing_is_shared_with_does_not_say_in_whose_name_it_comes(alice: User, bob: User) -> None:
    from vestnik import sharing

    mailing = make_mailing(alice, 1, start=timezone.now() + timedelta(days=1))
    sharing.share(mailing, alice, bob.email, "edit")
    assert 'name="sender"' not in text(signed_in(bob).get(reverse("mailings:change", args=[mailing.pk])))


def test_administrators_see_everybodys_domains_and_allow_them(alice: User) -> None:
    root = User.objects.create_superuser("root@example.org", "a long password")
    browser = signed_in(root)
    domain = verbs.add_domain(alice, "shop.example")
    listed = text(browser.get(reverse("senders:all-domains"), {"q": "alice"}))
    assert "shop.example" in listed
    assert "allowed" in text(browser.post(reverse("senders:allow", args=[domain.pk]), follow=True))
    domain.refresh_from_db()
    assert domain.allowed_at
    answer = browser.post(reverse("senders:new-installations-domain"), {"domain": "vestnik.example"}, follow=True)
    assert "A domain of the installation" in text(answer)
    assert "vestnik.example" in text(browser.get(LIST))
    assert "vestnik.example" not in text(signed_in(alice).get(LIST)).replace(HERALD, "")


def test_no_owner_allows_a_domain(browser: Browser, alice: User) -> None:
    domain = verbs.add_domain(alice, "shop.example")
    assert browser.post(reverse("senders:allow", args=[domain.pk])).status_code == 404
    assert browser.get(reverse("senders:all-domains")).status_code == 404
    domain.refresh_from_db()
    assert domain.allowed_at is None


def test_administrators_leave_what_is_others_as_it_is(alice: User) -> None:
    root = User.objects.create_superuser("root@example.org", "a long password")
    domain, sender = (
        verbs.add_domain(alice, "shop.example"),
        verbs.save_sender(Sender(owner=alice, address=alice.email)),
    )
    browser = signed_in(root)
    page = text(browser.get(reverse("senders:domain", args=[domain.pk])))
    for name in ("sign", "stop-signing", "delete-domain"):
        address = reverse(f"senders:{name}", args=[domain.pk])
        assert address not in page
        assert browser.post(address).status_code == 404
    for name in ("change", "delete", "ask-again"):
        assert browser.post(reverse(f"senders:{name}", args=[sender.pk])).status_code == 404
    own = verbs.domain_of_installation("vestnik.example")
    assert browser.post(reverse("senders:sign", args=[own.pk])).status_code == 302
    assert own.keys.count() == 2


def test_a_domain_that_the_mail_service_refuses_says_so_and_is_tried_again(browser: Browser, alice: User) -> None:
    domain = verbs.add_domain(alice, "shop.example")
    Domain.objects.update(proven_at=timezone.now())
    verbs.refuse(alice.pk, "shop.example", "550 5.7.60 not allowed")
    page = reverse("senders:domain", args=[domain.pk])
    said = text(browser.get(page))
    assert "The mail service does not take letters from this domain" in said
    assert "5.7.60" not in said  # the service's words are the operator's
    assert "5.7.60" in text(signed_in(User.objects.create_superuser("root@example.org", "a long password")).get(page))
    assert "refused by the mail service" in text(browser.get(LIST))
    browser.post(reverse("senders:try-again", args=[domain.pk]))
    assert "refused" not in text(browser.get(LIST))


def test_pages_ask_no_more_the_more_senders_there_are(
    browser: Browser, alice: User, django_assert_max_num_queries
) -> None:
    for number in range(12):
        verbs.save_sender(Sender(owner=alice, address=f"a{number}@shop.example"))
    with django_assert_max_num_queries(12):
        browser.get(LIST)


def test_a_runs_page_says_when_its_letters_no_longer_come_from_its_sender(browser: Browser, alice: User) -> None:
    sender = verbs.save_sender(Sender(owner=alice, address=alice.email))
    Domain.objects.update(proven_at=timezone.now())
    mailing = make_mailing(alice, 1, sender=sender)
    run = runs.open_run(mailing, mailing.end)
    page = reverse("runs:detail", args=[run.pk])
    assert "no longer" not in text(browser.get(page))
    verbs.refuse(alice.pk, "example.org", "550 not allowed")
    assert f"no longer: from {HERALD} now" in text(browser.get(page))
