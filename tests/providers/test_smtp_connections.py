"""How the SMTP provider opens, keeps and closes its connections."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from dispatcher.providers import pool
from dispatcher.providers.base import Letter, Outcome, Receipt
from dispatcher.providers.errors import LoginRefused, Misconfigured, Unavailable
from dispatcher.providers.smtp import SmtpProvider, dial
from dispatcher.providers.url import Security
from tests.providers.conftest import connected, drain, letter, letters
from tests.scripted_servers import Certificate, Drip, Drop, Hang, Late, Raw, Say, SmtpServer
from tests.timing import in_time, wait_until

Make = Callable[..., SmtpProvider]


def test_few_letters_open_few_connections(server: SmtpServer, provider_of: Make) -> None:
    list(provider_of(server, connections=20).deliver(letters(3)))
    assert server.connections_made <= 4


def test_a_lane_gets_a_connection_of_its_own_where_anothers_letter_hangs(server: SmtpServer, provider_of: Make) -> None:
    provider = provider_of(server)
    server.always("content", Hang(), recipient="client1@example.org")

    def deliver(number: int) -> None:
        with suppress(Unavailable):  # a further connection may be on its way when all are dropped
            list(provider.deliver([letter(number)]))

    lanes = [threading.Thread(target=deliver, args=[number]) for number in (1, 2, 3)]
    began = time.monotonic()
    for lane in lanes:
        lane.start()
    server.wait_for(2)
    in_time(time.monotonic() - began, 1)
    server.drop_connections()
    for lane in lanes:
        lane.join()


def test_connections_are_kept_between_deliveries(server: SmtpServer, provider_of: Make) -> None:
    provider = provider_of(server, connections=1)
    for number in range(5):
        list(provider.deliver([letter(number + 1)]))
    assert server.connections_made == 1


def test_idle_connections_are_parted_from_politely(
    server: SmtpServer, provider: SmtpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE", 0.1)
    list(provider.deliver(letters(10)))
    server.wait_until(lambda: not server.open)
    assert server.commands["QUIT"] == server.connections_made
    assert len(list(provider.deliver(letters(3)))) == 3


def test_close_parts_politely_and_at_once(server: SmtpServer, provider: SmtpProvider) -> None:
    list(provider.deliver(letters(10)))
    began = time.monotonic()
    provider.close()
    in_time(time.monotonic() - began, 1)
    server.wait_until(lambda: not server.open)
    assert server.commands["QUIT"] == server.connections_made


def test_close_does_not_wait_for_a_service_that_hangs(server: SmtpServer, provider_of: Make) -> None:
    provider = provider_of(server, timeout=30)
    server.always("quit", Hang())
    list(provider.deliver(letters(3)))
    began = time.monotonic()
    provider.close()
    in_time(time.monotonic() - began, pool.PARTING + 1)


def test_close_cuts_off_what_is_in_hand_with_a_receipt(
    server: SmtpServer, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PARTING", 0.1)
    provider = provider_of(server, timeout=30)
    server.hold()
    receipts: list[Receipt] = []

    def lane() -> None:
        with pytest.raises(Unavailable, match="closed"):
            drain(provider.deliver(letters(10)), receipts)

    thread = threading.Thread(target=lane)
    thread.start()
    server.wait_until(lambda: len(server.held) == 3)
    provider.close()
    thread.join(5)
    assert [receipt.outcome for receipt in receipts] == [Outcome.UNKNOWN] * 3


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("action", [Say(421, "4.7.0 enough", close=True), Drop()], ids=["421", "close"])
def test_a_limit_of_letters_per_connection_costs_nothing_but_connections(
    server: SmtpServer, provider: SmtpProvider, action: Say
) -> None:
    server.letters_per_connection = 5
    server.closes_with = action
    receipts = list(provider.deliver(letters(100)))
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert len(server.letters) == 100
    assert server.connections_made >= 20


@pytest.mark.usefixtures("patient")
def test_a_service_that_closes_after_each_letter_is_followed(server: SmtpServer, provider: SmtpProvider) -> None:
    server.always("content", Say(250, "2.0.0 Ok", close=True))
    receipts = list(provider.deliver(letters(30)))
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert len(server.letters) == 30


def test_a_limit_of_connections_is_lived_with_and_not_hammered(
    server: SmtpServer, provider_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    server.most_connections = 2
    server.always("content", Late(0.005))
    with caplog.at_level(logging.WARNING):
        receipts = list(provider_of(server, connections=10).deliver(letters(200)))
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert server.connections_made <= 6
    assert "too many connections" in caplog.text


def test_a_service_that_restarts_in_the_middle_loses_no_receipt(server: SmtpServer, provider: SmtpProvider) -> None:
    server.always("content", Late(0.002))
    ids: list[int] = []
    outcomes: set[Outcome] = set()
    for receipt in provider.deliver(letters(300)):
        ids.append(receipt.letter.delivery_id)
        outcomes.add(receipt.outcome)
        if len(ids) == 100:
            server.drop_connections()
    assert sorted(ids) == list(range(1, 301))
    assert outcomes <= {Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.TEMPORARY, Outcome.RETURNED}
    assert len(server.letters) >= 290


@pytest.mark.usefixtures("patient")
def test_a_connection_lost_between_reservation_and_letter_costs_no_letter(
    server: SmtpServer, provider_of: Make
) -> None:
    provider = provider_of(server, connections=1)

    def source() -> Iterator[Letter]:
        server.drop_connections()
        wait_until(lambda: not connected(provider))
        yield letter()

    (receipt,) = provider.deliver(source())
    assert receipt.outcome is Outcome.ACCEPTED
    assert server.connections_made == 2


def test_after_the_receipts_of_what_was_in_hand_a_service_that_went_away_is_raised(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    server.hold()

    def leave() -> None:
        server.wait_until(lambda: len(server.held) == 3)
        server.refuse()
        server.drop_connections()

    threading.Thread(target=leave).start()
    receipts: list[Receipt] = []
    with pytest.raises(Unavailable):
        drain(provider.deliver(letters(50)), receipts)
    assert [receipt.outcome for receipt in receipts] == [Outcome.UNKNOWN] * 3


def test_a_service_that_is_away_is_not_hammered(server: SmtpServer, provider: SmtpProvider) -> None:
    server.always("greeting", Say(421, "4.3.2 away", close=True))
    began = time.monotonic()
    for _ in range(4):
        with pytest.raises(Unavailable, match="away"):
            list(provider.deliver(letters(3)))
    assert server.connections_made == 4
    assert time.monotonic() - began > 3 * pool.REST * 0.9


@pytest.mark.parametrize("step", ["greeting", "ehlo"])
@pytest.mark.parametrize(
    "action",
    [
        Say(421, "4.3.2 busy", close=True),
        Say(554, "5.3.2 no service"),
        Drop(),
        Hang(),
        Raw(b"HTTP/1.1 200 OK\r\n\r\n"),
        Drip(b"220 tests.example\r\n", every=0.05),
    ],
    ids=["421", "554", "drop", "hang", "not SMTP", "drip"],
)
def test_a_service_that_does_not_greet_is_unavailable(
    server: SmtpServer, provider_of: Make, step: str, action: Say
) -> None:
    server.always(step, action)
    with pytest.raises(Unavailable):
        list(provider_of(server, timeout=0.25).deliver(letters(2)))
    server.violations.clear()


def test_a_service_that_accepts_no_connection_is_unavailable_within_the_time_limit(provider_of: Make) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        provider = provider_of(SmtpServer(), port=port, timeout=0.3)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="in time"):
            list(provider.deliver(letters(1)))
        in_time(time.monotonic() - began, 2)
        for filler in fillers:
            filler.close()


def test_a_host_that_does_not_exist_is_unavailable(provider_of: Make) -> None:
    with pytest.raises(Unavailable):
        list(provider_of(SmtpServer(), host="nowhere.invalid", port=25, timeout=2).deliver(letters(1)))


def test_a_service_without_ehlo_is_greeted_with_helo(server: SmtpServer, provider: SmtpProvider) -> None:
    server.pipelining = False
    server.always("ehlo", Say(502, "5.5.1 what?"))
    assert [receipt.outcome for receipt in provider.deliver(letters(2))] == [Outcome.ACCEPTED] * 2
    assert server.commands["HELO"] >= 1


@pytest.mark.usefixtures("patient")
def test_an_unasked_word_ends_a_connection_before_a_letter_is_lost_on_it(server: SmtpServer, provider_of: Make) -> None:
    server.once("content", Raw(b"250 2.0.0 Ok\r\n421 4.4.2 and good bye\r\n"))
    receipts = list(provider_of(server, connections=1).deliver(letters(3)))
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED] * 3
    assert server.connections_made == 2


# Login and TLS


@pytest.mark.parametrize("methods", ["PLAIN", "LOGIN", "PLAIN LOGIN"])
def test_a_user_logs_in(server: SmtpServer, provider_of: Make, methods: str) -> None:
    server.login, server.auth_methods = ("alice", "p:ä@ss"), methods
    provider = provider_of(server, user="alice", password="p:ä@ss")
    assert [receipt.outcome for receipt in provider.deliver(letters(3))] == [Outcome.ACCEPTED] * 3


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
@pytest.mark.parametrize("methods", ["CRAM-MD5 PLAIN LOGIN", "DIGEST-MD5 CRAM-MD5 PLAIN", "LOGIN CRAM-MD5"])
def test_under_tls_a_user_logs_in_where_cram_md5_is_offered_and_refuses_everybody(
    certificate: Certificate, provider_of: Make, methods: str, security: Security
) -> None:
    implicit = security is Security.TLS
    login = ("alice", "p:ä@ss")
    with SmtpServer(certificate=certificate, implicit_tls=implicit, login=login, auth_methods=methods) as server:
        provider = provider_of(server, certificate, security=security, user=login[0], password=login[1], connections=1)
        assert [receipt.outcome for receipt in provider.deliver(letters(1))] == [Outcome.ACCEPTED]
        assert server.commands["AUTH"] == 1


@pytest.mark.parametrize("encrypted", [True, False])
def test_where_there_is_only_cram_md5_a_user_logs_in_by_it(
    certificate: Certificate, provider_of: Make, encrypted: bool
) -> None:
    tls, security = (certificate, Security.STARTTLS) if encrypted else (None, Security.NONE)
    with SmtpServer(certificate=tls, login=("alice", "right"), auth_methods="CRAM-MD5", cram_secrets=True) as server:
        provider = provider_of(server, tls, security=security, user="alice", password="right")
        assert [receipt.outcome for receipt in provider.deliver(letters(1))] == [Outcome.ACCEPTED]


def test_in_the_clear_a_password_is_not_shown_where_it_need_not_be(server: SmtpServer, provider_of: Make) -> None:
    server.login, server.auth_methods, server.cram_secrets = ("alice", "right"), "PLAIN LOGIN CRAM-MD5", True
    server.once("auth", Say(535, "5.7.8 wrong"))
    with pytest.raises(LoginRefused):
        list(provider_of(server, user="alice", password="right").deliver(letters(1)))
    assert server.commands["AUTH"] == server.commands["AUTH CRAM-MD5"] == 1


def test_a_refused_login_is_a_misconfiguration_that_does_not_tell_the_password(
    server: SmtpServer, provider_of: Make
) -> None:
    server.login = ("alice", "right")
    with pytest.raises(Misconfigured, match="535") as refused:
        list(provider_of(server, user="alice", password="wrong-one").deliver(letters(3)))
    assert "wrong-one" not in str(refused.value)


def test_a_password_that_is_refused_is_not_tried_by_another_method(server: SmtpServer, provider_of: Make) -> None:
    server.login, server.auth_methods = ("alice", "right"), "PLAIN LOGIN"
    with pytest.raises(LoginRefused, match="535"):
        list(provider_of(server, user="alice", password="wrong-one").deliver(letters(3)))
    assert server.commands["AUTH"] == 1


def test_a_method_that_the_service_offers_and_does_not_have_is_passed_over(
    server: SmtpServer, provider_of: Make
) -> None:
    server.login = ("alice", "right")
    server.once("auth", Say(504, "5.5.4 unrecognized authentication type"))
    provider = provider_of(server, user="alice", password="right", connections=1)
    assert [receipt.outcome for receipt in provider.deliver(letters(2))] == [Outcome.ACCEPTED] * 2
    assert server.commands["AUTH"] == 2


def test_a_login_that_no_longer_counts_is_not_tried_again_while_connections_live(
    server: SmtpServer, provider_of: Make
) -> None:
    server.login = ("alice", "right")
    server.always("content", Late(0.02))
    server.once("auth", Say(235, "2.7.0 welcome"))
    server.always("auth", Say(535, "5.7.8 wrong"))
    provider = provider_of(server, user="alice", password="right", connections=3)
    assert {receipt.outcome for receipt in provider.deliver(letters(100))} == {Outcome.ACCEPTED}
    assert server.commands["AUTH"] == 2


def test_ehlo_says_the_name_that_it_is_given(server: SmtpServer, provider_of: Make) -> None:
    list(provider_of(server, ehlo_name="mail.example.org").deliver(letters(1)))
    assert server.greeted_by == {"mail.example.org"}


@pytest.mark.parametrize(
    ("host", "full", "said"),
    [
        ("mail.example.org", "", "mail.example.org"), ("mail", "mail.example.org", "mail.example.org"),
        ("mail", "mail", "[127.0.0.1]"), ("3f2a9c", "localhost", "[127.0.0.1]"),
        ("mail", "localhost.localdomain", "[127.0.0.1]"), ("ip-10-0-0-1", "1.0.0.10.in-addr.arpa", "[127.0.0.1]"),
        ("mail_1.example.org", "10.0.0.1", "[127.0.0.1]"),
    ],
)  # fmt: skip
def test_ehlo_says_this_hosts_full_name_or_its_address(
    server: SmtpServer, provider_of: Make, monkeypatch: pytest.MonkeyPatch, host: str, full: str, said: str
) -> None:
    monkeypatch.setattr(dial, "_looked_up", None)
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    monkeypatch.setattr(socket, "getfqdn", lambda: full)
    list(provider_of(server).deliver(letters(1)))
    assert server.greeted_by == {said}


def test_a_look_up_of_the_name_that_hangs_is_done_without(
    server: SmtpServer, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    let = threading.Event()
    monkeypatch.setattr(dial, "_looked_up", None)
    monkeypatch.setattr(dial, "LOOK_UP", 0.1)
    monkeypatch.setattr(socket, "gethostname", lambda: "mail")
    monkeypatch.setattr(socket, "getfqdn", lambda: let.wait(5) and "mail.example.org")
    assert len(list(provider_of(server).deliver(letters(1)))) == 1
    let.set()
    assert server.greeted_by == {"[127.0.0.1]"}


def test_a_login_refused_for_now_is_unavailable(server: SmtpServer, provider_of: Make) -> None:
    server.login = ("alice", "right")
    server.always("auth", Say(454, "4.7.0 try later"))
    with pytest.raises(Unavailable, match="454"):
        list(provider_of(server, user="alice", password="right").deliver(letters(1)))


def test_a_login_that_is_not_offered_is_a_misconfiguration(server: SmtpServer, provider_of: Make) -> None:
    with pytest.raises(Misconfigured, match="offers no login"):
        list(provider_of(server, user="alice", password="right").deliver(letters(1)))


def test_a_login_that_is_demanded_and_not_given_is_a_misconfiguration(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    server.login = ("alice", "right")
    receipts: list[Receipt] = []
    with pytest.raises(Misconfigured, match="530"):
        drain(provider.deliver(letters(20)), receipts)
    assert {receipt.outcome for receipt in receipts} == {Outcome.RETURNED}
    assert len(receipts) <= 3


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "starttls"])
@pytest.mark.parametrize("pipelining", [True, False])
def test_letters_go_over_tls(certificate: Certificate, provider_of: Make, implicit: bool, pipelining: bool) -> None:
    with SmtpServer(certificate=certificate, implicit_tls=implicit, pipelining=pipelining) as server:
        server.login = ("alice", "right")
        security = Security.TLS if implicit else Security.STARTTLS
        provider = provider_of(server, certificate, security=security, user="alice", password="right")
        content = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 30_000
        sent = [letter(number, content=content) for number in range(1, 51)]
        assert {receipt.outcome for receipt in provider.deliver(sent)} == {Outcome.ACCEPTED}
        assert len(server.letters) == 50
        assert server.violations == []
        provider.close()


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "starttls"])
def test_a_certificate_that_is_not_trusted_is_a_misconfiguration(
    certificate: Certificate, provider_of: Make, implicit: bool
) -> None:
    with SmtpServer(certificate=certificate, implicit_tls=implicit) as server:
        security = Security.TLS if implicit else Security.STARTTLS
        with pytest.raises(Misconfigured, match=r"not trusted: self.signed"):
            list(provider_of(server, security=security).deliver(letters(1)))
        assert server.commands["MAIL"] == 0


def test_starttls_that_is_not_offered_is_a_misconfiguration(server: SmtpServer, provider_of: Make) -> None:
    with pytest.raises(Misconfigured, match="STARTTLS"):
        list(provider_of(server, security=Security.STARTTLS).deliver(letters(1)))
    assert server.commands["AUTH"] == 0


def test_starttls_refused_for_now_is_unavailable(certificate: Certificate, provider_of: Make) -> None:
    with SmtpServer(certificate=certificate) as server:
        server.always("starttls", Say(454, "4.7.0 not now"))
        with pytest.raises(Unavailable, match="454"):
            list(provider_of(server, certificate, security=Security.STARTTLS).deliver(letters(1)))


def test_plain_text_where_tls_is_expected_is_unavailable(
    server: SmtpServer, certificate: Certificate, provider_of: Make
) -> None:
    with pytest.raises(Unavailable):
        list(provider_of(server, certificate, security=Security.TLS).deliver(letters(1)))
    server.violations.clear()
