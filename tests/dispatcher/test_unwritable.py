"""Letters that cannot be written: each fails with its reason, and its run goes on."""

import logging
import re
import time
from typing import Any

import pytest

from dispatcher.runs import launching
from dispatcher.sending import slices
from vestnik.accounts.models import User
from vestnik.clients import verbs as clients
from vestnik.clients.models import Client
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing


def launched(alice: User, text: str) -> Run:
    mailing = make_mailing(alice, 3)
    mailing.message.text = text
    mailing.message.save()
    for place, client in enumerate(Client.objects.order_by("pk")):
        client.attributes = {"Notes": "й" * (50_000 if place else 10)}  # as they could be, before they had a bound
        client.save()
    (run,) = launching.launch(mailing.pk)
    return run


def test_a_letter_too_large_fails_with_that_reason_and_the_others_go_out(
    alice: User, engine: Any, provider: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = launched(alice, "{{ attributes.Notes }}" * 1000)
    slices.send_slice(engine, alice.pk, time.monotonic() + 10)

    assert [len(provider.letters), sorted(run.deliveries.values_list("state", flat=True))] == [
        1,
        ["failed", "failed", "sent"],
    ]
    run.refresh_from_db()
    assert run.state == Run.State.FINISHED
    for delivery in run.deliveries.filter(state="failed"):
        (attempt,) = delivery.tries.all()
        assert (attempt.outcome, attempt.code) == ("permanent", None)
        assert re.fullmatch(
            r"The letter cannot be written: the letter would have 100,000,0\d\d bytes, and may have 10,000,000",
            attempt.answer,
        )
    told = [
        record
        for record in caplog.records
        if record.levelno == logging.ERROR and record.name == "dispatcher.sending.claims"
    ]
    assert len(told) == 1
    assert re.search(r"100,000,0\d\d bytes", told[0].getMessage())


def test_a_placeholder_finds_the_attribute_however_the_owner_spells_it(alice: User, engine: Any, provider: Any) -> None:
    mailing = make_mailing(
        alice, 0, clients=[clients.create_client(alice, "a@example.org", attributes={"City": "Tula"})]
    )
    mailing.message.text = "From {{ attributes.CITY }} to {{ attributes.city }}"
    mailing.message.save()
    launching.launch(mailing.pk)
    slices.send_slice(engine, alice.pk, time.monotonic() + 10)
    (letter,) = provider.letters
    assert b"From Tula to Tula" in letter.content
