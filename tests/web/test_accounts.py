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
from vestnik import demo
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


def confirm(client, password=NEW["password1"], letter=None):
    """Open the link in the last letter, and type the password there."""
    return client.post(link(letter), {"password": password})


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


def test_a_visitor_signs_up_and_confirms_the_address_and_is_in(client):
    answer = sign_up(client, next="/clients/")
    assert answer.status_code == 302
    assert "Look into your mailbox" in client.get(answer.url).content.decode()
    eve = User.objects.get(email="eve@example.org")
    assert (eve.full_name, eve.time_zone, eve.language) == ("Eve Adams", "Europe/Moscow", "en")
    assert not eve.is_confirmed

    [letter] = mail.outbox
    assert letter.to == ["eve@example.org"]
    assert "http://localhost:8000/en/accounts/confirm-email/" in letter.body
    assert "holds for 3 days" in letter.body
    page = Client().get(link(letter))
    assert "Confirm and sign in" in page.content.decode()
    eve.refresh_from_db()
    assert not eve.is_confirmed, "programs that look into mailboxes open links"

    reader = Client()
    answer = confirm(reader, letter=letter)
    assert answer.url == "/overview/"
    eve.refresh_from_db()
    assert eve.is_confirmed
    assert is_signed_in(reader)
    assert reader.session.get_expire_at_browser_close()
    assert not is_signed_in(client), "the browser that signed up may be another's"
    assert "eve@example.org is confirmed" in reader.get(answer.url).content.decode()
    assert sign_in(client, "EVE@example.org ", NEW["password1"]).url == "/overview/"
    assert is_signed_in(client)


def test_links_and_names_in_letters_are_the_installations_whatever_host_was_asked_for(settings):
    settings.ALLOWED_HOSTS, settings.SITE_URL = ["*"], "https://herald.example"
    browser = Client(SERVER_NAME="evil.example", HTTP_X_FORWARDED_HOST="evil.example")
    sign_up(browser)
    sign_up(browser, email="eve@example.org")
    browser.post(reverse("account_reset_password"), {"email": "nobody@example.org"})
    browser.post(reverse("account_reset_password"), {"email": "eve@example.org"})
    assert len(mail.outbox) >= 3
    for letter in mail.outbox:
        assert "https://herald.example/en/accounts/" in letter.body
        assert letter.body.rstrip().endswith("\nherald.example")
        assert "evil" not in letter.body + letter.subject


def test_who_signs_up_reads_their_address_as_they_write_it(client):
    answer = sign_up(client, email="Eve@Пример.рф")
    assert answer.status_code == 302
    [letter] = mail.outbox
    assert letter.to == ["eve@xn--e1afmkfd.xn--p1ai"]
    assert "eve@пример.рф" in letter.body
    assert "xn--" not in letter.body
    confirm(client)
    for page in ("/overview/", "/profile/"):
        text = client.get(page).content.decode()
        assert "eve@пример.рф" in text
        assert "xn--" not in text


def test_an_account_has_an_address_that_every_mail_service_takes(client):
    answer = sign_up(client, email="Ева@example.org")
    assert answer.status_code == 200
    assert answer.context["form"].errors["email"]
    assert not User.objects.filter(email__contains="ева").exists()


def test_nobody_confirms_an_account_whose_password_they_do_not_know(client):
    sign_up(mallory := Client(), email="victim@example.org")
    assert "did not sign up" in mail.outbox[-1].body
    for browser in (client, mallory):
        refused = confirm(browser, "the victim's own idea")
        assert refused.context["form"].errors["password"]
        assert reverse("account_reset_password") in refused.content.decode()
        assert client.post(link()).status_code == 200
        assert not is_signed_in(browser)
    assert not User.objects.get().is_confirmed
    assert not is_signed_in(sign_in(mallory, "victim@example.org", NEW["password1"]).client)


def test_the_password_on_the_confirmation_page_is_guessed_only_so_often(client):
    sign_up(client)
    for _ in range(5):
        confirm(client, "wrong")
    refused = confirm(client)
    assert "Too many failed" in refused.content.decode()
    assert not User.objects.get().is_confirmed


def test_a_link_that_was_used_signs_nobody_in(client):
    sign_up(client)
    confirm(Client())
    assert confirm(client).status_code == 404
    assert not is_signed_in(client)


def test_who_is_blocked_before_confirming_is_told_so(client):
    sign_up(client)
    User.objects.update(is_active=False)
    assert "This account is blocked" in client.get(confirm(client).url).content.decode()
    assert not is_signed_in(client)


def test_who_confirms_while_another_is_signed_in_takes_their_place(client, alice):
    sign_up(client)
    sign_in(client)
    assert confirm(client).url == "/overview/"
    assert client.session["_auth_user_id"] == str(User.objects.get(email="eve@example.org").pk)


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


def test_a_password_like_the_address_is_refused_in_a_sentence_of_either_language(client):
    for language, sentence in (
        ("en", "The password is too similar to your address or your name."),
        ("ru", "Пароль слишком похож на ваш адрес или имя."),
    ):
        written = {**NEW, "password1": NEW["email"]}
        assert sentence in client.post(f"/{language}/accounts/signup/", written).content.decode()


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
        confirm(client)
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
    confirm(Client())
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


def test_whose_confirmation_was_taken_back_confirms_again(client, alice):
    sign_in(Client())
    User.objects.filter(pk=alice.pk).update(confirmed_at=None)
    assert "not confirmed yet" in sign_in(client).content.decode()
    client.post(reverse("account_email_verification_sent"), {"email": alice.email})
    assert confirm(client, PASSWORD).url == "/overview/"
    assert is_signed_in(client)
    assert sign_in(Client()).url == "/overview/"


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


def test_whether_an_address_was_free_is_not_told_by_signing_up_and_in_with_it(client, settings, alice):
    answers = {}
    for number, email in enumerate(("free@example.org", alice.email)):
        mallory = Client(REMOTE_ADDR=f"192.0.2.{number}")
        sign_up(mallory, email=email)
        tries = []

        def attempt(mallory=mallory, email=email, tries=tries):
            tries.append(sign_in(mallory, email, NEW["password1"]))

        assert [hashings(settings, attempt) for _ in range(7)] == [1] * 5 + [0] * 2
        answers[email] = [(each.status_code, plain(each).replace(email, "")) for each in tries]
        assert reverse("account_email_verification_sent") in tries[0].content.decode()
    free, registered = answers.values()
    assert free == registered
    assert "not confirmed yet" in free[0][1]
    assert not any("confirm-email" in letter.body for letter in mail.outbox[1:]), "no letter is sent by signing in"


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


def test_whose_account_is_blocked_reads_so_in_every_letter_they_ask_for(client, alice):
    User.objects.filter(pk=alice.pk).update(is_active=False, language="ru")
    client.post("/en/accounts/password/reset/", {"email": alice.email})
    client.post(reverse("account_email_verification_sent"), {"email": alice.email})
    sign_up(client, email=alice.email)
    assert len(mail.outbox) == 3
    assert {(letter.to[0], letter.subject) for letter in mail.outbox} == {
        (alice.email, "Ваша учётная запись заблокирована")
    }
    assert not any("/accounts/" in letter.body for letter in mail.outbox)


def test_a_form_left_open_over_a_sign_out_is_refused_with_a_word(alice):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', browser.get("/profile/").content.decode())[1]
    browser.logout()
    answer = browser.post("/profile/", {"full_name": "Mallory", "csrfmiddlewaretoken": token})
    assert answer.status_code == 403
    assert "This form was open for too long" in answer.content.decode()


def test_who_is_signed_in_keeps_the_menu_where_there_is_nothing_to_see(client, alice, maria):
    assert "Sign in" in client.get("/nothing/").content.decode()
    client.force_login(alice)
    page = client.get("/nothing/")
    assert page.status_code == 404
    assert "Sign in" not in page.content.decode()
    assert reverse("clients:list") in page.content.decode()
    client.force_login(maria)
    page = client.get("/clients/new/")
    assert page.status_code == 403
    assert "Sign out" in page.content.decode()


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


def test_who_takes_over_what_a_stranger_signed_up_for_keeps_the_stranger_out(client):
    sign_up(mallory := Client(), email="victim@example.org")
    client.post("/en/accounts/password/reset/", {"email": "victim@example.org"})
    form = client.get(link(), follow=True)
    client.post(form.redirect_chain[-1][0], {"password1": "quite another one"})
    assert User.objects.get().is_confirmed, "the letter was theirs, and now the password is"
    assert sign_in(client, "victim@example.org", "quite another one").url == "/overview/"
    assert confirm(mallory, letter=mail.outbox[0]).status_code == 404
    assert sign_in(mallory, "victim@example.org", NEW["password1"]).status_code == 200


def test_a_new_password_opens_what_others_have_closed_by_wrong_ones(client, settings, alice):
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "login_failed_anywhere": "2/h/key"}
    for number in range(2):
        sign_in(Client(REMOTE_ADDR=f"192.0.2.{number}"), password="wrong")
    assert "Too many failed" in sign_in(client).content.decode()
    client.post("/en/accounts/password/reset/", {"email": alice.email})
    form = client.get(link(), follow=True)
    client.post(form.redirect_chain[-1][0], {"password1": "trumpets at dawn"})
    assert sign_in(client, password="trumpets at dawn").url == "/overview/"


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


@pytest.mark.parametrize("with_another_signed_in", [False, True])
def test_where_no_session_shows_whose_the_new_address_is_the_password_does(client, alice, bob, with_another_signed_in):
    sign_in(client)
    change_address(client)
    elsewhere = Client()
    if with_another_signed_in:
        elsewhere.force_login(bob)
    assert confirm(elsewhere, "wrong").context["form"].errors["password"]
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
    assert confirm(elsewhere, PASSWORD).url == "/overview/"
    alice.refresh_from_db()
    assert alice.email == "archer@example.org"
    assert elsewhere.session["_auth_user_id"] == str(alice.pk)


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
    assert confirm(visitor).url == "/overview/"
    eve.refresh_from_db()
    assert eve.is_confirmed


def test_the_link_of_an_address_that_an_administrator_has_corrected_is_dead(client):
    sign_up(client, email="eev@example.org")
    User.objects.update(email="eve@example.org")
    confirm(Client())
    [eve] = User.objects.all()
    assert (eve.email, eve.is_confirmed) == ("eve@example.org", False)


def test_a_session_that_began_elsewhere_can_change_the_address(client):
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    client.force_login(root)
    assert "Waiting for" not in client.get("/en/accounts/email/").content.decode()
    change_address(client)
    client.post(link())
    root.refresh_from_db()
    assert root.email == "archer@example.org"


# Letters


def test_letters_are_in_the_language_of_who_gets_them(client, alice):
    User.objects.filter(pk=alice.pk).update(language="ru")
    client.post("/en/accounts/password/reset/", {"email": alice.email})
    assert "http://localhost:8000/ru/accounts/password/reset/key/" in mail.outbox[-1].body
    sign_up(client, language="ru")
    assert "/ru/accounts/confirm-email/" in mail.outbox[-1].body


def test_links_lead_to_the_installation_and_a_strange_host_is_refused(client, settings, alice):
    settings.ALLOWED_HOSTS = ["mail.example.org"]
    page = "/en/accounts/password/reset/"
    client.post(page, {"email": alice.email}, headers={"host": "mail.example.org"})
    assert "http://localhost:8000/en/accounts/" in mail.outbox[-1].body
    assert client.post(page, {"email": alice.email}, headers={"host": "evil.example"}).status_code == 400
    assert len(mail.outbox) == 1


def test_no_letter_breaks_over_a_name(client):
    sign_up(client, full_name="<b>Eve & “Co”</b>")
    assert mail.outbox[-1].body.isascii() or "&amp;" not in mail.outbox[-1].body
    assert "\n" not in mail.outbox[-1].subject
    assert mail.outbox[-1].body.rstrip().endswith("Vestnik\nlocalhost:8000")


# Limits


def test_too_many_wrong_passwords_close_an_address_for_who_typed_them_and_nobody_else(alice):
    guesser = Client(REMOTE_ADDR="192.0.2.1")
    for _ in range(5):
        sign_in(guesser, password="wrong")
    answer = sign_in(guesser)
    assert answer.status_code == 200
    assert "Too many failed" in answer.content.decode()
    assert sign_in(Client(REMOTE_ADDR="192.0.2.99")).url == "/overview/"


def test_guesses_from_very_many_places_are_limited_too(settings, alice):
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "login_failed_anywhere": "20/h/key"}
    for number in range(20):
        assert sign_in(Client(REMOTE_ADDR=f"192.0.2.{number}")).url == "/overview/", "what is right does not count"
        sign_in(Client(REMOTE_ADDR=f"192.0.2.{number}"), password="wrong")
    assert "Too many failed" in sign_in(Client(REMOTE_ADDR="192.0.2.99")).content.decode()


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
    said = [record.message for record in caplog.records if record.name == "vestnik.cache"]
    assert len(said) == 1
    assert "limits are not kept" in said[0]


def test_limits_are_kept_again_when_the_cache_is_back(settings, monkeypatch, tmp_path):
    server = ValkeyServer(tmp_path, durable=False)
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": server.cache_url}}
    monkeypatch.setattr("vestnik.cache.PAUSE_SECONDS", 0)
    assert tries(Client(), 31) == [200] * 31
    server.start()
    try:
        assert tries(Client(), 31) == [200] * 30 + [429]
    finally:
        server.stop()


def test_at_home_the_sign_in_page_names_the_demos_accounts_and_nowhere_else(client, db, settings, valkey):
    address = reverse("account_login")
    assert demo.OWNER.email not in client.get(address).content.decode()
    demo.fill()
    page = client.get(address).content.decode()
    assert all(account.email in page for account in demo.ACCOUNTS)
    assert demo.password() in page
    assert client.login(email=demo.OWNER.email, password=demo.password())
    client.logout()
    for mode in ("trial", "production"):
        settings.MODE = mode
        page = client.get(address).content.decode()
        assert demo.OWNER.email not in page
        assert demo.password() not in page


def test_who_is_to_look_into_their_mailbox_is_led_to_the_inbox_where_there_is_one(client, db, settings):
    for address in ("account_reset_password_done", "account_email_verification_sent"):
        settings.INBOX_URL = None
        assert "local inbox" not in client.get(reverse(address)).content.decode()
        settings.INBOX_URL = "http://127.0.0.1:8025/"
        assert 'href="http://127.0.0.1:8025/"' in client.get(reverse(address)).content.decode()


@pytest.mark.parametrize("page", ["account_email_verification_sent", "account_reset_password_done", "account_email"])
def test_where_a_letter_was_sent_it_is_said_what_to_do_when_none_comes(client, alice, page):
    if page == "account_email":
        client.force_login(alice)
        assert "whoever runs this site" not in client.get(reverse(page)).content.decode()
        client.post(reverse(page), {"email": "new@example.org", "action_add": "", "password": PASSWORD})
        EmailAddress.objects.get_or_create(user=alice, email="new@example.org", defaults={"verified": False})
    assert client.get(reverse(page)).content.decode().count("whoever runs this site") == 1
