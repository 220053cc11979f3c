"""Letters that Django itself writes: stored for the dispatcher, in the caller's transaction, ready for the wire."""

import logging
import re
from email import message_from_bytes, policy

import pytest
import redis
from django.conf import settings as configured
from django.core.mail import BadHeaderError, EmailMessage, EmailMultiAlternatives, send_mail
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import translation

from tests import settings as tests_settings
from vestnik.accounts.letters import AccountLetter
from vestnik.accounts.models import User


@pytest.fixture(autouse=True)
def backend(settings):
    """pytest's Django puts a list in its place."""
    settings.EMAIL_BACKEND = tests_settings.EMAIL_BACKEND


def parsed(letter):
    return message_from_bytes(bytes(letter.content), policy=policy.default)


def hints():
    """How many account-mail jobs wait in the queue."""
    bodies = redis.Redis.from_url(configured.REDIS_URL).hvals("vestnik:control.msgs")
    return sum(b'"account_mail"' in body for body in bodies)


def test_both_services_send_account_mail_by_this_backend():
    assert tests_settings.EMAIL_BACKEND == "vestnik.accounts.mail.EmailBackend"
    assert tests_settings.DEFAULT_FROM_EMAIL == tests_settings.SERVER_EMAIL == "herald@vestnik.test"


def test_a_letter_is_stored_due_at_once(db):
    assert send_mail("Confirm", "https://vestnik.test/confirm/1", None, ["Alice@EXAMPLE.org"]) == 1
    letter = AccountLetter.objects.get()
    assert (letter.recipient, letter.subject, letter.state) == ("alice@example.org", "Confirm", "queued")
    assert letter.due_at == letter.created_at
    assert letter.key.endswith("@vestnik.test")
    message = parsed(letter)
    assert message["Message-ID"] == f"<{letter.key}>"
    assert (message["From"], message["To"]) == ("Vestnik <herald@vestnik.test>", "Alice@EXAMPLE.org")
    assert message["Date"].endswith(" +0000")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content() == "https://vestnik.test/confirm/1\r\n"


def test_a_letter_is_committed_and_hinted_at_with_what_it_speaks_of(transactional_db, valkey):
    with transaction.atomic():
        User.objects.create_user("carol@example.org")
        send_mail("Hello", "Carol", None, ["carol@example.org"])
        assert hints() == 0
    assert hints() == 1
    assert AccountLetter.objects.count() == 1


def test_a_letter_is_rolled_back_with_what_it_speaks_of(transactional_db, valkey, alice):
    @transaction.atomic
    def sign_up():
        send_mail("Hello", "Alice", None, [alice.email])
        User.objects.bulk_create([User(email=alice.email)])

    with pytest.raises(IntegrityError):
        sign_up()
    assert not AccountLetter.objects.exists()
    assert hints() == 0


def test_a_queue_that_is_away_keeps_nobody_waiting_and_loses_no_letter(transactional_db, monkeypatch, caplog):
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    monkeypatch.setattr(dramatiq.broker, "global_broker", RedisBroker(url="redis://127.0.0.1:1/0"))
    assert send_mail("Hello", "Alice", None, ["alice@example.org"]) == 1
    assert AccountLetter.objects.get().state == "queued"
    assert "account_mail() was not enqueued" in caplog.text


def test_cyrillic_goes_as_seven_bits_with_crlf_line_ends(db):
    message = EmailMultiAlternatives(
        "Подтвердите адрес", "Здравствуйте,\nМария!\rДа.\r\n", None, ["Мария <m@example.org>"]
    )
    message.attach_alternative("<p>Здравствуйте!</p>\n", "text/html")
    message.attach("письмо.txt", "Вложение\n", "text/plain")
    assert message.send() == 1
    letter = AccountLetter.objects.get()
    content = bytes(letter.content)
    assert content.isascii()
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 78
    assert b"8bit" not in content
    assert (letter.recipient, letter.subject) == ("m@example.org", "Подтвердите адрес")
    received = parsed(letter)
    assert (received["Subject"], received["To"]) == ("Подтвердите адрес", "Мария <m@example.org>")
    assert received.get_body(("plain",)).get_content().splitlines() == ["Здравствуйте,", "Мария!", "Да."]
    assert received.get_body(("html",)).get_content().strip() == "<p>Здравствуйте!</p>"
    (attachment,) = received.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content().strip()) == ("письмо.txt", "Вложение")


def test_endless_lines_are_broken_for_the_wire(db):
    send_mail("Long", "x" * 5000 + "ы" * 5000, None, ["alice@example.org"])
    letter = AccountLetter.objects.get()
    assert max(map(len, bytes(letter.content).split(b"\r\n"))) <= 78
    assert parsed(letter).get_content().strip() == "x" * 5000 + "ы" * 5000


def test_every_recipient_gets_a_letter_and_nobody_sees_who_else_does_secretly(db):
    message = EmailMessage(
        "Hi",
        "Hello.",
        None,
        ["Ann <ann@example.org>"],
        cc=["bob@example.org"],
        bcc=["eve@example.org", "ANN@example.org"],
    )
    assert message.send() == 1
    letters = AccountLetter.objects.order_by("id")
    assert [letter.recipient for letter in letters] == ["ann@example.org", "bob@example.org", "eve@example.org"]
    assert len({letter.key for letter in letters}) == 3
    for letter in letters:
        assert b"eve" not in bytes(letter.content)
        assert parsed(letter)["Cc"] == "bob@example.org"


def test_the_sender_is_always_the_installation(db):
    headers = {"From": "Root <root@elsewhere.example>", "message-id": "<mine@elsewhere.example>", "Reply-To": "r@x.org"}
    EmailMessage("Hi", "Hello.", "evil@elsewhere.example", ["alice@example.org"], headers=headers).send()
    letter = AccountLetter.objects.get()
    message = parsed(letter)
    assert message.get_all("From") == ["Vestnik <herald@vestnik.test>"]
    assert message.get_all("Message-ID") == [f"<{letter.key}>"]
    assert message["Reply-To"] == "r@x.org"
    assert b"elsewhere" not in bytes(letter.content)


@pytest.mark.parametrize("subject", ["Confirm", "Подтвердите адрес " * 14, "Confirm " * 30, "x" * 300, "Re: a =? b"])
@pytest.mark.parametrize(
    "name", ["Ann", "Мария Иванова-Константинопольская из отдела кадров", "x" * 120, 'A "B" <c@d.org>']
)
def test_long_headers_begin_on_the_line_of_their_names(db, subject, name):
    from email.utils import formataddr

    EmailMessage(subject, "Hello.", None, [formataddr((name, "ann@example.org")), "bob@example.org"]).send()
    letter = AccountLetter.objects.first()
    head = bytes(letter.content).partition(b"\r\n\r\n")[0].decode("ascii")
    assert not re.search(r"^[\w-]+:\s*$", head, re.MULTILINE)
    message = parsed(letter)
    assert message["Subject"] == subject.strip()
    assert [address.addr_spec for address in message["To"].addresses] == ["ann@example.org", "bob@example.org"]
    for field in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type"):
        assert len(message.get_all(field)) == 1


def test_the_senders_name_is_the_installations_or_that_of_the_product_in_the_readers_language(db, settings):
    with translation.override("ru"):
        send_mail("Hi", "Hello.", None, ["alice@example.org"])
    settings.MAIL_FROM_NAME = "Ромашка, рассылки"
    send_mail("Hi", "Hello.", None, ["alice@example.org"])
    assert [parsed(letter)["From"] for letter in AccountLetter.objects.order_by("pk")] == [
        "Вестник <herald@vestnik.test>",
        '"Ромашка, рассылки" <herald@vestnik.test>',
    ]


def test_no_header_of_others_says_what_the_letter_is(db):
    EmailMessage("Hi", "Hello.", None, ["alice@example.org"], headers={"Auto-Submitted": "no", "Subject": "x"}).send()
    message = parsed(AccountLetter.objects.get())
    assert message.get_all("Auto-Submitted") == ["auto-generated"]
    assert message.get_all("Subject") == ["Hi"]


@pytest.mark.parametrize(
    "fault", [{"subject": "Hi\nBcc: eve@example.org"}, {"to": ["a@example.org\r\nBcc: eve@example.org"]}]
)
def test_a_line_break_in_a_header_is_refused_and_nothing_is_stored(db, fault):
    from django.core.mail import get_connection

    good = EmailMessage("Hi", "Hello.", None, ["alice@example.org"])
    bad = EmailMessage(**{"subject": "Hi", "body": "Hello.", "to": ["alice@example.org"], "cc": ["b@x.org"], **fault})
    with pytest.raises(BadHeaderError):
        get_connection().send_messages([good, bad])
    assert not AccountLetter.objects.exists()


def test_an_address_that_is_none_is_logged_and_left_out(db, caplog):
    assert EmailMessage("Hi", "Hello.", None, ["nobody", "alice@example.org"]).send() == 1
    assert EmailMessage("Hi", "Hello.", None, ["nobody", "иван@example.org"]).send() == 0
    assert [letter.recipient for letter in AccountLetter.objects.all()] == ["alice@example.org"]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 3
    assert "Hello" not in caplog.text


@pytest.mark.parametrize("wrong", ["Nobody <nobody>", "a b@example.org", "Ян <.@-.example>", "x@" + "й" * 70 + ".рф"])
def test_an_address_that_is_none_does_not_keep_others_from_their_letter(db, wrong):
    assert EmailMessage("Hi", "Hello.", None, ["Анна <anna@example.org>", wrong], cc=[wrong, "b@example.org"]).send()
    letters = AccountLetter.objects.order_by("id")
    assert [letter.recipient for letter in letters] == ["anna@example.org", "b@example.org"]
    for letter in letters:
        assert [address.addr_spec for address in parsed(letter)["To"].addresses] == ["anna@example.org"]
        assert parsed(letter)["Cc"] == "b@example.org"


def test_the_database_keeps_no_content_of_a_letter_that_has_an_end(db):
    send_mail("Reset", "https://vestnik.test/secret", None, ["alice@example.org"])
    with pytest.raises(IntegrityError, match="account_letter_ends_without_content"), transaction.atomic():
        AccountLetter.objects.update(state="sent", due_at=None, settled_at="2026-01-01T00:00Z")


def test_the_admin_shows_account_letters_without_their_content_and_changes_none(client, db):
    client.force_login(User.objects.create_superuser("root@example.org", "a long password"))
    send_mail("Reset your password", "https://vestnik.test/secret", None, ["alice@example.org", "bob@example.org"])
    listing = reverse("admin:accounts_accountletter_changelist")
    page = client.get(listing).content.decode()
    assert "alice@example.org" in page
    assert "Reset your password" in page
    found = client.get(listing, {"q": "ALICE@example.org"}).context["cl"].result_list
    assert [letter.recipient for letter in found] == ["alice@example.org"]
    (letter,) = found
    address = reverse("admin:accounts_accountletter_change", args=[letter.pk])
    page = client.get(address).content.decode()
    assert "Reset your password" in page
    assert letter.key in page
    assert "secret" not in page
    assert client.post(address, {"state": "sent"}).status_code == 403
    assert client.get(reverse("admin:accounts_accountletter_add")).status_code == 403
    assert (
        client.post(reverse("admin:accounts_accountletter_delete", args=[letter.pk]), {"post": "yes"}).status_code
        == 403
    )
