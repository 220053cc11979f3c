"""The same with servers of others; `make trial-servers` fetches and tries them, `make test` does not."""

import os

import pytest

from tests.timing import wait_until
from tests.trial_servers.others import Exim, OpenSmtpd, running
from tests.trial_servers.test_postfix import QUICK, arrived_once, at, halted, over, states, told
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Attempt
from vestnik.testing.factories import make_mailing

pytestmark = pytest.mark.skipif("TRIAL_SERVERS" not in os.environ, reason="servers of others: make trial-servers")

SOME = 300
KINDS = [Exim, OpenSmtpd]


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_refuses_costs_no_letter_and_goes_out_when_it_is_mended(alice, post, run_dispatcher, tmp_path, kind):
    with running(kind, post.port, takes=False) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **QUICK)
        mailing = make_mailing(alice, SOME)
        wait_until(halted, 60)
        assert set(states(mailing)) <= {"queued", "sending"}
        assert not Attempt.objects.exists()
        server.stop()
        server.start(takes=True)
        wait_until(over(mailing), 120)
        assert states(mailing) == {"sent": SOME}
        assert len(told(tmp_path)) == 1
        arrived_once(post, mailing)


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_takes_arrives_once(alice, post, run_dispatcher, kind):
    with running(kind, post.port, takes=True) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **QUICK)
        mailing = make_mailing(alice, SOME)
        wait_until(over(mailing), 120)
        assert states(mailing) == {"sent": SOME}
        assert outages.current() is None
        arrived_once(post, mailing)


def test_processes_share_the_few_connections_exim_takes(alice, bob, post, run_dispatcher, tmp_path):
    with running(Exim, post.port, takes=True, smtp_accept_max_per_host="2") as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **QUICK)
        hers, his = make_mailing(alice, SOME), make_mailing(bob, 20)
        wait_until(lambda: over(hers)() and over(his)(), 120)
        assert (states(hers), states(his)) == ({"sent": SOME}, {"sent": 20})
        assert outages.current() is None
        assert not told(tmp_path)
