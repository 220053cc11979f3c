"""An HTTP service that misbehaves in every way there is, in front of the real dispatcher."""

import json
import time

import pytest

from tests.scripted_servers import Answer, Certificate, Drip, Drop, Endless, Hang, HttpServer, Keep, Raw, Reset
from tests.system.endings import QUICK, TIMEOUT, End, comes_about, ends, faults_of_an_outage, over, uncharged
from tests.system.processes import Dispatcher, of_tests
from tests.timing import NotInTime, in_time, wait_until
from vestnik.mailings import outages
from vestnik.mailings.outages import OutageReason
from vestnik.testing.factories import make_list, make_mailing

SENT = ("accepted", 200)
UNREADABLE = ("unknown", None)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def sent_after(*attempts, received=1):
    """Each of these attempts is charged, and the next one succeeds."""
    return End("sent", len(attempts) + 1, [*attempts, SENT], received)


WELL = sent_after()
NOT_TAKEN = sent_after(UNREADABLE)
TAKEN = sent_after(UNREADABLE, received=2)


def refused(status):
    return End("failed", 1, [("permanent", status)], 0)


def later(status):
    return sent_after(("temporary", status))


# Of one letter each, once: what is answered, and how the letter ends.
OF_SOME_LETTERS = {
    "it hangs": (Hang(deaf=True), NOT_TAKEN),
    "it drops": (Drop(), NOT_TAKEN),
    "it resets": (Reset(), NOT_TAKEN),
    "it drips": (Drip(Answer().written(), 0.25), NOT_TAKEN),
    "garbage": (Raw(b"\x00\xff250 2.0.0 Ok\r\n\r\n", close=True), NOT_TAKEN),
    "endless head": (Endless(b"X-More: and furthermore\r\n", first=b"HTTP/1.1 200 OK\r\n"), NOT_TAKEN),
    "only 100": (Raw(b"HTTP/1.1 100 Continue\r\n\r\n"), NOT_TAKEN),
    "no status there is": (Answer(777), NOT_TAKEN),
    "taken, and hangs": (Keep(Hang(deaf=True)), TAKEN),
    "taken, and drops": (Keep(Drop()), TAKEN),
    "taken, and resets": (Keep(Reset()), TAKEN),
    "taken, and drips": (Keep(Drip(Answer().written(), 0.25)), TAKEN),
    "taken, and endless": (Keep(Endless(b"4\r\nmore\r\n", first=HEAD)), TAKEN),
    "200 with HTML": (Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"}), TAKEN),
    "200 with invalid JSON": (Answer(200, '{"status": "accepted"'), TAKEN),
    "200 against the schema": (Answer(200, {"status": "queued"}), TAKEN),
    "200 with gigantic JSON": (Answer(200, {"status": "accepted", "message": "x" * 10_000_000}), TAKEN),
    "200 nested too deep": (Answer(200, "[" * 60_000), TAKEN),
    "204": (Answer(204, b""), TAKEN),
    "400": (Answer(400, {"error": "no"}), refused(400)),
    "404": (Answer(404, "<html>not here</html>"), refused(404)),
    "422": (Answer(422, json.dumps({"error": {"message": "no such user"}})), refused(422)),
    "408": (Answer(408, close=True), later(408)),
    "425": (Answer(425), later(425)),
    "500": (Answer(500, "<html>"), later(500)),
    "503": (Answer(503, ""), later(503)),
}

OF_THE_WHOLE_SERVICE = {
    "connections are dropped": ("connect", Drop()),
    "400 before anything was asked": ("connect", Raw(Answer(400, close=True).written(), close=True)),
    "401": ("answer", Answer(401)),
    "403": ("answer", Answer(403)),
    "407": ("answer", Answer(407)),
    "301": ("answer", Answer(301, "", {"Location": "https://elsewhere.example/letters"})),
    "307": ("answer", Answer(307, "", {"Location": "/elsewhere"})),
}


@pytest.fixture
def api(transactional_db, valkey):
    with HttpServer(token="secret") as server:
        yield server
    assert server.violations == []


@pytest.fixture
def dispatcher(api, tmp_path):
    url = f"http://secret@127.0.0.1:{api.port}{api.path}?connections=10&timeout={TIMEOUT}"
    with Dispatcher(of_tests(api.port, MAIL_SERVICE_URL=url, **QUICK), tmp_path) as running:
        yield running


def test_what_meets_some_letters_costs_nobody_else_anything(alice, bob, api, dispatcher):
    everybody = make_list(alice, len(OF_SOME_LETTERS) + 20)
    addresses = list(everybody.clients.order_by("pk").values_list("email", flat=True))
    met = dict(zip(addresses, OF_SOME_LETTERS, strict=False))
    for address, name in met.items():
        api.once("answer", OF_SOME_LETTERS[name][0], recipient=address)
    hers = make_mailing(alice, lists=[everybody])
    api.wait_until(lambda: api.connections_made >= 1)
    his = make_mailing(bob, 200)
    asked = time.monotonic()
    wait_until(over(his), 20)
    took = time.monotonic() - asked
    wait_until(over(hers), 30)
    found = ends(hers, api)
    assert {name: found.pop(address) for address, name in met.items()} == {
        name: end for name, (_, end) in OF_SOME_LETTERS.items()
    }
    assert set(found.values()) == set(ends(his, api).values()) == {WELL}
    in_time(took, 5, "Bob's letters waited for Alice's")


def test_what_meets_the_whole_service_costs_no_letter_an_attempt(alice, api, dispatcher):
    wrong = {}
    for name, (step, action) in OF_THE_WHOLE_SERVICE.items():
        api.always(step, action)
        api.drop_connections()
        wrong[name] = faults_of_an_outage(make_mailing(alice, 5), api, api.behave, WELL)
        if step == "connect" and any("('permanent', 400)" in fault for fault in wrong[name]):
            raise NotInTime("it said 400 when it had been asked already, and nobody can tell that from an answer")
    api.token = "another"
    wrong["the token is another"] = faults_of_an_outage(
        make_mailing(alice, 5), api, lambda: setattr(api, "token", "secret"), WELL
    )
    api.refuse()
    api.drop_connections()
    wrong["it refuses connections"] = faults_of_an_outage(make_mailing(alice, 5), api, api.listen, WELL)
    assert {name: faults for name, faults in wrong.items() if faults} == {}


def test_retry_after_is_obeyed_by_all(alice, bob, api, dispatcher):
    """What was under way when the service asked to be left alone may still be answered, and changes nothing."""
    api.once("answer", Answer(429, {"message": "slower"}, {"Retry-After": "3"}))
    hers = make_mailing(alice, 300)
    wait_until(lambda: api.letters)
    asked = time.monotonic()
    his = make_mailing(bob, 5)
    assert comes_about(lambda: getattr(outages.current(), "reason", None) == OutageReason.THROTTLED, 1)
    wait_until(over(hers), 20)
    wait_until(over(his), 20)
    arrived = sorted(letter.arrived for letter in api.letters)
    in_time(max((when - asked for when in arrived if when - asked < 2.8), default=0), 0.6, "until it was left alone")
    assert 2.7 <= arrived[-1] - asked < 8
    assert set(ends(his, api).values()) == {WELL}
    found = list(ends(hers, api).values())
    assert set(found) == {WELL, later(429)}
    assert found.count(later(429)) == 1


def test_a_wrong_certificate_is_told_and_costs_nothing(alice, transactional_db, valkey, tmp_path):
    (tmp_path / "wrong").mkdir()
    (tmp_path / "right").mkdir()
    right = Certificate.make(tmp_path / "right")
    with HttpServer(certificate=Certificate.make(tmp_path / "wrong")) as api:
        url = f"https://secret@127.0.0.1:{api.port}{api.path}?connections=4&timeout={TIMEOUT}"
        variables = {"MAIL_SERVICE_URL": url, "SSL_CERT_FILE": str(right.certificate), **QUICK}
        with Dispatcher(of_tests(api.port, **variables), tmp_path):
            mailing = make_mailing(alice, 50)
            wait_until(lambda: outages.current() is not None)
            outage = outages.current()
            assert outage is not None
            assert outage.reason == OutageReason.MISCONFIGURED
            assert "certificate" in outage.message
            assert uncharged(mailing)
            api.refuse()
            api.certificate = right
            api.listen()
            wait_until(over(mailing))
            assert set(ends(mailing, api).values()) == {WELL}
        assert "secret" not in (tmp_path / "bulk.log").read_text()
