"""Whoever unsubscribes is obeyed from the answer on: in a run under way, by the link of a real letter, with real
processes.
"""

import re
from email import message_from_bytes, policy
from http.client import HTTPConnection
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.timing import wait_until
from vestnik.clients.models import Suppression
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Delivery, Run
from vestnik.testing.factories import make_mailing

NUMBER, LEAVERS = 240, 40
BODY = b"List-Unsubscribe=One-Click"


def links(post):
    """The one-click link of each letter that arrived, by its recipient: as a mailbox provider finds it."""
    found = {}
    for letter in post.letters:
        header = message_from_bytes(letter.content, policy=policy.default)["List-Unsubscribe"]
        found[letter.recipient] = re.fullmatch(r"<(\S+)>", header)[1]
    return found


def click(site, link):
    """Post the link as RFC 8058 says; return the status."""
    connection = HTTPConnection(urlsplit(site).netloc, timeout=10)
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", urlsplit(link).path, BODY, form)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("when", ["one after another", "all at once"])
def test_nothing_is_handed_over_after_the_answer_but_what_was_in_hand(alice, post, run_dispatcher, live_server, when):
    first = make_mailing(alice, NUMBER)
    run_dispatcher()
    post.wait_for(NUMBER)
    wait_until(lambda: first.runs.exclude(state=Run.State.OPEN).exists())
    by_address = links(post)
    post.letters_per_second = 60
    second = make_mailing(alice, lists=[first.lists.get()])
    post.wait_for(NUMBER + 20)
    run = second.runs.get()
    waiting = run.deliveries.filter(state="queued").order_by("-due_at", "-pk").values_list("address", flat=True)
    leavers = list(waiting[:LEAVERS])
    may_go = set()

    def leave(address):
        assert click(live_server.url, by_address[address]) == 200
        if Delivery.objects.get(run=run, address=address).state in ("sending", "sent"):
            may_go.add(address)

    if when == "all at once":
        threads = [Thread(target=leave, args=[address]) for address in leavers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        for address in leavers:
            leave(address)

    post.letters_per_second = None
    wait_until(lambda: second.runs.exclude(state=Run.State.OPEN).exists(), 30)
    got = [letter.recipient for letter in post.letters][NUMBER:]
    assert len(got) == len(set(got)), "nobody twice"
    assert set(got).intersection(leavers) <= may_go
    assert len(may_go) < LEAVERS // 2
    counted = runs.totals(run.pk)
    assert counted["sent"] == len(got)
    assert counted["sent"] + counted["cancelled"] == NUMBER
    cancelled = run.deliveries.filter(state="cancelled")
    assert set(cancelled.values_list("reason", flat=True)) == {"unsubscribed"}
    assert Suppression.objects.count() == LEAVERS

    third = make_mailing(alice, lists=[first.lists.get()])
    wait_until(lambda: third.runs.exclude(state=Run.State.OPEN).exists())
    last = third.runs.get()
    assert (last.total, last.left_out) == (NUMBER - LEAVERS, {"unsubscribed": LEAVERS})
