"""A service that misbehaves in every way there is, in front of the real dispatcher.

What meets some letters only costs nobody else anything; what meets all of them costs no letter anything. Then the
service behaves, and every letter ends as it should: sent once, unless the ledger says that nobody can know.
"""

import re
import time
from collections import Counter

import pytest

from tests.scripted_servers import Certificate, Drip, Drop, Endless, Hang, Keep, Raw, Say, SmtpServer
from tests.system.endings import QUICK, TIMEOUT, End, ends, faults_of_an_outage, over, uncharged
from tests.system.processes import Dispatcher, of_tests
from tests.timing import in_time, wait_until
from vestnik.mailings import outages
from vestnik.mailings.ledger.models import Attempt
from vestnik.mailings.outages import OutageReason
from vestnik.testing.factories import make_list, make_mailing

SENT = ("accepted", 250)
BROKEN = ("temporary", None)
UNREADABLE = ("unknown", None)
ENDLESS = Endless(b"250-and furthermore\r\n")
GARBAGE = Raw(b"\x00\xffHTTP/1.1 200 OK\r\n")
TWO_LINES = "5.1.1 no such user\n5.1.1 and never was"


def sent_after(*attempts, received=1):
    """Each of these attempts is charged, and the next one succeeds."""
    return End("sent", len(attempts) + 1, [*attempts, SENT], received)


WELL = sent_after()


def refused(code):
    return End("failed", 1, [("permanent", code)], 0)


def drip(code):
    return Drip(f"{code} so be it\r\n".encode(), 0.25)


# Of one letter each, once: the step, what happens there, and how the letter ends.
OF_SOME_LETTERS = {
    "RCPT hangs": ("rcpt", Hang(), sent_after(BROKEN)),
    "RCPT drips": ("rcpt", drip(250), sent_after(BROKEN)),
    "RCPT drops": ("rcpt", Drop(), sent_after(BROKEN)),
    "RCPT garbage": ("rcpt", GARBAGE, sent_after(BROKEN)),
    "RCPT endless": ("rcpt", ENDLESS, sent_after(BROKEN)),
    "RCPT wrong code": ("rcpt", Say(354), sent_after(BROKEN)),
    "RCPT 450": ("rcpt", Say(450), sent_after(("temporary", 450))),
    "RCPT 451": ("rcpt", Say(451, "4.3.0 not now\n4.3.0 later"), sent_after(("temporary", 451))),
    "RCPT 421": ("rcpt", Say(421, close=True), sent_after(("temporary", 421))),
    "RCPT 550": ("rcpt", Say(550, TWO_LINES), refused(550)),
    "DATA hangs": ("data", Hang(), sent_after(BROKEN)),
    "DATA drips": ("data", drip(354), sent_after(BROKEN)),
    "DATA drops": ("data", Drop(), sent_after(BROKEN)),
    "DATA garbage": ("data", GARBAGE, sent_after(BROKEN)),
    "DATA endless": ("data", Endless(b"354-go\r\n"), sent_after(BROKEN)),
    "DATA wrong code": ("data", Raw(b"250 2.0.0 taken, whatever it is\r\n"), sent_after(BROKEN)),
    "DATA 451": ("data", Say(451), sent_after(("temporary", 451))),
    "DATA 554": ("data", Say(554), refused(554)),
    "content drops in the middle": ("mid-content", Drop(), sent_after(UNREADABLE)),
    "content hangs in the middle": ("mid-content", Hang(), sent_after(UNREADABLE)),
    "content hangs": ("content", Hang(), sent_after(UNREADABLE)),
    "content drops": ("content", Drop(), sent_after(UNREADABLE)),
    "content wrong code": ("content", Raw(b"354 more\r\n"), sent_after(UNREADABLE)),
    "content 452": ("content", Say(452), sent_after(("temporary", 452))),
    "content 552": ("content", Say(552, TWO_LINES), refused(552)),
    "taken, and hangs": ("content", Keep(Hang()), sent_after(UNREADABLE, received=2)),
    "taken, and drips": ("content", Keep(drip(250)), sent_after(UNREADABLE, received=2)),
    "taken, and drops": ("content", Keep(Drop()), sent_after(UNREADABLE, received=2)),
    "taken, and garbage": ("content", Keep(GARBAGE), sent_after(UNREADABLE, received=2)),
    "taken, and endless": ("content", Keep(ENDLESS), sent_after(UNREADABLE, received=2)),
}

# Of everybody, at one step before any letter: no letter pays for it.
OF_THE_WHOLE_SERVICE = {
    "the greeting hangs": ("greeting", Hang()),
    "the greeting drips": ("greeting", drip(220)),
    "the greeting drops": ("greeting", Drop()),
    "the greeting is garbage": ("greeting", GARBAGE),
    "the greeting is endless": ("greeting", Endless(b"220-hello\r\n")),
    "the greeting is 421": ("greeting", Say(421, close=True)),
    "the greeting is 554": ("greeting", Say(554, close=True)),
    "EHLO hangs": ("ehlo", Hang()),
    "EHLO drops": ("ehlo", Drop()),
    "EHLO is garbage": ("ehlo", GARBAGE),
    "EHLO is endless": ("ehlo", Endless(b"250-EXTENSION\r\n")),
    "EHLO is 421": ("ehlo", Say(421, close=True)),
    "MAIL is 530": ("mail", Say(530, "5.7.0 authentication required")),
}


def test_what_meets_some_letters_costs_nobody_else_anything(alice, bob, post, run_dispatcher):
    run_dispatcher(MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?connections=10&timeout={TIMEOUT}", **QUICK)
    everybody = make_list(alice, len(OF_SOME_LETTERS) + 20)
    addresses = list(everybody.clients.order_by("pk").values_list("email", flat=True))
    met = dict(zip(addresses, OF_SOME_LETTERS, strict=False))
    for address, name in met.items():
        step, action, _ = OF_SOME_LETTERS[name]
        post.once(step, action, recipient=address)
    hers = make_mailing(alice, lists=[everybody])
    post.wait_until(lambda: post.connections_made >= 1)
    his = make_mailing(bob, 200)
    asked = time.monotonic()
    wait_until(over(his), 20)
    took = time.monotonic() - asked
    wait_until(over(hers), 30)
    expected = {name: end for name, (_, _, end) in OF_SOME_LETTERS.items()}
    found = ends(hers, post)
    assert {name: found.pop(address) for address, name in met.items()} == expected
    assert set(found.values()) == set(ends(his, post).values()) == {WELL}
    in_time(took, 5, "Bob's letters waited for Alice's")


def test_what_meets_the_whole_service_costs_no_letter_an_attempt(alice, post, run_dispatcher):
    run_dispatcher(MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?connections=4&timeout={TIMEOUT}", **QUICK)
    wrong = {}
    for name, (step, action) in OF_THE_WHOLE_SERVICE.items():
        post.always(step, action)
        post.drop_connections()
        wrong[name] = faults_of_an_outage(make_mailing(alice, 5), post, post.behave, WELL)
    post.refuse()
    post.drop_connections()
    wrong["it refuses connections"] = faults_of_an_outage(make_mailing(alice, 5), post, post.listen, WELL)
    assert {name: faults for name, faults in wrong.items() if faults} == {}


# At MAIL, of the next five letters: how each of these ends. What broke before the service heard of the letter may also
# be tried again at once, at no charge.
AT_MAIL = {
    "it hangs": (Hang(), {sent_after(BROKEN)}),
    "it drops": (Drop(), {sent_after(BROKEN), WELL}),
    "it is garbage": (GARBAGE, {sent_after(BROKEN)}),
    "it is endless": (ENDLESS, {sent_after(BROKEN)}),
    "it has a wrong code": (Raw(b"354 go on\r\n"), {sent_after(BROKEN)}),
    "it is 451": (Say(451), {sent_after(("temporary", 451))}),
    "it is 552": (Say(552), {refused(552)}),
    "it is 550": (Say(550, "5.7.1 not with this sender"), {refused(550)}),
}


def test_what_happens_at_mail_is_charged_to_the_letters_it_happens_to(alice, post, run_dispatcher):
    run_dispatcher(MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?connections=4&timeout={TIMEOUT}", **QUICK)
    wrong = {}
    for name, (action, allowed) in AT_MAIL.items():
        post.once("mail", action, times=5)
        mailing = make_mailing(alice, 20)
        wait_until(over(mailing), 20)
        found = Counter(ends(mailing, post).values())
        if found.keys() - allowed - {WELL} or (found[WELL] != 15 and WELL not in allowed):
            wrong[name] = found
    assert wrong == {}


def test_a_service_that_throttles_gets_its_letters_slower_and_every_one_of_them(alice, bob, post, run_dispatcher):
    """Beyond so many letters a second it refuses, in all the words there are for it."""
    post.most_letters_per_second = 100
    post.throttles_with = [Say(450), Say(451), Say(452), Say(421, "4.7.0 slower", close=True)]
    run_dispatcher(MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?connections=10&timeout={TIMEOUT}", **QUICK)
    hers = make_mailing(alice, 500)
    post.wait_for(100)
    his = make_mailing(bob, 10)
    asked = time.monotonic()
    wait_until(over(his), 20)
    took = time.monotonic() - asked
    wait_until(over(hers), 60)
    letters = [*ends(hers, post).values(), *ends(his, post).values()]
    assert {letter.state for letter in letters} == {"sent"}
    assert {letter.received for letter in letters} == {1}
    assert not Attempt.objects.filter(outcome__in=["permanent", "unknown"]).exists()
    assert post.throttled < 510 / 2, "it was not slowed down"
    in_time(took, 5)
    post.most_letters_per_second = None
    more = make_mailing(alice, 1200)
    wait_until(over(more), 40)
    *_, first, last = (letter.arrived for letter in post.letters[::200])
    in_time(last - first, 200 / 130, "for 200 letters: it does not speed up again")


@pytest.fixture
def certificates(tmp_path):
    """A wrong one, and the one that is trusted."""
    made = []
    for name in ("wrong", "right"):
        folder = tmp_path / name
        folder.mkdir()
        made.append(Certificate.make(folder))
    return made


def test_a_wrong_certificate_and_a_refused_login_are_told_once_and_cost_nothing(
    alice, certificates, transactional_db, valkey, tmp_path
):
    wrong, right = certificates
    with SmtpServer(certificate=wrong, login=("vestnik", "another")) as post:
        variables = {
            "MAIL_SERVICE_URL": f"smtp+starttls://vestnik:secret@127.0.0.1:{post.port}?connections=4&timeout={TIMEOUT}",
            "SSL_CERT_FILE": str(right.certificate),
            **QUICK,
        }
        with Dispatcher(of_tests(post.port, **variables), tmp_path):
            mailing = make_mailing(alice, 50)
            wait_until(lambda: post.connections_made >= 3)
            outage = outages.current()
            assert outage is not None
            assert outage.reason == OutageReason.MISCONFIGURED
            assert "certificate" in outage.message
            assert uncharged(mailing)
            post.certificate = right
            wait_until(lambda: "login" in getattr(outages.current(), "message", ""))
            tried = post.connections_made
            wait_until(lambda: post.connections_made >= tried + 3)
            assert uncharged(mailing)
            post.login = ("vestnik", "secret")
            wait_until(over(mailing))
            assert set(ends(mailing, post).values()) == {WELL}
        said = re.findall(r"^.*ERROR.*(?:certificate|login).*$", (tmp_path / "bulk.log").read_text(), re.M)
        assert 1 <= len(said) <= 4, said
        assert not any("secret" in line for line in said)
        assert not [what for what in post.violations if "TLS" not in what]
