"""Account mail by the real dispatcher: what a hanging service may hold up, and what a killed process leaves."""

import time
from datetime import timedelta

import pytest
from django.core.mail import send_mail
from django.db.models import F

from tests.scripted_servers import Hang
from tests.timing import in_time, wait_until
from vestnik import jobs
from vestnik.accounts.letters import AccountLetter
from vestnik.testing.factories import make_mailing

THREADS_OF_CONTROL = 6


@pytest.fixture(autouse=True)
def backend(settings):
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"


def write(recipient="alice@example.org"):
    send_mail("Подтвердите адрес", "https://vestnik.test/secret", None, [recipient])


def states():
    return set(AccountLetter.objects.values_list("state", flat=True))


def test_an_account_letter_goes_out_at_once(post, run_dispatcher):
    run_dispatcher("control")
    asked = time.monotonic()
    write()
    (received,) = post.wait_for(1)
    in_time(received.arrived - asked, 1)
    wait_until(lambda: states() == {"sent"})
    letter = AccountLetter.objects.get()
    assert (received.recipient, received.message_id.strip("<>")) == ("alice@example.org", letter.key)
    assert bytes(letter.content) == b""


def test_a_hanging_service_holds_up_no_launch_and_the_letters_arrive_when_it_is_back(alice, post, run_dispatcher):
    post.always("greeting", Hang())
    run_dispatcher("control", MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?timeout=8")
    recipients = [f"user{n}@example.org" for n in range(2 * THREADS_OF_CONTROL)]
    for recipient in recipients:
        write(recipient)
    post.wait_until(lambda: post.connections_made >= 1)
    asked = time.monotonic()
    mailing = make_mailing(alice, 10)
    wait_until(lambda: mailing.runs.exclude(filled_at=None).exists(), 5)
    in_time(time.monotonic() - asked, 2)
    assert len(post.open) == 1, "the service hangs no longer: this launch proves nothing"
    assert states() == {"queued"}
    post.behave()
    post.wait_for(len(recipients), 30)
    wait_until(lambda: states() == {"sent"})
    assert sorted(letter.recipient for letter in post.letters) == sorted(recipients)
    assert set(AccountLetter.objects.values_list("attempts", flat=True)) == {1}


def test_a_killed_process_leaves_its_letter_to_the_next(post, run_dispatcher):
    dispatcher = run_dispatcher("control")
    post.hold()
    write()
    post.wait_until(lambda: len(post.held) == 1)
    dispatcher.kill("control")
    assert states() == {"sending"}
    post.release()
    AccountLetter.objects.update(claimed_at=F("claimed_at") - timedelta(hours=1))
    dispatcher.restart("control")
    jobs.tick()
    wait_until(lambda: states() == {"sent"})
    letter = AccountLetter.objects.get()
    assert (letter.claim, letter.attempts) == (2, 1)
    assert {received.message_id.strip("<>") for received in post.letters} == {letter.key}


def test_a_process_that_is_stopped_parts_from_the_service(post, run_dispatcher):
    dispatcher = run_dispatcher("control")
    write()
    post.wait_for(1)
    dispatcher.stop("control")
    assert post.commands["QUIT"] == post.connections_made
    assert states() == {"sent"}
