"""A mailbox at a real Dovecot that bounces come into, read over TLS as it would be at somebody's provider."""

import pytest
from django.utils import timezone

from dispatcher.bounces.mailbox import collect
from dispatcher.bounces.mailbox_url import Mailbox
from dispatcher.runs import launching
from tests.dispatcher.test_bounce_reading import complaint, report, words
from tests.local.helpers import free_port
from tests.scripted_servers.certificate import Certificate
from tests.timing import wait_until
from tests.trial_servers.dovecot import dovecot
from vestnik.clients.models import Suppression
from vestnik.mailings import return_addresses
from vestnik.mailings.ledger import events
from vestnik.mailings.ledger.models import DeliveryEvent
from vestnik.testing.factories import make_mailing

DOMAIN = "bounces.example.org"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def trusted(certificate, monkeypatch):
    """What the operator names in SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    return str(certificate.certificate)


@pytest.fixture
def letters(alice, transactional_db, valkey):
    (run,) = launching.launch(make_mailing(alice, 4).pk)
    run.deliveries.update(state="sent", due_at=None, settled_at=timezone.now())
    return list(run.deliveries.order_by("client_id"))


def to(letter, source, header="Delivered-To"):
    address = return_addresses.writer(DOMAIN)(letter.pk).envelope_sender
    return f"{header}: {address}\r\n".encode() + source


def test_what_is_new_is_taken_once_and_marked_as_seen(letters, certificate, trusted):
    bounced, full, complained, other = letters
    with dovecot(certificate) as server:
        mailbox = Mailbox.parse(server.url)
        server.put(to(bounced, report()))
        server.put(to(full, report(status="5.2.2", diagnostic="smtp; 552 5.2.2 full"), "X-Original-To"))
        stop = return_addresses.writer(DOMAIN)(complained.pk).unsubscribe
        server.put(
            b"To: complaints@"
            + DOMAIN.encode()
            + b"\r\n"
            + complaint().replace(b"stop-def@bounces.example.org", stop.encode())
        )
        server.put(to(other, words("I am away.", sender="a@b.c", head="Auto-Submitted: auto-replied\r\n")))
        server.put(b"To: somebody@else.example\r\nSubject: hello\r\n\r\nhello\r\n")
        server.put(to(other, b"\x00\xff\r\n" * 100_000))
        assert collect(mailbox, DOMAIN) == 6
        assert server.unseen == 0
        assert collect(mailbox, DOMAIN) == 0
    found = {event.delivery_id: (event.kind, event.bounce, event.source) for event in DeliveryEvent.objects.all()}
    assert found == {
        bounced.pk: ("bounced", "hard", "mailbox"),
        full.pk: ("bounced", "soft", "mailbox"),
        complained.pk: ("complained", "", "mailbox"),
    }


def test_what_cannot_be_written_down_stays_unseen(letters, certificate, trusted, monkeypatch):
    with dovecot(certificate) as server:
        mailbox = Mailbox.parse(server.url)
        for letter in letters[:2]:
            server.put(to(letter, report()))
        with monkeypatch.context() as broken:
            broken.setattr("vestnik.mailings.ledger.events.NOTE", "SELECT 1 / 0")
            with pytest.raises(Exception, match="division"):
                collect(mailbox, DOMAIN)
        assert server.unseen == 2
        assert collect(mailbox, DOMAIN) == 2
    assert DeliveryEvent.objects.count() == 2


def test_a_mail_that_meets_a_fault_of_ours_is_flagged_and_the_next_ones_are_taken(
    letters, certificate, trusted, monkeypatch
):
    first, second = letters[:2]
    note = events.note

    def faulty(delivery_id, report):
        return 1 / 0 if delivery_id == first.pk else note(delivery_id, report)

    with dovecot(certificate) as server:
        server.put(to(first, report()))
        server.put(to(second, report()))
        monkeypatch.setattr("vestnik.mailings.ledger.events.note", faulty)
        assert collect(Mailbox.parse(server.url), DOMAIN) == 2
        assert server.unseen == 0
        assert sum("F" in path.name.partition(":2,")[2] for path in server.place.glob("maildir/cur/*")) == 1
    assert DeliveryEvent.objects.get().delivery_id == second.pk


def test_a_certificate_that_nobody_vouches_for_is_not_believed(letters, certificate):
    with dovecot(certificate) as server, pytest.raises(OSError, match="certificate verify failed"):
        collect(Mailbox.parse(server.url), DOMAIN)


def test_the_process_reads_it_and_tells_of_trouble_once(letters, certificate, trusted, run_dispatcher, tmp_path):
    with dovecot(certificate) as server:
        server.put(to(letters[0], report()))
        dispatcher = run_dispatcher(
            "bounces", BOUNCE_DOMAIN=DOMAIN, BOUNCE_LISTEN=f"127.0.0.1:{free_port()}", BOUNCE_MAILBOX=server.url,
            SSL_CERT_FILE=trusted,
        )  # fmt: skip
        wait_until(Suppression.objects.exists, 30)
        dispatcher.stop("bounces")
        server.stop()
        dispatcher.restart("bounces")
        log = tmp_path / "bounces.log"
        wait_until(lambda: "the mailbox of what comes back cannot be read" in log.read_text(), 30)
        server.start()
    assert log.read_text().count("ERROR") == 1
    assert "pass/word" not in log.read_text()
