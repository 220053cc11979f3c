"""A real Postfix between the real dispatcher and a server that counts what arrives.

Whatever it thinks of us, nobody is lost, nobody is dead by a refusal of us, and operators are told once.
"""

import re
import smtplib
import subprocess
import time
from collections import Counter
from email import message_from_bytes, policy

import pytest

from tests import needs
from tests.scripted_servers import Say
from tests.timing import in_time, wait_until
from tests.trial_servers.policy import greylisting
from tests.trial_servers.postfix import postfix
from tests.trial_servers.processes import free_port
from vestnik.clients.models import Suppression
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Attempt, Delivery, DeliveryEvent, Run
from vestnik.testing.factories import make_list, make_mailing

MANY = 2000
QUICK = {"RETRY_BASE_SECONDS": "1", "PROBE_BACKOFF": "0.5,1", "LOGIN_BACKOFF": "2"}

REFUSALS = {
    "554 Relay access denied": {
        "mynetworks": "192.0.2.1",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    },
    "454 Relay access denied, as by default": {"mynetworks": "192.0.2.1"},
    "553 Sender address rejected": {
        "smtpd_sender_restrictions": "check_sender_access static:{553 5.7.1 not owned by anybody here}",
    },
    "450 sender's domain": {"smtpd_sender_restrictions": "check_sender_access static:{450 4.1.8 not this domain}"},
    "554 of the client": {"smtpd_client_restrictions": "reject"},
    "550 by a policy without a code of its own": {
        "smtpd_recipient_restrictions": "check_client_access static:{550 no}"
    },
    "550 after the content": {"smtpd_end_of_data_restrictions": "check_client_access static:{550 5.7.26 DMARC}"},
    "554 after the content": {"smtpd_end_of_data_restrictions": "reject"},
}
TAKING = {
    "mynetworks": "127.0.0.0/8",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_sender_restrictions": "",
    "smtpd_client_restrictions": "",
    "smtpd_recipient_restrictions": "",
    "smtpd_end_of_data_restrictions": "",
}


def at(server, options="connections=10&timeout=30"):
    return f"smtp://127.0.0.1:{server.port}?{options}"


def states(mailing):
    return Counter(Delivery.objects.filter(run__mailing=mailing).values_list("state", flat=True))


def over(mailing):
    return lambda: mailing.runs.exclude(state=Run.State.OPEN).exists()


def halted():
    outage = outages.current()
    return outage is not None and outage.reason == "refused"


def arrived_once(post, mailing):
    wait_until(lambda: len({letter.message_id for letter in post.letters}) >= sum(states(mailing).values()), 60)
    assert set(Counter(letter.recipient for letter in post.letters).values()) == {1}


def told(tmp_path):
    said = (tmp_path / "bulk.log").read_text()
    return re.findall(r"^.*ERROR.*$", said, re.M)


@pytest.mark.parametrize("name", REFUSALS)
def test_what_it_refuses_for_what_we_are_costs_no_letter_and_goes_out_when_it_is_mended(
    alice, post, run_dispatcher, tmp_path, name
):
    with postfix(post.port, **REFUSALS[name]) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **QUICK)
        mailing = make_mailing(alice, MANY if name == next(iter(REFUSALS)) else 200)
        wait_until(halted, 60)
        assert set(states(mailing)) <= {"queued", "sending"}
        assert not Attempt.objects.exists()
        wait_until(lambda: told(tmp_path), 10)  # it is in Redis before it is in the log
        assert len(told(tmp_path)) == 1
        server.reload(**TAKING)
        wait_until(over(mailing), 120)
        assert set(states(mailing)) == {"sent"}
        assert len(told(tmp_path)) == 1
        arrived_once(post, mailing)


def test_dead_addresses_are_dead_and_halt_nothing(alice, post, run_dispatcher):
    with postfix(
        post.port, smtpd_recipient_restrictions="check_recipient_access static:{550 5.1.1 User unknown}"
    ) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **QUICK)
        mailing = make_mailing(alice, MANY)
        wait_until(over(mailing), 90)
        assert states(mailing) == {"failed": MANY}
        assert outages.current() is None


def test_one_domain_that_it_relays_to_and_all_others_that_it_does_not(alice, post, run_dispatcher):
    """What it takes does not make dead letters of the rest."""
    with postfix(
        post.port,
        mynetworks="192.0.2.1",
        smtpd_relay_restrictions="permit_mynetworks, reject_unauth_destination",
        relay_domains="ours.example",
    ) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **{**QUICK, "RETRY_BASE_SECONDS": "30"})
        everybody = make_list(alice, 200)
        for client in everybody.clients.all()[::5]:
            client.email = client.email.replace("example.org", "ours.example")
            client.save()
        mailing = make_mailing(alice, lists=[everybody])
        wait_until(lambda: states(mailing)["sent"] == 40, 60)
        wait_until(lambda: states(mailing)["sending"] == 0, 20)
        assert states(mailing) == {"sent": 40, "queued": 160}


@pytest.mark.parametrize("most", [1, 3])
def test_processes_share_the_few_connections_it_takes(alice, bob, post, run_dispatcher, tmp_path, most):
    with postfix(post.port, smtpd_client_connection_count_limit=str(most)) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), BULK_PROCESSES="2", **QUICK)
        hers = make_mailing(alice, 1000)
        wait_until(lambda: states(hers)["sent"] > 20, 30)
        his = make_mailing(bob, 20)
        asked = time.monotonic()
        wait_until(over(his), 40)
        took = time.monotonic() - asked
        wait_until(over(hers), 120)
        assert (states(hers), states(his)) == ({"sent": 1000}, {"sent": 20})
        assert not Attempt.objects.exclude(outcome="accepted").exists()
        assert outages.current() is None
        log = server.log.read_text()
        assert log.count("Connection concurrency limit exceeded") < 40, "it knocks all the time"
        in_time(took, 20)
        assert not told(tmp_path)


@pytest.mark.parametrize("answer", ["450 4.2.0 Greylisted, come again", "451 4.7.1 please try again later"])
def test_greylisting_slows_nothing_down(alice, post, run_dispatcher, answer):
    with greylisting(answer) as (policy, check), postfix(post.port, smtpd_recipient_restrictions=check) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **QUICK)
        mailing = make_mailing(alice, MANY)
        wait_until(over(mailing), 120)
        assert states(mailing) == {"sent": MANY}
        assert policy.sent_away >= MANY
        first = sorted(policy.first.values())
        in_time(first[-1] - first[0], 60, "for the first tries of all")
        arrived_once(post, mailing)


def test_it_says_that_it_takes_no_login(alice, post, run_dispatcher):
    with postfix(post.port, smtpd_sasl_auth_enable="no") as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server).replace("//", "//vestnik:secret@"), **QUICK)
        mailing = make_mailing(alice, 50)
        wait_until(lambda: outages.current() is not None, 30)
        assert outages.current().reason == "misconfigured"
        assert set(states(mailing)) == {"queued"}


def test_the_link_of_a_letter_that_it_relayed_is_posted_by_curl_as_mailbox_providers_do(
    alice, post, run_dispatcher, live_server
):
    curl = needs.program("curl", "curl", "--version")
    with postfix(post.port) as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), SITE_URL=live_server.url)
        first = make_mailing(alice, 20)
        wait_until(over(first), 60)
        arrived_once(post, first)
        letter = message_from_bytes(post.letters[0].content, policy=policy.default)
        assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        link = letter["List-Unsubscribe"].strip("<>")
        said = subprocess.run(
            [curl, "-sS", "-w", "%{http_code}", "--data", "List-Unsubscribe=One-Click", link],
            capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
        assert said.stdout == "Unsubscribed.\n200"
        second = make_mailing(alice, lists=[first.lists.get()])
        wait_until(over(second), 60)
    run = second.runs.get()
    assert (run.total, run.left_out) == (19, {"unsubscribed": 1})
    assert Counter(each.recipient for each in post.letters)[post.letters[0].recipient] == 1


def test_whom_it_does_not_know_is_suppressed_after_the_run_and_a_full_mailbox_is_not(alice, post, run_dispatcher):
    clients = make_list(alice, 30)
    gone, full, *_others = clients.clients.order_by("pk").values_list("email", flat=True)
    said = f"{{ {gone} = 550 5.1.1 User unknown }}, {{ {full} = 552 5.2.2 Mailbox full }}"
    with postfix(post.port, smtpd_recipient_restrictions=f"check_recipient_access inline:{{{said}}}") as server:
        run_dispatcher(MAIL_SERVICE_URL=at(server), **QUICK)
        mailing = make_mailing(alice, lists=[clients])
        wait_until(over(mailing), 60)
        assert states(mailing) == {"sent": 28, "failed": 2}
        wait_until(Suppression.objects.exists, 30)
    assert [(each.address, each.reason) for each in Suppression.objects.all()] == [(gone, "refused")]


def test_what_it_cannot_deliver_comes_back_in_its_own_words_and_is_suppressed(alice, post, run_dispatcher):
    """Bounces that no code of ours wrote, handed over by who wrote them."""
    port, domain = free_port(), "bounces.example.org"
    clients = make_list(alice, 30)
    gone, full, spam = clients.clients.order_by("pk").values_list("email", flat=True)[:3]
    post.always("rcpt", Say(550, f"5.1.1 <{gone}>: Recipient address rejected: User unknown"), recipient=gone)
    post.always("rcpt", Say(552, "5.2.2 Mailbox full"), recipient=full)
    post.always("rcpt", Say(554, "5.7.1 Refused as spam"), recipient=spam)
    route = f"inline:{{{domain}=smtp:[127.0.0.1]:{port}}}"
    with postfix(post.port, transport_maps=route) as server:
        run_dispatcher(
            *("control", "bulk", "bounces"), MAIL_SERVICE_URL=at(server), BOUNCE_DOMAIN=domain,
            BOUNCE_LISTEN=f"127.0.0.1:{port}", **QUICK,
        )  # fmt: skip
        mailing = make_mailing(alice, lists=[clients])
        wait_until(over(mailing), 60)
        assert states(mailing) == {"sent": 30}, "it took all of them"
        wait_until(lambda: DeliveryEvent.objects.count() == 3, 60)
    events = {
        Delivery.objects.get(pk=event.delivery_id).address: (event.bounce, event.status, event.answer)
        for event in DeliveryEvent.objects.all()
    }
    assert {address: said[:2] for address, said in events.items()} == {
        gone: ("hard", "5.1.1"), full: ("soft", "5.2.2"), spam: ("policy", "5.7.1"),
    }  # fmt: skip
    assert events[gone][2] == f"550 5.1.1 <{gone}>: Recipient address rejected: User unknown"
    assert [(each.address, each.reason) for each in Suppression.objects.all()] == [(gone, "bounced")]


def test_who_answers_the_address_to_unsubscribe_in_a_letter_that_it_relayed_is_written_to_no_more(
    alice, post, run_dispatcher
):
    port, domain = free_port(), "bounces.example.org"
    route = f"inline:{{{domain}=smtp:[127.0.0.1]:{port}}}"
    with postfix(post.port, transport_maps=route) as server:
        run_dispatcher(
            *("control", "bulk", "bounces"), MAIL_SERVICE_URL=at(server), BOUNCE_DOMAIN=domain,
            BOUNCE_LISTEN=f"127.0.0.1:{port}", **QUICK,
        )  # fmt: skip
        mailing = make_mailing(alice, 5)
        wait_until(over(mailing), 60)
        arrived_once(post, mailing)
        header = message_from_bytes(post.letters[0].content, policy=policy.default)["List-Unsubscribe"]
        to = re.search(r"<mailto:([^?>]+)\?subject=unsubscribe>", header)[1]
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.sendmail("reader@example.org", [to], "From: reader@example.org\r\nSubject: unsubscribe\r\n\r\n")
        wait_until(Suppression.objects.exists, 30)
    assert Suppression.objects.get().address == post.letters[0].recipient
