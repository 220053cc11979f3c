"""Accounts in the browser: signing up, in and out, passwords, addresses."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.test import Client
from django.urls import reverse

from local.servers import ValkeyServer
from vestnik.accounts.models import User
from vestnik.mailings.models import Message
from web.accounts.forms import SignupForm

pytestmark = pytest.mark.usefixtures("db", "valkey")

PASSWORD = "a long password"
NEW = {
    "email": "Eve@Example.org",
    "password1": "trumpets at dawn",
    "full_name": "Eve Adams",
    "language": "en",
    "time_zone": "Europe/Moscow",
}


class CountingHasher(MD5PasswordHasher):
    times = 0

    def encode(self, password, salt):
        type(self).times += 1
        return super().encode(password, salt)


def sign_up(client, **other):
    return client.post("/en/accounts/signup/", {**NEW, **other})


def sign_in(client, email="alice@example.org", password=PASSWORD, **other):
    return client.post("/en/accounts/login/", {"login": email, "password": password, **other})


def is_signed_in(client):
    return "_auth_user_id" in client.session


def link(letter=None):
    """The path of the link in the last letter."""
    found = re.search(r"https?://\S+/accounts/\S+", (letter or mail.outbox[-1]).body)
    return urlsplit(found[0]).path


def plain(response):
    """The page without what differs at each answer."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())


def hashings(settings, do):
    settings.PASSWORD_HASHERS = ["tests.web.test_accounts.CountingHasher"]
    before = CountingHasher.times
    do()
    return CountingHasher.times - before


# Signing up


def test_a_visitor_signs_up_confirms_the_address_and_signs_in(client):
    answer = sign_up(client, next="/clients/")
    assert answer.status_code == 302
    assert "Look into your mailbox" in client.get(answer.url).content.decode()
    eve = User.objects.get(email="eve@example.org")
    assert (eve.full_name, eve.time_zone, eve.language) == ("Eve Adams", "Europe/Moscow", "en")
    assert not eve.is_confirmed

    assert sign_in(client, "eve@example.org", NEW["password1"]).url == answer.url
    assert not is_signed_in(client)

    [letter] = mail.outbox
    assert letter.to == ["eve@example.org"]
    assert "http://testserver/en/accounts/confirm-email/" in letter.body
    assert "holds for 3 days" in letter.body
    page = client.get(link(letter))
    assert "Yes, confirm it" in page.content.decode()
    eve.refresh_from_db()
    assert not eve.is_confirmed, "programs that look into mailboxes open links"

    assert client.post(link(letter)).url == "/en/accounts/login/"
    eve.refresh_from_db()
    assert eve.is_confirmed
    assert sign_in(client, "EVE@example.org ", NEW["password1"]).url == "/overview/"
    assert is_signed_in(client)


def test_the_form_speaks_the_pages_language_and_offers_it(client):
    page = client.get("/ru/accounts/signup/").content.decode()
    assert '<option value="ru" selected>' in page
    assert "data-guess-zone" in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", "почта@example.org"),
        ("email", ""),
        ("full_name", "Eve\nBcc: all@example.org"),
        ("time_zone", "Mars/Olympus"),
        ("language", "xx"),
        ("password1", ""),
        ("password1", "short"),
        ("password1", "password"),
        ("password1", "4815162342108"),
        ("password1", "eve@example"),
        ("password1", "eve adams1"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_the_rest_stays(client, field, value):
    form = sign_up(client, **{field: value}).context["form"]
    assert list(form.errors) == [field]
    assert form["full_name"].value() == (value if field == "full_name" else "Eve Adams")
    assert not User.objects.exists()


def test_a_zone_that_was_chosen_is_not_guessed_again(client):
    assert "data-guess-zone" not in sign_up(client, password1="short").content.decode()


@pytest.mark.parametrize("has_signed_in", [True, False])
def test_signing_up_does_not_tell_who_is_registered(client, settings, alice, has_signed_in):
    if has_signed_in:
        sign_in(Client())
    strangers, known = Client(), Client()
    answers = {}

    def ask(browser, email):
        answers[email] = sign_up(browser, email=email)

    assert hashings(settings, lambda: ask(strangers, "eve@example.org")) == 1
    assert hashings(settings, lambda: ask(known, "alice@example.org")) == 1
    new, old = answers.values()
    assert (new.status_code, new.url) == (old.status_code, old.url)
    assert new.headers.keys() == old.headers.keys()
    assert new.cookies.keys() == old.cookies.keys()
    pages = [plain(strangers.get(new.url)), plain(known.get(old.url))]
    assert pages[0].replace("eve@", "alice@") == pages[1]
    assert [letter.to for letter in mail.outbox] == [["eve@example.org"], ["alice@example.org"]]
    assert "There is one already" in mail.outbox[1].body
    assert "/en/accounts/password/reset/" in mail.outbox[1].body


def test_two_who_sign_up_at_once_with_one_address_become_one(client, monkeypatch, alice):
    monkeypatch.setattr(SignupForm, "validate_unique_email", lambda form, value: value)
    answer = sign_up(client, email="alice@example.org")
    assert answer.url == reverse("account_email_verification_sent")
    assert "There is one already" in mail.outbox[-1].body
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


@pytest.mark.parametrize("link_is", ["used", "old", "forged"])
def test_a_link_that_is_no_longer_good_says_so(client, settings, link_is):
    sign_up(client)
    address = link()
    if link_is == "used":
        client.post(address)
    elif link_is == "old":
        settings.ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = 0
    else:
        address = address[:-3] + "xx/"
    page = client.get(address)
    assert page.status_code == 200
    assert "This link is no longer good" in page.content.decode()
    assert client.post(address).status_code == 404
    assert User.objects.get().is_confirmed == (link_is == "used")


def test_the_letter_is_sent_once_more_and_not_at_every_click(client):
    sign_up(client)
    page = reverse("account_email_verification_sent")
    assert 'value="eve@example.org"' in client.get(page).content.decode()
    answers = [client.post(page, {"email": " EVE@example.org"}, follow=True) for _ in range(2)]
    assert "A letter is on its way to eve@example.org" in answers[0].content.decode()
    assert "a moment ago" in answers[1].content.decode()
    assert len(mail.outbox) == 2
    Client().post(link())
    assert User.objects.get().is_confirmed


def test_asking_for_the_letter_again_does_not_tell_who_is_registered(client, alice):
    sign_up(Client())
    page = reverse("account_email_verification_sent")
    addresses = ("eve@example.org", "alice@example.org", "nobody@example.org")
    answers = {email: Client().post(page, {"email": email}, follow=True) for email in addresses}
    pages = {plain(answer).replace(email, "") for email, answer in answers.items()}
    assert len(pages) == 1
    texts = [letter.body for letter in mail.outbox[1:]]
    assert "confirm-email" in texts[0]
    assert "There is one already" in texts[1]
    assert "no account" in texts[2]


# Signing in and out


def test_people_made_on_the_command_line_sign_in(client, alice):
    assert sign_in(client).url == "/overview/"
    [copy] = EmailAddress.objects.all()
    assert (copy.email, copy.verified, copy.primary) == ("alice@example.org", True, True)


def test_who_has_an_address_from_an_administrator_signs_in_with_that_one_alone(client, alice, bob):
    sign_in(Client())
    User.objects.filter(pk=alice.pk).update(email="archer@example.org")
    User.objects.filter(pk=bob.pk).update(email="alice@example.org", full_name="Robert")
    sign_in(client, "archer@example.org")
    assert client.session["_auth_user_id"] == str(alice.pk)
    bob.set_password("another long one")
    bob.email = "alice@example.org"
    bob.save()
    assert sign_in(Client()).status_code == 200, "it is no longer that password's address"
    sign_in(other := Client(), password="another long one")
    assert other.session["_auth_user_id"] == str(bob.pk)
    assert set(EmailAddress.objects.values_list("user", "email")) == {
        (alice.pk, "archer@example.org"),
        (bob.pk, "alice@example.org"),
    }


def test_whose_confirmation_was_taken_back_confirms_anew(client, alice):
    sign_in(Client())
    User.objects.filter(pk=alice.pk).update(confirmed_at=None)
    assert sign_in(client).url == reverse("account_email_verification_sent")
    client.post(link())
    assert sign_in(client).url == "/overview/"


def test_an_address_in_another_form_is_the_same_address(client):
    User.objects.create_user("post@xn--bcher-kva.example", PASSWORD)
    assert sign_in(client, "Post@Bücher.example").url == "/overview/"
    assert len(mail.outbox) == 0


def test_a_wrong_password_and_an_unknown_address_look_alike(client, settings, alice):
    answers = []
    assert hashings(settings, lambda: answers.append(sign_in(client, password="wrong"))) == 1
    assert hashings(settings, lambda: answers.append(sign_in(client, "nobody@example.org", "wrong"))) == 1
    wrong, unknown = map(plain, answers)
    assert wrong.replace("alice@", "nobody@") == unknown
    assert answers[0].context["form"].non_field_errors()


@pytest.mark.parametrize("remember", [True, False])
def test_who_wants_to_stay_signed_in_does(client, alice, remember):
    sign_in(client, **({"remember": "on"} if remember else {}))
    assert client.session.get_expire_at_browser_close() is not remember


def test_signing_in_goes_on_where_one_was_going(client, alice):
    answer = client.get("/overview/?days=7")
    assert answer.url.endswith("?next=/overview/%3Fdays%3D7")
    page = client.get(answer.url, follow=True)
    assert 'name="next" value="/overview/?days=7"' in page.content.decode()
    assert sign_in(client, next="/overview/?days=7").url == "/overview/?days=7"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"])
def test_signing_in_leads_nowhere_else(client, alice, elsewhere):
    assert sign_in(client, next=elsewhere).url == "/overview/"


def test_signing_out_wants_a_button(client, alice):
    client.force_login(alice)
    assert "Sign out?" in client.get("/en/accounts/logout/").content.decode()
    assert is_signed_in(client)
    assert client.post("/en/accounts/logout/").url == "/en/"
    assert not is_signed_in(client)


def test_the_blocked_are_told_so_and_are_signed_out(client, alice):
    sign_in(client)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert client.get("/profile/").status_code == 302
    answer = sign_in(Client())
    assert "This account is blocked" in client.get(answer.url).content.decode()
    assert sign_in(Client(), password="wrong").status_code == 200


def test_a_form_left_open_over_a_sign_out_is_refused_with_a_word(alice):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', browser.get("/profile/").content.decode())[1]
    browser.logout()
    answer = browser.post("/profile/", {"full_name": "Mallory", "csrfmiddlewaretoken": token})
    assert answer.status_code == 403
    assert "This form was open for too long" in answer.content.decode()


def test_the_unconfirmed_make_nothing_even_with_a_session(client):
    eve = User.objects.create_user("eve@example.org", PASSWORD, confirmed_at=None)
    client.force_login(eve)
    assert client.post("/messages/new/", {"subject": "News", "text": "Hello."}).status_code == 403
    assert client.post("/en/accounts/email/", {"action_add": "", "email": "x@example.org"}).status_code == 403
    assert not Message.objects.exists()


# Passwords


def test_a_forgotten_password_is_replaced_and_every_session_ends(client, alice):
    sign_in(elsewhere := Client())
    answer = client.post("/en/accounts/password/reset/", {"email": "Alice@example.org"}, follow=True)
    assert "Look into your mailbox" in answer.content.decode()
    assert "holds for 24 hours" in mail.outbox[-1].body
    address = link()
    form = client.get(address, follow=True)
    assert "Choose a new password" in form.content.decode()
    path = form.redirect_chain[-1][0]
    assert client.post(path, {"password1": "alice@example"}).context["form"].errors["password1"]
    done = client.post(path, {"password1": "trumpets at dawn"}, follow=True)
    assert "The password is changed" in done.content.decode()
    assert "password of your account of Vestnik was changed" in mail.outbox[-1].body
    assert elsewhere.get("/profile/").status_code == 302
    assert sign_in(client).status_code == 200
    assert sign_in(client, password="trumpets at dawn").url == "/overview/"
    assert "This link is no longer good" in Client().get(address).content.decode()


def test_asking_for_a_new_password_does_not_tell_who_is_registered(client, alice):
    blocked = User.objects.create_user("blocked@example.org", PASSWORD, is_active=False)
    addresses = ("alice@example.org", "nobody@example.org", blocked.email)
    answers = [client.post("/en/accounts/password/reset/", {"email": email}) for email in addresses]
    assert {(answer.status_code, answer.url) for answer in answers} == {(302, "/en/accounts/password/reset/done/")}
    assert ["password/reset/key" in letter.body for letter in mail.outbox] == [True, False, False]


@pytest.mark.parametrize("link_is", ["old", "forged", "of nobody"])
def test_a_link_for_a_new_password_that_is_not_good_says_so(client, settings, alice, link_is):
    client.post("/en/accounts/password/reset/", {"email": alice.email})
    address = link()
    if link_is == "old":
        settings.PASSWORD_RESET_TIMEOUT = -1
    elif link_is == "forged":
        address = address[:-3] + "xx/"
    else:
        address = "/en/accounts/password/reset/key/zzzzzzzzzzzzz-" + address.rpartition("-")[2]
    page = client.get(address)
    assert page.status_code == 200
    assert "This link is no longer good" in page.content.decode()


def test_a_password_is_changed_by_who_knows_it(client, alice):
    sign_in(client)
    sign_in(elsewhere := Client())
    form = {"oldpassword": "wrong", "password1": "trumpets at dawn"}
    page = "/en/accounts/password/change/"
    assert client.post(page, form).context["form"].errors["oldpassword"]
    assert client.post(page, {**form, "oldpassword": PASSWORD, "password1": "Alice Archer"}).context["form"].errors
    assert client.post(page, {**form, "oldpassword": PASSWORD}).url == "/profile/"
    assert client.get("/profile/").status_code == 200
    assert elsewhere.get("/profile/").status_code == 302
    assert mail.outbox[-1].to == ["alice@example.org"]


# Addresses


def change_address(client, email="archer@example.org"):
    """Ask for a new address, and give the password that is asked for."""
    answer = client.post("/en/accounts/email/", {"action_add": "", "email": email})
    assert "/reauthenticate/" in answer.url
    return client.post(answer.url, {"password": PASSWORD, "next": "/en/accounts/email/"}, follow=True)


def test_an_address_is_changed_when_the_new_one_is_confirmed_and_not_before(client, alice):
    sign_in(client)
    page = change_address(client, "Archer@example.org")
    assert "archer@example.org" in page.content.decode()
    [letter] = mail.outbox
    assert letter.to == ["archer@example.org"]
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
    assert sign_in(Client(), "archer@example.org").status_code == 200

    confirmed_at = alice.confirmed_at
    client.get(link(letter))
    assert client.post(link(letter)).url == "/profile/"
    alice.refresh_from_db()
    assert (alice.email, alice.confirmed_at) == ("archer@example.org", confirmed_at)
    assert mail.outbox[-1].to == ["alice@example.org"], "the old mailbox hears of it"
    assert sign_in(Client()).status_code == 200
    assert sign_in(Client(), "archer@example.org").url == "/overview/"


def test_the_password_is_asked_for_before_the_address_is_changed(client, alice):
    sign_in(client)
    answer = client.post("/en/accounts/email/", {"action_add": "", "email": "mallory@example.org"})
    refused = client.post(answer.url, {"password": "wrong", "next": "/en/accounts/email/"})
    assert refused.context["form"].errors["password"]
    assert not mail.outbox


def test_a_change_of_address_can_be_called_off(client, alice):
    sign_in(client)
    change_address(client)
    client.post("/en/accounts/email/", {"action_remove": "", "email": "archer@example.org"})
    assert "This link is no longer good" in client.get(link(mail.outbox[0])).content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


def test_an_address_that_somebody_took_in_the_meantime_is_not_taken_over(client, alice):
    sign_in(client)
    change_address(client)
    User.objects.create_user("archer@example.org", PASSWORD)
    answer = client.post(link(), follow=True)
    assert answer.status_code == 200
    assert "cannot be confirmed" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
    assert sign_in(Client()).url == "/overview/"


def test_an_address_that_is_only_wished_for_opens_nothing_and_keeps_nobody_out(client, alice):
    sign_in(client)
    change_address(client, "eve@example.org")
    client.post("/en/accounts/password/reset/", {"email": "eve@example.org"})
    assert "password/reset/key" not in mail.outbox[-1].body
    visitor = Client()
    sign_up(visitor)
    eve = User.objects.get(email="eve@example.org")
    page = reverse("account_email_verification_sent")
    visitor.post(page, {"email": "eve@example.org"})
    visitor.post(link())
    eve.refresh_from_db()
    assert eve.is_confirmed
    assert sign_in(visitor, "eve@example.org", NEW["password1"]).url == "/overview/"


def test_the_link_of_an_address_that_an_administrator_has_corrected_is_dead(client):
    sign_up(client, email="eev@example.org")
    User.objects.update(email="eve@example.org")
    Client().post(link())
    [eve] = User.objects.all()
    assert (eve.email, eve.is_confirmed) == ("eve@example.org", False)


def test_a_session_from_the_admin_site_can_change_the_address(client):
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    client.post("/admin/login/", {"username": root.email, "password": PASSWORD})
    assert "Waiting for" not in client.get("/en/accounts/email/").content.decode()
    change_address(client)
    client.post(link())
    root.refresh_from_db()
    assert root.email == "archer@example.org"


# Letters


def test_letters_are_in_the_language_of_who_gets_them(client, alice):
    User.objects.filter(pk=alice.pk).update(language="ru")
    client.post("/en/accounts/password/reset/", {"email": alice.email})
    assert "http://testserver/ru/accounts/password/reset/key/" in mail.outbox[-1].body
    sign_up(client, language="ru")
    assert "/ru/accounts/confirm-email/" in mail.outbox[-1].body


def test_links_lead_to_where_the_page_was_asked_for_and_nowhere_else(client, settings, alice):
    settings.ALLOWED_HOSTS = ["mail.example.org"]
    page = "/en/accounts/password/reset/"
    client.post(page, {"email": alice.email}, headers={"host": "mail.example.org"})
    assert "http://mail.example.org/en/accounts/" in mail.outbox[-1].body
    assert client.post(page, {"email": alice.email}, headers={"host": "evil.example"}).status_code == 400
    assert len(mail.outbox) == 1


def test_no_letter_breaks_over_a_name(client):
    sign_up(client, full_name="<b>Eve & “Co”</b>")
    assert mail.outbox[-1].body.isascii() or "&amp;" not in mail.outbox[-1].body
    assert "\n" not in mail.outbox[-1].subject
    assert mail.outbox[-1].body.rstrip().endswith("Vestnik\ntestserver")


# Limits


def test_too_many_wrong_passwords_for_an_address_close_it_for_a_while_wherever_they_come_from(alice):
    for number in range(5):
        sign_in(Client(REMOTE_ADDR=f"192.0.2.{number}"), password="wrong")
    answer = sign_in(Client(REMOTE_ADDR="192.0.2.99"))
    assert answer.status_code == 200
    assert "Too many failed" in answer.content.decode()


def tries(browser, number, **headers):
    """The statuses of so many sign-ins from one place, each with another address."""
    form = {"password": "wrong"}
    return [
        browser.post("/en/accounts/login/", {**form, "login": f"nobody{n}@example.org"}, **headers).status_code
        for n in range(number)
    ]


def test_one_place_has_only_so_many_tries_and_then_waits(client):
    assert tries(client, 31) == [200] * 30 + [429]
    answer = client.post("/en/accounts/login/", {})
    assert "Too many tries" in answer.content.decode()
    assert client.get("/en/accounts/login/").status_code == 200


@pytest.mark.parametrize("page", ["signup", "password/reset"])
def test_letters_to_strangers_are_limited(client, page):
    form = [{**NEW, "email": f"stranger{n}@example.org"} for n in range(11)]
    statuses = [client.post(f"/en/accounts/{page}/", data).status_code for data in form]
    assert statuses == [302] * 10 + [429]


def test_without_a_proxy_a_forged_header_does_not_help(settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    statuses = [tries(Client(), 1, HTTP_X_FORWARDED_FOR=f"198.51.100.{n}")[0] for n in range(31)]
    assert statuses == [200] * 30 + [429]


def test_behind_a_proxy_what_the_proxy_saw_counts(settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    statuses = [tries(Client(), 1, HTTP_X_FORWARDED_FOR=f"198.51.100.{n}, 203.0.113.5")[0] for n in range(31)]
    assert statuses == [200] * 30 + [429]
    assert tries(Client(), 1, HTTP_X_FORWARDED_FOR="203.0.113.5, 203.0.113.6") == [200]


def test_who_comes_past_the_proxies_is_not_an_error(settings, alice):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 2
    assert tries(Client(), 1, HTTP_X_FORWARDED_FOR="203.0.113.5") == [200]
    assert tries(Client(), 1, HTTP_X_FORWARDED_FOR="nonsense, nonsense") == [200]
    assert tries(Client(), 1) == [200]


def test_signing_in_and_up_do_without_the_cache(client, settings, alice, caplog):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    before = time.monotonic()
    assert sign_up(client).status_code == 302
    assert sign_in(client).url == "/overview/"
    assert time.monotonic() - before < 3
    assert len(mail.outbox) == 1
    said = [record.message for record in caplog.records if record.name == "web.cache"]
    assert len(said) == 1
    assert "limits are not kept" in said[0]


def test_limits_are_kept_again_when_the_cache_is_back(settings, monkeypatch, tmp_path):
    server = ValkeyServer(tmp_path, durable=False)
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": server.cache_url}}
    monkeypatch.setattr("web.cache.PAUSE_SECONDS", 0)
    assert tries(Client(), 31) == [200] * 31
    server.start()
    try:
        assert tries(Client(), 31) == [200] * 30 + [429]
    finally:
        server.stop()
