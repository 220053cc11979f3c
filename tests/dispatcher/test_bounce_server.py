"""The server that takes what comes back, over real sockets: it answers when that is written down, and takes no more."""

import asyncio
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.utils import timezone

from dispatcher.bounces import server as bounces
from dispatcher.runs import launching
from tests.dispatcher.test_bounce_reading import complaint, report, words
from tests.local.helpers import free_port
from vestnik.clients.models import Suppression
from vestnik.mailings import return_addresses
from vestnik.mailings.ledger.models import DeliveryEvent, LinkKey
from vestnik.testing.factories import make_mailing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]

DOMAIN = "bounces.example.org"


@contextmanager
def listening() -> Iterator[int]:
    """Run the server in a thread of its own; give its port."""
    port, loop, ready = free_port(), asyncio.new_event_loop(), threading.Event()
    writers = bounces.Writers()
    stop = asyncio.Event()

    async def serve() -> None:
        server = await bounces.listen(DOMAIN, "127.0.0.1", port, writers)
        ready.set()
        await stop.wait()
        server.close()

    def run() -> None:
        loop.run_until_complete(serve())
        writers.close()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.fixture
def port() -> Iterator[int]:
    with listening() as port:
        yield port


@pytest.fixture
def letter(alice):
    (run,) = launching.launch(make_mailing(alice, 2).pk)
    run.deliveries.update(state="sent", due_at=None, settled_at=timezone.now())
    return run.deliveries.order_by("client_id")[0]


def addresses(letter):
    return return_addresses.writer(DOMAIN)(letter.pk)


def post(port, to, source, sender=""):
    """Hand a mail over as a mail server would; return the reply's code and words."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="mx.example.org", timeout=20) as client:
        client.ehlo()
        client.mail(sender)
        code, said = client.rcpt(to)
        if code == 250:
            code, said = client.data(source)
        return code, said.decode()


def suppressed():
    return dict(Suppression.objects.filter(lifted_at=None).values_list("address", "reason"))


def test_a_bounce_is_written_down_before_it_is_answered(port, letter):
    assert post(port, addresses(letter).envelope_sender, report())[0] == 250
    event = DeliveryEvent.objects.get()
    assert (event.delivery_id, event.kind, event.bounce, event.status) == (letter.pk, "bounced", "hard", "5.1.1")
    assert (event.source, event.day) == ("mail", letter.run.opened_at.date())
    assert suppressed() == {letter.address: "bounced"}


def test_the_same_mail_again_is_taken_and_changes_nothing(port, letter):
    to = addresses(letter).envelope_sender
    assert [post(port, to.upper(), report())[0] for _ in range(3)] == [250, 250, 250]
    assert DeliveryEvent.objects.count() == 1


def test_a_complaint_is_known_by_the_letter_in_it(port, letter):
    made = addresses(letter)
    right = complaint().replace(b"return-abc@bounces.example.org", made.envelope_sender.encode())
    assert post(port, f"complaints@{DOMAIN}", right)[0] == 250
    assert suppressed() == {letter.address: "complained"}


def test_a_complaint_about_a_letter_whose_sender_was_taken_out_is_known_by_its_link_to_unsubscribe(port, letter):
    source = complaint().replace(b"stop-def@bounces.example.org", addresses(letter).unsubscribe.encode())
    post(port, f"Complaints@{DOMAIN}", source)
    assert DeliveryEvent.objects.get().kind == "complained"


def test_a_letter_that_a_service_sends_back_as_it_is_counts_as_a_complaint(port, letter):
    source = (
        b"From: staff@hotmail.example\r\nSubject: complaint about message from 192.0.2.1\r\n"
        b"Content-Type: message/rfc822\r\n\r\n"
        b"List-Unsubscribe: <https://x>,\r\n <mailto:%s?subject=unsubscribe>\r\n\r\nx"
    ) % addresses(letter).unsubscribe.encode()
    post(port, f"complaints@{DOMAIN}", source)
    assert suppressed() == {letter.address: "complained"}


def test_who_writes_to_the_address_to_unsubscribe_does(port, letter):
    source = b"From: ann@example.org\r\nSubject: unsubscribe\r\n\r\n"
    assert post(port, addresses(letter).unsubscribe, source, "ann@example.org")[0] == 250
    assert suppressed() == {letter.address: "unsubscribed"}
    assert not DeliveryEvent.objects.exists()


@pytest.mark.parametrize(
    "source", [report(), words("I am away.", sender="ann@example.org", head="Auto-Submitted: auto-replied\r\n")]
)
def test_a_program_that_answers_there_unsubscribes_nobody(port, letter, source):
    assert post(port, addresses(letter).unsubscribe, source)[0] == 250
    assert not suppressed()


def test_what_says_nothing_is_taken_and_is_a_line_in_the_log(port, letter, caplog):
    source = words("I am away.", sender="ann@example.org", head="Auto-Submitted: auto-replied\r\n")
    assert post(port, addresses(letter).envelope_sender, source)[0] == 250
    assert "neither a bounce nor a complaint" in caplog.text
    assert not DeliveryEvent.objects.exists()


@pytest.mark.parametrize(
    ("to", "code", "said"),
    [
        (f"return-{'ab' * 14}@{DOMAIN}", 550, "5.1.1"),
        (f"postmaster@{DOMAIN}", 550, "5.1.1"),
        ("ann@elsewhere.example", 550, "5.7.1"),
        (f"return-{'a' * 900}@{DOMAIN}", 500, "too long"),
    ],
)
def test_what_is_not_ours_is_refused_before_its_content(port, letter, to, code, said):
    answer = post(port, to, report())
    assert answer[0] == code
    assert said in answer[1]


def test_a_forged_or_cut_address_is_refused(port, letter):
    local, _at, domain = addresses(letter).envelope_sender.partition("@")
    forged = f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}@{domain}"
    assert [post(port, to, report())[0] for to in (forged, f"{local[:-4]}@{domain}")] == [550, 550]
    LinkKey.objects.all().delete()
    assert post(port, addresses(letter).envelope_sender, report())[0] == 250, "of the new key"
    assert post(port, f"{local}@{domain}", report())[0] == 550, "its key is gone"


def test_while_the_database_is_away_mail_servers_are_told_to_come_again(port, letter, caplog, monkeypatch):
    to = addresses(letter).envelope_sender
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE mailings_linkkey RENAME TO away")
    try:
        assert [post(port, to, report())[0] for _ in range(3)] == [451, 451, 451]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO mailings_linkkey")
    assert [record.levelname for record in caplog.records if "not written down" in record.message] == [
        "ERROR", "INFO", "INFO",
    ]  # fmt: skip
    assert post(port, to, report())[0] == 250
    assert "written down again" in caplog.text


def test_what_fails_between_recipient_and_content_is_asked_for_again_and_counted_once(port, letter):
    to = addresses(letter).envelope_sender
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE mailings_tally RENAME TO away")
    try:
        assert post(port, to, report())[0] == 451
        assert not DeliveryEvent.objects.exists(), "all of it, or nothing"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO mailings_tally")
    assert post(port, to, report())[0] == 250
    assert sum(letter.run.tallies.values_list("bounced", flat=True)) == 1


def test_a_mail_of_megabytes_is_taken_and_a_larger_one_refused(port, letter):
    to = addresses(letter).envelope_sender
    line = b"x" * 998 + b"\r\n"
    assert post(port, to, report() + line * 10_000)[0] == 250
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        assert client.mail("", [f"SIZE={bounces.LARGEST_MAIL + 1}"])[0] == 552


def test_too_many_connections_are_told_so_and_the_others_go_on(port, letter):
    held = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(bounces.CONNECTIONS)]
    try:
        for client in held:
            assert client.recv(100).startswith(b"220 ")
        with socket.create_connection(("127.0.0.1", port), 10) as one_more:
            assert one_more.recv(100).startswith(b"421 ")
        held[0].sendall(b"NOOP\r\n")
        assert held[0].recv(100).startswith(b"250 ")
    finally:
        for client in held:
            client.close()
    assert post(port, addresses(letter).envelope_sender, report())[0] == 250


def test_several_letters_that_came_back_in_one_mail_are_all_written_down(port, letter):
    other = letter.run.deliveries.order_by("client_id")[1]
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        refused = client.sendmail("", [addresses(each).envelope_sender for each in (letter, other)], report())
    assert not refused
    assert set(DeliveryEvent.objects.values_list("delivery_id", flat=True)) == {letter.pk, other.pk}
