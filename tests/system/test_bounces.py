"""What comes back while its receiver is killed again and again: every bounce is written down, and counted once."""

import smtplib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db.models import Sum
from django.utils import timezone

from dispatcher.runs import launching
from tests.dispatcher.test_bounce_reading import report
from tests.local.helpers import free_port
from tests.timing import wait_until
from vestnik.clients.models import Suppression
from vestnik.mailings import return_addresses
from vestnik.mailings.ledger.models import DeliveryEvent, Tally
from vestnik.testing.factories import make_mailing

DOMAIN = "bounces.example.org"
LETTERS = 200
SECONDS = 60.0


@pytest.fixture
def letters(transactional_db, alice):
    """Letters that were accepted."""
    (run,) = launching.launch(make_mailing(alice, LETTERS).pk)
    run.deliveries.update(state="sent", due_at=None, settled_at=timezone.now())
    run.total = 10 * LETTERS  # so many that all bounces are believed
    run.save(update_fields=["total"])
    return list(run.deliveries.all())


def bounce(port, to):
    """Hand a bounce over as a mail server does: it keeps it, and comes again until it is taken."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
                client.sendmail("", [to], report())
        except (OSError, smtplib.SMTPException):
            time.sleep(0.05)
        else:
            return True
    return False


def test_killed_three_times_it_forgets_none_and_counts_none_twice(letters, run_dispatcher):
    port = free_port()
    dispatcher = run_dispatcher("bounces", BOUNCE_DOMAIN=DOMAIN, BOUNCE_LISTEN=f"127.0.0.1:{port}")
    write = return_addresses.writer(DOMAIN)
    with ThreadPoolExecutor(8) as servers:
        taken = [servers.submit(bounce, port, write(letter.pk).envelope_sender) for letter in letters]
        for kill in range(1, 4):
            wait_until(lambda part=kill: DeliveryEvent.objects.count() >= part * LETTERS // 5, SECONDS)
            dispatcher.kill("bounces")
            dispatcher.restart("bounces")
        assert all(each.result() for each in taken)
    assert DeliveryEvent.objects.count() == LETTERS
    assert Tally.objects.aggregate(all=Sum("bounced"))["all"] == LETTERS
    assert Suppression.objects.filter(reason="bounced").count() == LETTERS


def test_it_ends_when_it_is_told_and_says_what_is_wrong_with_its_address(letters, run_dispatcher, tmp_path):
    port = free_port()
    dispatcher = run_dispatcher("bounces", BOUNCE_DOMAIN=DOMAIN, BOUNCE_LISTEN=f"127.0.0.1:{port}")
    dispatcher.stop("bounces")
    with smtplib.SMTP() as client, pytest.raises(OSError, match="refused"):
        client.connect("127.0.0.1", port)
    assert "Traceback" not in (tmp_path / "bounces.log").read_text()
