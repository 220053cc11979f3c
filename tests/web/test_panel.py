"""The panel: what managers see of everybody, and their two actions."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.web.ledger import make_run
from vestnik import clock, sharing, supervision
from vestnik.accounts.audit import AuditEntry
from vestnik.accounts.models import User
from vestnik.mailings import verbs
from vestnik.mailings.models import Mailing
from vestnik.testing import factories

pytestmark = pytest.mark.usefixtures("valkey")

LISTS = ("panel:mailings", "panel:users", "panel:audit")
SCRIPT = "<script>alert(1)</script>"


def browser_of(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def browser(maria: User) -> Browser:
    return browser_of(maria)


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.org", "a long password", full_name="Rufus Root")


@pytest.fixture
def mailing(alice: User) -> Mailing:
    return factories.make_mailing(alice, 2, name="Weekly news", start=clock.now() + timedelta(days=1))


def at(name: str, thing: Any) -> str:
    return reverse(f"panel:{name}", args=[thing.pk])


def read(browser: Browser, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def found(browser: Browser, name: str, query: str) -> list[Any]:
    return list(browser.get(f"{reverse(name)}?{query}").context["page_obj"])


def current(thing: Any) -> Any:
    """The thing as the database has it now."""
    return type(thing).objects.get(pk=thing.pk)


# Whose it is


def test_the_panel_stands_in_the_menu_of_those_who_may_open_it(maria: User, root: User, alice: User) -> None:
    for user, is_there in ((maria, True), (root, True), (alice, False)):
        page = browser_of(user).get(reverse("overview"), follow=True).content.decode()
        assert (f'href="{reverse("panel:mailings")}"' in page) is is_there


def test_everybody_else_finds_no_panel(alice: User, mailing: Mailing) -> None:
    addresses = [
        *map(reverse, LISTS),
        *(at(name, mailing) for name in ("mailing", "letter", "switch-off", "switch-on")),
        *(at(name, alice) for name in ("user", "block", "unblock")),
    ]
    browser = browser_of(alice)
    for address in addresses:
        assert browser.get(address).status_code == browser.post(address).status_code == 404, address


def test_whose_session_has_ended_is_sent_to_sign_in_and_comes_back_to_the_panel(mailing: Mailing) -> None:
    for address in [*map(reverse, LISTS), at("mailing", mailing)]:
        assert Browser().get(address)["Location"] == f"{reverse('account_login')}?next={address}"
    assert Browser().post(at("switch-off", mailing), {"reason": "Spam"}).status_code == 403
    assert current(mailing).switched_off_at is None


def test_a_manager_lands_in_the_panel_and_the_menu_leads_nowhere_that_stays_empty(maria: User, alice: User) -> None:
    browser = browser_of(maria)
    assert browser.get(reverse("overview"))["Location"] == reverse("panel:mailings")
    rooms = [f'href="{reverse(f"{room}:list")}"' for room in ("mailings", "messages", "clients", "lists")]
    page = read(browser, reverse("panel:mailings"))
    assert not [room for room in rooms if room in page]

    sharing.share(factories.make_message(alice), alice, maria.email, "view")
    assert all(room in read(browser, reverse("overview")) for room in rooms)


# Mailings


def test_everybodys_mailings_are_listed_with_their_owners_and_totals(browser: Browser, alice: User, bob: User) -> None:
    make_run(alice, name="Weekly news", sent=3, failed=2)
    factories.make_mailing(bob, 1, name="Bob's offer")
    page = read(browser, reverse("panel:mailings"))

    for words in ("Weekly news", "alice@example.org", "Bob&#x27;s offer", "bob@example.org"):
        assert words in page
    totals = browser.get(reverse("panel:mailings")).context["view"].totals()
    assert totals == {"mailings": 2, "under_way": 0, "sent_today": 3}


def test_mailings_are_found_by_name_and_by_owner(browser: Browser, mailing: Mailing, bob: User) -> None:
    other = factories.make_mailing(bob, 1, name="Offer")

    assert found(browser, "panel:mailings", "q=WEEKLY") == [mailing]
    assert found(browser, "panel:mailings", "q=bob@") == [other]
    assert found(browser, "panel:mailings", f"owner={bob.pk}") == [other]
    assert found(browser, "panel:mailings", "q=nothing") == []


def test_mailings_are_narrowed_by_what_holds_them(browser: Browser, mailing: Mailing, maria: User, bob: User) -> None:
    paused, blocked, free = (factories.make_mailing(owner, 1) for owner in (mailing.owner, bob, mailing.owner))
    supervision.switch_off(mailing, maria, "Spam")
    verbs.pause(paused)
    supervision.block(bob, maria, "Spam")

    held = {how: found(browser, "panel:mailings", f"held={how}") for how in ("off", "paused", "blocked", "free")}
    assert held == {"off": [mailing], "paused": [paused], "blocked": [blocked], "free": [free]}


def test_mailings_are_narrowed_by_status_and_by_the_days_they_lie_in(browser: Browser, mailing: Mailing) -> None:
    run = make_run(mailing.owner, sent=1)
    today, tomorrow, later = (f"{clock.now() + timedelta(days=n):%Y-%m-%d}" for n in (0, 1, 3))

    assert found(browser, "panel:mailings", "status=completed") == [run.mailing]
    assert found(browser, "panel:mailings", f"until={today}") == [run.mailing]
    assert mailing in found(browser, "panel:mailings", f"since={tomorrow}")
    assert found(browser, "panel:mailings", f"since={later}") == []


@pytest.mark.parametrize(
    "query",
    [
        *("q=%00", f"q={SCRIPT}", "q=" + "x" * 5000, "page=0", "page=99999999999999999999999", "page=x", "sort=secret"),
        *("status=x", "held=x", "owner=x", "owner=-1", f"owner={10**30}", "since=x", "since=0001-01-01"),
        *("until=9999-12-31", "state=x", "action=x", "action=%00"),
    ],
)
@pytest.mark.parametrize("name", LISTS)
def test_odd_addresses_get_a_page(browser: Browser, mailing: Mailing, name: str, query: str) -> None:
    assert SCRIPT not in read(browser, f"{reverse(name)}?{query}")


@pytest.mark.parametrize("name", ["mailing", "letter", "switch-off", "switch-on", "user", "block", "unblock"])
def test_an_id_that_nothing_has_is_not_found(browser: Browser, name: str) -> None:
    for odd in (0, 10**30):
        assert browser.get(reverse(f"panel:{name}", args=[odd])).status_code == 404


def test_a_mailings_page_shows_its_settings_and_no_address_of_a_client(browser: Browser, mailing: Mailing) -> None:
    client = factories.make_clients(mailing.owner, 1)[0]
    mailing.clients.add(client)
    page = read(browser, at("mailing", mailing))

    for words in ("alice@example.org", "3 clients", mailing.lists.get().name, "(2)", mailing.message.subject):
        assert words in page
    assert client.email not in page
    assert reverse("mailings:change", args=[mailing.pk]) not in page
    assert reverse("lists:detail", args=[mailing.lists.get().pk]) not in page


def test_the_message_is_shown_as_it_was_written_in_a_frame_that_runs_nothing(
    browser: Browser, mailing: Mailing
) -> None:
    message = mailing.message
    message.html = f"<p>Dear {{{{ full_name }}}}</p>{SCRIPT}"
    message.save()
    answer = browser.get(at("letter", mailing))

    assert "Dear {{ full_name }}" in answer.content.decode()
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert SCRIPT not in read(browser, at("mailing", mailing))


def test_a_mailing_is_switched_off_with_a_reason_and_on_again(browser: Browser, mailing: Mailing) -> None:
    address = at("mailing", mailing)
    off = browser.post(at("switch-off", mailing), {"reason": "This is <b>spam</b>."}, follow=True)
    assert off.redirect_chain == [(address, 302)]
    assert "This is &lt;b&gt;spam&lt;/b&gt;." in off.content.decode()
    assert current(mailing).switched_off_at is not None

    on = browser.post(at("switch-on", mailing), follow=True)
    assert on.redirect_chain == [(address, 302)]
    assert current(mailing).switched_off_at is None
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["switched off", "switched on"]
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]] * 2


def test_the_log_keeps_where_it_was_done_from(browser: Browser, mailing: Mailing) -> None:
    browser.post(at("switch-off", mailing), {"reason": "Spam"}, REMOTE_ADDR="203.0.113.7")

    assert AuditEntry.objects.get().from_address == "203.0.113.7"


@pytest.mark.parametrize("reason", ["", "   ", "x" * 10_000, "a\x00b"])
@pytest.mark.parametrize("action", ["switch-off", "block"])
def test_a_bad_reason_is_refused_beside_its_field_and_stays_there(
    browser: Browser, mailing: Mailing, action: str, reason: str
) -> None:
    answer = browser.post(at(action, mailing if action == "switch-off" else mailing.owner), {"reason": reason})

    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {"reason"}
    assert reason in answer.content.decode()
    assert current(mailing).switched_off_at is None
    assert current(mailing.owner).is_active
    assert not AuditEntry.objects.exists()


def test_the_second_of_two_managers_is_told_who_was_first(browser: Browser, mailing: Mailing, root: User) -> None:
    supervision.switch_off(mailing, root, "The first reason")
    answer = browser.post(at("switch-off", mailing), {"reason": "The second reason"})

    page = answer.content.decode()
    assert "root@example.org has done this already" in page
    assert "The first reason" in page
    assert current(mailing).switched_off_by == root


def test_what_is_on_already_is_not_switched_on_again(browser: Browser, mailing: Mailing, root: User) -> None:
    supervision.switch_off(mailing, root, "Spam")
    supervision.switch_on(mailing, root)
    supervision.block(mailing.owner, root, "Spam")
    supervision.unblock(mailing.owner, root)
    for action, thing in (("switch-on", mailing), ("unblock", mailing.owner)):
        answer = browser.post(at(action, thing), follow=True)
        assert "root@example.org has done this already" in answer.content.decode()
    assert AuditEntry.objects.count() == 4


def test_getting_a_action_pulls_nothing(browser: Browser, mailing: Mailing) -> None:
    assert browser.get(at("switch-off", mailing))["Location"] == at("mailing", mailing)
    assert browser.get(at("block", mailing.owner))["Location"] == at("user", mailing.owner)
    assert current(mailing).switched_off_at is None
    assert current(mailing.owner).is_active


# Users


def test_users_are_listed_with_what_they_have_and_sent(browser: Browser, alice: User) -> None:
    make_run(alice, sent=3, failed=1)
    make_run(alice, sent=4)
    [row] = found(browser, "panel:users", "q=ALICE")

    assert (row.mailing_count, row.sent_count) == (2, 7)


def test_users_are_found_by_name_and_narrowed_by_state(
    browser: Browser, alice: User, bob: User, maria: User, root: User
) -> None:
    supervision.block(bob, maria, "Spam")
    unconfirmed = User.objects.create_user("new@example.org", "a long password", confirmed_at=None)

    assert found(browser, "panel:users", "q=archer") == [alice]
    assert found(browser, "panel:users", "state=blocked") == [bob]
    assert found(browser, "panel:users", "state=unconfirmed") == [unconfirmed]
    assert found(browser, "panel:users", "state=managers") == [maria]
    assert set(found(browser, "panel:users", "state=active")) == {alice, maria, root}


def test_a_deleted_account_is_no_user_any_more(browser: Browser, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(deleted_at=clock.now())

    assert found(browser, "panel:users", "q=alice") == []
    assert browser.get(at("user", alice)).status_code == 404


def test_a_user_is_blocked_with_a_reason_and_unblocked(browser: Browser, mailing: Mailing) -> None:
    alice = mailing.owner
    theirs = browser_of(alice)
    blocked = browser.post(at("block", alice), {"reason": "Bought addresses"}, follow=True)
    assert "Bought addresses" in blocked.content.decode()
    assert not current(alice).is_active
    assert theirs.get(reverse("overview")).status_code == 302
    assert "owner blocked" in read(browser, reverse("panel:mailings"))

    browser.post(at("unblock", alice))
    assert current(alice).is_active
    assert theirs.get(reverse("overview")).status_code == 302
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]] * 2


def test_managers_superusers_and_oneself_cannot_be_blocked(browser: Browser, maria: User, root: User) -> None:
    other = User.objects.create_user("mark@example.org", "a long password")
    other.groups.set(maria.groups.all())
    for person, words in ((maria, "cannot block yourself"), (other, "cannot be blocked"), (root, "cannot be blocked")):
        assert at("block", person) not in read(browser, at("user", person))
        answer = browser.post(at("block", person), {"reason": "Because"})
        assert words in answer.content.decode()
        assert current(person).is_active
    assert not AuditEntry.objects.exists()


def test_a_users_page_leads_to_all_their_mailings(browser: Browser, mailing: Mailing) -> None:
    page = read(browser, at("user", mailing.owner))

    assert at("mailing", mailing) in page
    assert f"{reverse('panel:mailings')}?owner={mailing.owner_id}" in page


# The log


def test_the_log_tells_who_did_what_to_whom_and_why(browser: Browser, mailing: Mailing, maria: User) -> None:
    supervision.switch_off(mailing, maria, SCRIPT, "203.0.113.7")
    sharing.share(mailing, mailing.owner, "carol@example.org", "edit")
    page = read(browser, reverse("panel:audit"))

    for words in ("maria@example.org", "switched off", "Weekly news", "alice@example.org", "203.0.113.7"):
        assert words in page
    assert "carol@example.org" in page
    assert "to edit" in page
    assert SCRIPT not in page


def test_the_log_is_searched_and_narrowed(browser: Browser, mailing: Mailing, maria: User, bob: User) -> None:
    supervision.switch_off(mailing, maria, "Spam")
    supervision.block(bob, maria, "Bought addresses")
    off, block = AuditEntry.objects.order_by("pk")

    assert found(browser, "panel:audit", "q=weekly") == [off]
    assert found(browser, "panel:audit", "q=bought") == [block]
    assert found(browser, "panel:audit", "q=bob@") == [block]
    assert found(browser, "panel:audit", "action=switched+off") == [off]
    assert found(browser, "panel:audit", "q=maria&sort=at") == [off, block]


# How much is asked


@pytest.mark.parametrize("name", LISTS)
def test_a_list_asks_no_more_for_thirty_rows_than_for_one(
    browser: Browser, alice: User, maria: User, name: str
) -> None:
    def fill(number: int) -> None:
        for n in range(number):
            owner = User.objects.create_user(f"user{User.objects.count()}@example.org", "a long password")
            run = make_run(owner, name=f"Mailing {n}", sent=1)
            supervision.switch_off(run.mailing, maria, "Spam")
            supervision.block(owner, maria, "Spam")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(reverse(name))
        return len(captured)

    fill(1)
    queries()  # whose session is looked up, whose visit is noted: once
    one = queries()
    fill(29)
    assert queries() == one
