"""What people do with their own account."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone

from vestnik.accounts.models import User
from vestnik.mailings import verbs as mailings
from vestnik.mailings.models import Run
from vestnik.testing.factories import make_clients, make_list, make_mailing, make_message
from web.accounts.email_sync import align

pytestmark = pytest.mark.usefixtures("db", "valkey")

PASSWORD = "a long password"
ABOUT = {"full_name": "Alice A. Archer", "language": "en", "time_zone": "Asia/Tokyo"}


@pytest.fixture
def browser(client, alice):
    client.post("/en/accounts/login/", {"login": alice.email, "password": PASSWORD})
    return client


def test_the_profile_is_for_who_is_signed_in(client):
    for page in ("/profile/", "/profile/delete/"):
        for ask in (client.get, client.post):
            assert ask(page).url.endswith(f"/accounts/login/?next={page}")


def test_the_profile_is_saved(browser, alice):
    answer = browser.post("/profile/", {**ABOUT, "email": "mallory@example.org", "is_superuser": "on"}, follow=True)
    assert "The profile is saved." in answer.content.decode()
    alice.refresh_from_db()
    assert (alice.full_name, alice.time_zone, alice.language) == ("Alice A. Archer", "Asia/Tokyo", "en")
    assert (alice.email, alice.is_superuser) == ("alice@example.org", False)


def test_the_pages_speak_the_language_of_the_profile(browser):
    answer = browser.post("/profile/", {**ABOUT, "language": "ru"}, follow=True)
    assert '<html lang="ru">' in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("full_name", "A\u2028B"), ("full_name", "x" * 201), ("time_zone", "Mars/Olympus"), ("language", "xx")],
)
def test_what_is_wrong_in_a_profile_is_said_beside_its_field(browser, alice, field, value):
    answer = browser.post("/profile/", {**ABOUT, field: value})
    assert list(answer.context["form"].errors) == [field]
    assert "Alice Archer" in answer.content.decode(), "the name above the page is the one that is saved"
    alice.refresh_from_db()
    assert alice.full_name == "Alice Archer"


def test_a_zone_of_an_older_name_stays(browser, alice):
    User.objects.filter(pk=alice.pk).update(time_zone="US/Pacific")
    assert '<option value="US/Pacific" selected>' in browser.get("/profile/").content.decode()


def test_managers_have_a_profile_too(client, maria):
    client.force_login(maria)
    assert client.post("/profile/", {**ABOUT, "full_name": "Maria"}).status_code == 302
    maria.refresh_from_db()
    assert maria.full_name == "Maria"


def test_deleting_says_first_what_goes(browser, alice, bob):
    make_clients(alice, 1234)
    make_message(bob)
    page = browser.get("/profile/delete/").content.decode()
    assert "1,234 clients" in page
    assert "0 messages" in page
    assert "is not over" not in page
    mailings.send_now(make_mailing(alice, 2, start=timezone.now() + timedelta(hours=1)))
    page = browser.get("/profile/delete/").content.decode()
    assert "1,236 clients" in page
    assert "1 list<" in page
    assert "1 message<" in page
    assert "1 mailing<" in page
    assert "1 run is not over" in page


def test_a_deleted_account_is_gone_for_whoever_looks(browser, alice, bob):
    make_list(alice, 3)
    elsewhere = Client()
    elsewhere.force_login(alice)
    of_users = ContentType.objects.get_for_model(User)
    for actor, about in ((alice, bob), (bob, alice), (bob, bob)):
        LogEntry.objects.create(
            user=actor, content_type=of_users, object_id=about.pk, object_repr=str(about), action_flag=CHANGE
        )
    answer = browser.post("/profile/delete/", {"password": PASSWORD}, follow=True)
    assert answer.redirect_chain[-1][0] == "/en/"
    assert "Your account is deleted" in answer.content.decode()
    for session in (browser, elsewhere):
        assert session.get("/profile/").status_code == 302
    alice.refresh_from_db()
    assert (alice.is_active, alice.full_name) == (False, "")
    assert not EmailAddress.objects.filter(user=alice).exists()
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["bob@example.org"]
    login = {"login": "alice@example.org", "password": PASSWORD}
    assert Client().post("/en/accounts/login/", login).status_code == 200


def test_a_deleted_address_can_be_registered_again(browser):
    browser.post("/profile/delete/", {"password": PASSWORD})
    form = {"email": "alice@example.org", "password1": "trumpets at dawn", "language": "en", "time_zone": "UTC"}
    Client().post("/en/accounts/signup/", form)
    assert User.objects.filter(email="alice@example.org", confirmed_at=None).exists()


def test_deleting_wants_the_password_and_has_it_guessed_only_so_often(browser, alice):
    answers = [browser.post("/profile/delete/", {"password": "wrong"}) for _ in range(11)]
    assert answers[0].context["form"].errors["password"]
    assert answers[-1].status_code == 429
    refused = browser.post("/profile/delete/", {"password": PASSWORD})
    assert refused.status_code == 429
    alice.refresh_from_db()
    assert alice.is_active


def test_the_last_administrator_stays_and_nothing_of_theirs_goes(client):
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    client.force_login(root)
    align(root)
    answer = client.post("/profile/delete/", {"password": PASSWORD})
    assert answer.status_code == 200
    assert "last administrator" in answer.content.decode()
    assert EmailAddress.objects.filter(user=root).exists()
    assert client.get("/profile/").status_code == 200


def test_the_runs_of_a_deleted_account_are_cancelled(browser, alice):
    soon = timezone.now() + timedelta(minutes=1)
    run = mailings.send_now(make_mailing(alice, 2, start=soon))
    browser.post("/profile/delete/", {"password": PASSWORD})
    assert Run.objects.get(pk=run.pk).cancelled_at is not None
