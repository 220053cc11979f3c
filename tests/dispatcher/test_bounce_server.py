"""The server that takes what comes back, over real sockets: it answers when that is written down, and takes no more."""

import asyncio
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
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


def test_a_bounce_that_comes_by_way_of_a_senders_own_domain_is_taken_and_no_forged_one(port, letter):
    local = addresses(letter).envelope_sender.partition("@")[0]
    forged = f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}"
    assert post(port, f"{forged}@bounce.shop.example", report())[0] == 550
    assert not DeliveryEvent.objects.exists()
    assert post(port, f"{local}@bounce.shop.example", report())[0] == 250
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


@pytest.mark.parametrize(
    "sender", ["postmaster@firma.example", '"Postmaster Ivanov" <i@example.org>', "ivan@mailsystem.example"]
)
def test_whoever_it_is_that_writes_there_unsubscribes(port, letter, sender):
    source = f"From: {sender}\r\nX-Auto-Response-Suppress: All\r\nSubject: unsubscribe\r\n\r\nunsubscribe\r\n"
    post(port, addresses(letter).unsubscribe, source.encode(), "i@example.org")
    assert suppressed() == {letter.address: "unsubscribed"}


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "dmarc", "other"])
def test_what_is_reported_and_is_no_complaint_suppresses_nobody(port, letter, kind):
    source = complaint(kind).replace(b"return-abc@bounces.example.org", addresses(letter).envelope_sender.encode())
    assert post(port, f"complaints@{DOMAIN}", source)[0] == 250
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
        (f"somebody@{DOMAIN}", 550, "5.1.1"),
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


@pytest.mark.parametrize("role", ["postmaster", "Abuse"])
def test_who_must_be_there_is_there_and_nobody_reads_it(port, letter, role, caplog):
    assert post(port, f"{role}@{DOMAIN}", report())[0] == 250
    assert "whose mail nobody reads" in caplog.text


@pytest.mark.parametrize("line", [b"x" * 1_500, b"<p>" * 50_000, b".", b"", b"." * 70_000])
def test_a_report_with_lines_of_any_length_is_taken(port, letter, line):
    to = addresses(letter).envelope_sender
    assert post(port, to, report() + line + b"\r\n" + line + b"\r\nend\r\n") == (250, "2.0.0 Taken")
    assert DeliveryEvent.objects.get().bounce == "hard"


def test_a_dot_at_a_lines_beginning_is_as_it_was_written(port, letter):
    source = report(diagnostic="smtp; 550 5.1.1\r\n .hidden")
    post(port, addresses(letter).envelope_sender, source)
    assert DeliveryEvent.objects.get().answer == "550 5.1.1 .hidden"


def test_the_next_mail_of_a_connection_is_taken_though_the_one_before_met_a_fault_of_ours(
    port, letter, monkeypatch, caplog
):
    to = addresses(letter).envelope_sender
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        with monkeypatch.context() as broken:
            broken.setattr("vestnik.mailings.ledger.events.note", lambda *_: 1 / 0)
            with pytest.raises(smtplib.SMTPDataError, match="451"):
                client.sendmail("", [to], report())
        assert not client.sendmail("", [to], report())
    assert DeliveryEvent.objects.count() == 1
    assert "could not be taken" in caplog.text


def test_commands_that_come_with_the_end_of_a_mail_are_answered_in_turn(port, letter):
    to = addresses(letter).envelope_sender
    with socket.create_connection(("127.0.0.1", port), 10) as client, client.makefile("rb") as answers:
        answers.readline()
        client.sendall(b"HELO mx\r\n")
        answers.readline()
        client.sendall(f"MAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
        assert [answers.readline()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        client.sendall(report() + b".\r\nMAIL FROM:<>\r\nQUIT\r\n")
        assert [answers.readline()[:3] for _ in range(3)] == [b"250", b"250", b"221"]


def test_a_mail_of_megabytes_is_taken_and_kept_in_part_alone(port, letter):
    to = addresses(letter).envelope_sender
    before = psutil.Process().memory_info().rss
    assert post(port, to, report() + b"\r\n" * 6_000_000)[0] == 250
    assert psutil.Process().memory_info().rss - before < 100 << 20
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        assert client.mail("", [f"SIZE={bounces.LARGEST_MAIL + 1}"])[0] == 552


def test_too_many_connections_are_told_so_and_the_others_go_on(port, letter):
    held = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(bounces.CONNECTIONS_OF_ONE)]
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
