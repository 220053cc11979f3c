"""Who stops while a run goes on: claims ask, so nothing but what is in hand goes out after that."""

from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest

from dispatcher.ledger import statements
from dispatcher.ledger.rows import Claimed
from dispatcher.runs import dry_run, launching
from dispatcher.sending.compose import letter_writer
from tests import permits
from tests.dispatcher.test_sending import slice_of
from vestnik import unsubscribing
from vestnik.clients import suppressions, verbs
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import MailingKind, Run, Worker
from vestnik.testing.factories import make_list, make_mailing

pytestmark = pytest.mark.usefixtures("valkey")


def launched(alice, number=4, **settings):
    (run,) = launching.launch(make_mailing(alice, number, **settings).pk)
    return run


def test_who_is_suppressed_after_the_launch_gets_nothing_and_the_run_ends(engine, provider, alice):
    run = launched(alice)
    first, *others = run.deliveries.order_by("pk").values_list("address", flat=True)
    suppressions.suppress(alice.pk, [first], SuppressionReason.COMPLAINED)

    slice_of(engine, alice)

    assert sorted(letter.recipient for letter in provider.letters) == sorted(others)
    letter = run.deliveries.get(address=first)
    assert (letter.state, letter.reason, letter.attempts) == ("cancelled", "complained", 0)
    run.refresh_from_db()
    assert run.state == "finished"
    counted = runs.totals(run.pk)
    assert (counted["sent"], counted["cancelled"], counted["left"]) == (3, 1, 0)


def test_who_left_a_list_while_its_run_was_being_launched_gets_no_letter_by_it(engine, provider, alice):
    """The launch has not seen it; the claim does."""
    run = launched(alice, 2)
    client_list = run.mailing.lists.get()
    leaver, other = client_list.clients.order_by("pk")
    suppressions.suppress(alice.pk, [leaver.email], SuppressionReason.UNSUBSCRIBED, lists=[client_list.pk])

    slice_of(engine, alice)

    assert [letter.recipient for letter in provider.letters] == [other.email]
    assert run.deliveries.get(address=leaver.email).reason == "unsubscribed"


@pytest.mark.parametrize("way", ["another list", "by name"])
def test_who_left_a_list_gets_the_letter_by_another_way(engine, provider, alice, way):
    left, kept = make_list(alice, 1), make_list(alice)
    (client,) = left.clients.all()
    if way == "another list":
        verbs.add_to_list(kept, [client])
    run = launched(alice, lists=[left, kept], clients=[client] if way == "by name" else [])
    suppressions.suppress(alice.pk, [client.email], SuppressionReason.UNSUBSCRIBED, lists=[left.pk])
    unused = make_list(alice)
    suppressions.suppress(alice.pk, [client.email], SuppressionReason.UNSUBSCRIBED, lists=[unused.pk])

    slice_of(engine, alice)

    assert [letter.recipient for letter in provider.letters] == [client.email]
    assert run.deliveries.get().state == "sent"


def test_what_is_in_hand_goes_and_nothing_is_claimed_after(alice):
    run = launched(alice, 2)
    worker = Worker.objects.create(name="bulk@host", provider="smtp")
    (claimed,) = statements.claim(run.pk, worker.pk, 1, None)
    assert claimed.may_go
    left = run.deliveries.get(state="queued")
    suppressions.suppress(alice.pk, [left.address], SuppressionReason.UNSUBSCRIBED)
    (second,) = statements.claim(run.pk, worker.pk, 1, None)
    assert not second.may_go


def test_who_takes_it_back_before_the_letter_is_given_back_is_queued_again(alice):
    run = launched(alice, 1)
    worker = Worker.objects.create(name="bulk@host", provider="smtp")
    address = run.deliveries.get().address
    suppressions.suppress(alice.pk, [address], SuppressionReason.UNSUBSCRIBED)
    (claimed,) = statements.claim(run.pk, worker.pk, 1, None)
    suppressions.lift_for_the_person(alice.pk, address)
    statements.give_back([claimed.key])
    letter = run.deliveries.get()
    assert (letter.state, letter.reason) == ("queued", "")


def letter_of(run):
    turn = statements.next_run(run.owner_id)
    assert turn is not None
    found = run.deliveries.order_by("pk")[0]
    written = letter_writer(turn)(Claimed(found.pk, 1, datetime.now(UTC), 0, found.address, "Bob", "{}", True))
    return message_from_bytes(written.content, policy=policy.default), found


def test_a_letter_says_how_to_unsubscribe_where_mail_programs_and_people_look(alice, settings):
    settings.SITE_URL = "https://vestnik.example.org"
    run = launched(alice, 1)
    letter, delivery = letter_of(run)

    link = letter["List-Unsubscribe"]
    assert link.startswith("<https://vestnik.example.org/u/")
    assert link.endswith(">")
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert letter["List-Id"] == f"<mailing-{run.mailing_id}.vestnik.example.org>"
    assert letter["Feedback-ID"] == f"{run.pk}:{run.mailing_id}:{alice.pk}:vestnik"
    assert (letter["Precedence"], letter["Auto-Submitted"]) == ("bulk", "auto-generated")
    assert f"Unsubscribe: {link[1:-1]}" in letter.get_content()
    reader = unsubscribing.subscription(link[1:-1].rpartition("/")[2])
    assert reader is not None
    assert reader.delivery_id == delivery.pk


def test_a_service_letter_says_none_of_it(alice):
    letter, _delivery = letter_of(launched(permits.of_service_letters(alice), 1, kind=MailingKind.SERVICE))
    assert not [name for name in letter if name.startswith("List-") or name in ("Precedence", "Feedback-ID")]
    assert "Unsubscribe" not in letter.get_content()


def test_letters_have_the_lines_that_the_operator_adds(alice, settings):
    settings.EXTRA_HEADER_LINES = "X-PM-Message-Stream: broadcast\r\n"
    letter, _delivery = letter_of(launched(alice, 1))
    assert letter["X-PM-Message-Stream"] == "broadcast"
    assert letter["Subject"] == "News"


def test_a_run_keeps_its_kind_though_the_mailing_changes(alice):
    run = launched(permits.of_service_letters(alice), 1, kind=MailingKind.SERVICE)
    run.mailing.kind = MailingKind.MAILING
    run.mailing.save()
    assert Run.objects.get(pk=run.pk).kind == MailingKind.SERVICE


def test_a_dry_run_tells_of_what_is_queued_but_to_who_has_stopped(transactional_db, alice):
    run = launched(alice, 3)
    gone, *others = run.deliveries.order_by("pk").values_list("address", flat=True)
    suppressions.suppress(alice.pk, [gone], SuppressionReason.UNSUBSCRIBED)
    lines: list[str] = []
    dry_run.tell([run.mailing], now=False, write=lines.append)
    assert [line.strip() for line in lines[1:-1]] == [f"{address}: News" for address in others]
    assert lines[-1] == "2 letters would be sent."
