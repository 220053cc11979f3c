"""Turns are taken between owners, and between an owner's runs."""

import time

from tests.timing import in_time, wait_until
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing


def test_one_owners_thousands_do_not_hold_up_anothers_ten(alice, bob, post, run_dispatcher):
    post.letters_per_second = 400
    run_dispatcher()
    make_mailing(alice, 3000)
    post.wait_for(300)
    mailing = make_mailing(bob, 10)
    asked = time.monotonic()
    wait_until(lambda: mailing.runs.filter(state="finished").exists(), 10)
    in_time(time.monotonic() - asked, 4)
    assert len(post.letters) < 3010
    wait_until(lambda: not Run.objects.filter(state="open").exists(), 30)


def test_an_owners_runs_take_turns(alice, post, run_dispatcher):
    post.letters_per_second = 300
    run_dispatcher()
    first = make_mailing(alice, 1500)
    post.wait_for(100)
    second = make_mailing(alice, 100)
    wait_until(lambda: second.runs.filter(state="finished").exists(), 10)
    assert first.runs.get().state == "open"
    wait_until(lambda: first.runs.get().state == "finished", 30)
    assert len({letter.message_id for letter in post.letters}) == 1600
