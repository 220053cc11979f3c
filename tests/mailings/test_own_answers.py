"""What Vestnik says in the place of a service: kept in English, read in the reader's language."""

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import translation

from dispatcher.ledger import statements
from dispatcher.providers.smtp.session import NO_UTF8
from tests.web.ledger import make_run
from vestnik.accounts.models import User
from vestnik.mailings.ledger import own_answers

OURS = [
    (own_answers.WORKER_DIED, "Процесс, у которого было это письмо, погиб."),
    (NO_UTF8, "Почтовая служба не принимает адреса с буквами не из ASCII (SMTPUTF8)."),
    ("the connection broke", "соединение оборвалось"),
    ("the connection broke (TLS failed)", "соединение оборвалось (TLS failed)"),
    (
        "not sent: the letter has 12345 bytes, the service takes 1000",
        "не отправлено: в письме 12345 байт, а служба принимает 1000",
    ),
    ("The letter cannot be written: it has 100%", "Письмо нельзя составить: it has 100%"),
]


@pytest.mark.parametrize(("kept", "read"), OURS)
def test_our_own_words_are_read_in_the_readers_language(kept: str, read: str) -> None:
    with translation.override("ru"):
        assert own_answers.translated(kept) == read
    with translation.override("en"):
        assert own_answers.translated(kept) == kept


@pytest.mark.parametrize(
    "said", ["", "5.1.1 No such user", "The connection broke", "the connection broke %(why)s", "%s"]
)
def test_the_services_words_stay_as_they_are(said: str) -> None:
    with translation.override("ru"):
        assert own_answers.translated(said) == said


def test_recovery_says_what_is_translated() -> None:
    assert f"'{own_answers.WORKER_DIED}'" in statements.RESCUE


@pytest.mark.parametrize(("kept", "read"), OURS[:2])
def test_every_page_with_answers_says_ours_in_the_readers_language(
    alice: User, valkey: None, kept: str, read: str
) -> None:
    User.objects.filter(pk=alice.pk).update(language="ru")
    browser = Browser()
    browser.force_login(alice)
    run = make_run(alice, answer=kept, failed=2)
    letter = run.deliveries.latest("pk")
    for address in (
        reverse("runs:detail", args=[run.pk]),
        reverse("runs:letters", args=[run.pk]),
        reverse("runs:delivery", args=[run.pk, letter.pk]),
        reverse("runs:csv", args=[run.pk]),
        reverse("dead-letters:list"),
        reverse("dead-letters:letters", args=["failed-permanent-550"]),
        reverse("overview"),
    ):
        answer = browser.get(address)
        shown = answer.getvalue().decode()
        assert kept not in shown, address
        assert read in shown or address == reverse("overview"), address
