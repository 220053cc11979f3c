"""The soak on a small scale, and that its reckoning finds what it is there to find."""

import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from bench.soak.leaving import Leavers
from bench.soak.reckoning import reckon
from dispatcher.runs.launching import launch
from tests.embedded import OURS
from tests.timing import wait_until
from vestnik.clients import suppressions
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings.ledger.models import Attempt, Delivery, Worker, message_id
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_clients, make_mailing

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "bench.soak", "--kills", "5", "--seed", "238"]
KINDS = ("a bulk worker", "bulk and its workers", "PostgreSQL", "the receiver of bounces", "Valkey")
"""What that seed kills, in some order."""


def environment(**variables):
    kept = {
        name: value for name, value in os.environ.items() if not name.endswith("_URL") and not name.startswith(OURS)
    }
    return kept | variables


def test_five_kills_lose_nothing_and_double_nothing_unnoticed():
    answer = subprocess.run(
        COMMAND, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    said = answer.stdout
    assert sorted(re.findall(r"kill \d of 5: ([^(]+) \(", said), key=str.lower) == list(KINDS), said
    figures = {name: int(number.replace(",", "")) for name, number in re.findall(r"^([a-z ]+): +([\d,]+)", said, re.M)}
    assert figures["letters expected"] >= 6000
    assert (figures["lost"], figures["doubled unnoticed"], figures["disobeyed"]) == (0, 0, 0)
    assert figures["bounced"] > 10
    assert figures["unsubscribed"] > 10
    assert figures["doubled"] <= figures["in hand at the kills"]
    assert 0 < figures["in hand at the kills"] <= 3 * 2 * 2 * 10


def test_an_interrupted_soak_leaves_nothing_behind(tmp_path):
    with subprocess.Popen(
        [*COMMAND, "--kills", "100"],
        cwd=ROOT, env=environment(TMPDIR=str(tmp_path)), stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as soak:  # fmt: skip
        assert soak.stdout is not None
        while "kill 1 of" not in soak.stdout.readline():
            assert soak.poll() is None
        family = psutil.Process(soak.pid).children(recursive=True)
        assert len(family) > 10
        soak.send_signal(signal.SIGINT)
        assert soak.wait(60) == 130
    wait_until(lambda: not any(process.is_running() for process in family))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def letters(alice):
    """Ten letters, each sent in one attempt, as the ledger has it; by number of delivery, their Message-IDs."""
    run = launch(make_mailing(alice, 10).pk)[0]
    worker = Worker.objects.create(name="one", provider="smtp://localhost")
    ids = {delivery.pk: message_id(delivery.pk, run.key, run.sender) for delivery in run.deliveries.order_by("pk")}
    run.deliveries.update(state="sent", due_at=None)
    for pk in ids:
        write(pk, 1, "accepted", worker)
    return ids


def write(pk, claim, outcome, worker=None):
    Attempt.objects.create(
        delivery_id=pk, claim=claim, outcome=outcome, charged=True, began_at="2020-01-01T00:00Z", duration=0,
        worker=worker or Worker.objects.get(),
    )  # fmt: skip


def test_each_letter_received_once_is_in_order(letters):
    found = reckon(Counter(letters.values()), [3, 0])
    assert (found.letters, found.lost, found.doubled, found.in_hand, found.most_in_hand) == (10, 0, 0, 3, 3)
    assert list(found.faults()) == []


def test_a_letter_that_never_came_is_lost(letters):
    _, *others = letters.values()
    assert list(reckon(Counter(others), []).faults()) == ["1 letters were lost."]


@pytest.mark.parametrize("state", ["queued", "sending"])
def test_a_letter_without_an_end_is_lost(letters, state):
    worker = Worker.objects.get() if state == "sending" else None
    Delivery.objects.filter(pk=min(letters)).update(state=state, due_at="2020-01-01T00:00Z", worker=worker)
    found = reckon(Counter(letters.values()), [])
    assert (found.lost, found.unended) == (1, 1)


def test_a_client_without_a_letter_is_lost(letters):
    Attempt.objects.filter(delivery=min(letters)).delete()
    Delivery.objects.filter(pk=min(letters)).delete()
    _, *others = letters.values()
    found = reckon(Counter(others), [])
    assert (found.lost, found.unwritten) == (1, 1)


def test_a_letter_that_failed_though_the_service_took_everything_is_a_fault(letters):
    Delivery.objects.filter(pk=min(letters)).update(state="failed")
    _, *others = letters.values()
    assert list(reckon(Counter(others), []).faults()) == ["1 letters ended unsent, though the service took everything."]


def test_a_letter_that_nobody_wrote_is_a_fault(letters):
    found = reckon(Counter([*letters.values(), "1.elsewhere@example.org"]), [])
    assert list(found.faults()) == ["1 letters came that the ledger does not know."]


def test_a_double_is_noticed_if_an_unknown_attempt_stands_for_each_copy(letters):
    first, second, *_ = letters
    received = Counter(letters.values()) + Counter({letters[first]: 1, letters[second]: 2})
    write(first, 2, "unknown")
    write(second, 2, "unknown")
    found = reckon(received, [20])
    assert (found.doubled, found.copies, found.named, found.unnoticed) == (2, 3, 1, 1)
    assert list(found.faults()) == ["1 letters were doubled unnoticed."]
    write(second, 3, "unknown")
    assert list(reckon(received, [20]).faults()) == []


def test_two_accepted_attempts_do_not_excuse_a_double(letters):
    first, *_ = letters
    write(first, 2, "accepted")
    received = Counter(letters.values()) + Counter({letters[first]: 1})
    assert reckon(received, [20]).unnoticed == 1
    Delivery.objects.filter(pk=first).update(recoveries=1)  # a late receipt corrected the unknown attempt
    assert reckon(received, [20]).unnoticed == 0


def test_more_doubles_than_were_in_hand_are_a_fault(letters):
    first, *_ = letters
    write(first, 2, "unknown")
    received = Counter(letters.values()) + Counter({letters[first]: 1})
    assert list(reckon(received, [1]).faults()) == []
    assert list(reckon(received, []).faults()) == [
        "1 letters came once more than they should have; only 0 were in hand."
    ]


def test_a_letter_to_who_had_unsubscribed_is_found(letters):
    first, second, *_rest = letters
    leavers = Leavers(random.Random())
    leavers.claims = {first: 1, second: 0}
    found = reckon(Counter(letters.values()), [], leavers)
    assert (found.disobeyed, list(found.faults())) == (
        1, ["1 letters went to people who had unsubscribed, or whose address had bounced, before."],
    )  # fmt: skip


def test_who_is_left_out_and_not_counted_is_found(alice, letters):
    mailing = Mailing.objects.get()
    (late,) = make_clients(alice, 1, mailing.lists.get())
    assert reckon(Counter(letters.values()), []).unwritten == 1
    suppressions.suppress(alice.pk, [late.email], SuppressionReason.UNSUBSCRIBED)
    assert reckon(Counter(letters.values()), []).unwritten == 1
    mailing.runs.update(left_out={"unsubscribed": 1})
    assert reckon(Counter(letters.values()), []).unwritten == 0
