"""What becomes of a letter over HTTP, and how connections are kept. Misbehaviour step by step is in test_faults.py."""

import gzip
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest

from dispatcher.providers.base import Letter, Outcome, Receipt
from dispatcher.providers.errors import Misconfigured, Unavailable
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.url import HttpConfig
from tests.providers.conftest import TIMEOUT, connected, dialled_in_time, drain, letter, letters
from tests.scripted_servers import Answer, Certificate, Drop, Endless, Hang, HttpServer, Late, Raw
from tests.timing import in_time, wait_until

TOKEN = "a-very-secret-token"
Make = Callable[..., HttpProvider]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(token=TOKEN) as running:
        yield running
    assert running.violations == []


@pytest.fixture
def provider_of() -> Iterator[Make]:
    made: list[HttpProvider] = []

    def make(server: HttpServer, certificate: Certificate | None = None, **options: object) -> HttpProvider:
        scheme = "http" if server.certificate is None else "https"
        config = HttpConfig(scheme, server.host, server.port, server.path, TOKEN, connections=3, timeout=TIMEOUT)
        made.append(HttpProvider(replace(config, **options), tls=certificate and certificate.trusted()))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def provider(server: HttpServer, provider_of: Make) -> HttpProvider:
    return provider_of(server)


def deliver_one(provider: HttpProvider, sent: Letter | None = None) -> Receipt:
    (receipt,) = provider.deliver([sent or letter()])
    return receipt


def test_a_letter_is_one_post_with_token_and_key(server: HttpServer, provider: HttpProvider) -> None:
    sent = letter(7, content="Subject: x\r\n\r\nпривет\r\n".encode())
    receipt = deliver_one(provider, sent)
    assert (receipt.outcome, receipt.code, receipt.answer) == (Outcome.ACCEPTED, 200, "id 7@letters.example")
    (received,) = server.letters
    assert (received.sender, received.recipient, received.content) == (sent.sender, sent.recipient, sent.content)
    assert received.headers["authorization"] == f"Bearer {TOKEN}"
    assert received.headers["idempotency-key"] == sent.key
    assert server.requests == 1


def test_the_null_sender_is_an_empty_string(server: HttpServer, provider: HttpProvider) -> None:
    sent = letter()
    deliver_one(provider, replace(sent, sender=""))
    assert server.letters[0].sender == ""


def test_a_large_letter_arrives_whole(server: HttpServer, provider: HttpProvider) -> None:
    content = b"Subject: large\r\n\r\n" + (b".x" * 35 + b"\r\n") * 100_000
    assert deliver_one(provider, letter(content=content)).outcome is Outcome.ACCEPTED
    assert server.letters[0].content == content


def test_a_letter_too_large_for_the_service_has_its_answer_though_it_was_not_read(
    server: HttpServer, provider: HttpProvider
) -> None:
    server.once("head", Answer(413, {"message": "too large"}, close=True))
    receipt = deliver_one(provider, letter(content=b"x" * 20_000_000))
    assert (receipt.outcome, receipt.code) in ((Outcome.PERMANENT, 413), (Outcome.UNKNOWN, None))
    assert deliver_one(provider, letter(2)).outcome is Outcome.ACCEPTED


def test_a_throttling_service_is_obeyed(server: HttpServer, provider: HttpProvider) -> None:
    server.once("answer", Answer(429, {"message": "slower"}, {"Retry-After": "7"}))
    receipt = deliver_one(provider)
    assert (receipt.outcome, receipt.code, receipt.retry_after) == (Outcome.TEMPORARY, 429, 7)
    assert receipt.throttled


@pytest.mark.parametrize("status", [404, 405, 410])
def test_an_answer_about_the_address_is_doubtful(server: HttpServer, provider: HttpProvider, status: int) -> None:
    server.once("answer", Answer(status, "nothing here"))
    receipt = deliver_one(provider)
    assert (receipt.outcome, receipt.doubtful, receipt.answer) == (Outcome.PERMANENT, True, "nothing here")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401, {"message": "who are you?"}), "refuses the token: 401 who are you"),
        (Answer(403, "<h1>Forbidden</h1>"), "refuses the token: 403 <h1>Forbidden</h1>"),
        (Answer(407, ""), "refuses the token: 407"),
        (Answer(302, "", {"Location": "https://elsewhere.example/"}), "another address: 302 .*https://elsewhere.example/"),
        (Answer(308, ""), "another address: 308"),
    ],
)  # fmt: skip
def test_a_refused_token_or_a_redirect_returns_the_letters_and_is_raised(
    server: HttpServer, provider: HttpProvider, answer: Answer, told: str
) -> None:
    server.always("answer", answer)
    receipts: list[Receipt] = []
    with pytest.raises(Misconfigured, match=told):
        drain(provider.deliver(letters(20)), receipts)
    assert {receipt.outcome for receipt in receipts} == {Outcome.RETURNED}
    assert len(receipts) <= 3
    assert server.requests == len(receipts), "a redirect was followed"


def test_every_lane_hears_that_the_token_is_refused(server: HttpServer, provider_of: Make) -> None:
    provider = provider_of(server, connections=1)
    server.hold()
    server.always("answer", Answer(401, ""))
    errors: list[Misconfigured] = []

    def lane() -> None:
        try:
            list(provider.deliver(letters(20)))
        except Misconfigured as error:
            errors.append(error)

    lanes = [threading.Thread(target=lane) for _ in range(3)]
    for thread in lanes:
        thread.start()
    server.wait_until(lambda: len(server.held) == 1)
    wait_until(lambda: provider._pool().lanes.waiting == 3)
    server.release()
    for thread in lanes:
        thread.join(5)
    assert len(errors) == 3
    assert server.requests == 1


def test_the_token_is_told_nowhere(
    server: HttpServer, provider: HttpProvider, caplog: pytest.LogCaptureFixture
) -> None:
    server.once("answer", Answer(400, {"message": f"bad token {TOKEN}"}))
    told = deliver_one(provider).answer
    server.once("answer", Answer(401, {"message": f"bad token {TOKEN}"}))
    with caplog.at_level(logging.DEBUG), pytest.raises(Misconfigured) as refused:
        list(provider.deliver([letter(2)]))
    told += str(refused.value) + caplog.text + provider.name + repr(provider._running)
    assert TOKEN not in told
    assert "bad token ***" in told


@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"message": "\\ud800"}', b"\x1b[31mred\x00", gzip.compress(b"x")],
    ids=["no end", "half a character", "control characters", "packed"],
)
def test_whatever_a_service_says_can_be_written_down(server: HttpServer, provider: HttpProvider, body: bytes) -> None:
    server.once("answer", Answer(400, body))
    answer = deliver_one(provider).answer
    assert answer.isprintable()
    assert len(answer.encode()) <= 1024


# Connections


def test_connections_are_kept_between_letters(server: HttpServer, provider_of: Make) -> None:
    provider = provider_of(server, connections=1)
    assert len(list(provider.deliver(letters(20)))) == 20
    assert server.connections_made == 1


def test_a_service_that_closes_after_each_letter_is_followed(server: HttpServer, provider: HttpProvider) -> None:
    server.always("answer", Answer(close=True))
    assert {receipt.outcome for receipt in provider.deliver(letters(30))} == {Outcome.ACCEPTED}
    assert len(server.letters) == 30


def test_a_service_that_closes_idle_connections_costs_no_letter(server: HttpServer, provider_of: Make) -> None:
    provider = provider_of(server, connections=1)
    for number in range(1, 6):
        assert deliver_one(provider, letter(number)).outcome is Outcome.ACCEPTED
        server.drop_connections()
        wait_until(lambda: not connected(provider))
    assert server.connections_made == 5
    assert server.requests == 5


def test_a_connection_closed_under_a_letter_leaves_it_unknown_and_never_posts_it_twice(
    server: HttpServer, provider_of: Make
) -> None:
    provider = provider_of(server, connections=1)
    assert deliver_one(provider, letter(1)).outcome is Outcome.ACCEPTED
    server.once("head", Drop())
    receipt = deliver_one(provider, letter(2))
    assert (receipt.outcome, receipt.code) == (Outcome.UNKNOWN, None)
    assert server.requests == 2
    assert deliver_one(provider, letter(3)).outcome is Outcome.ACCEPTED


@pytest.mark.usefixtures("patient")
def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_letters(
    server: HttpServer, provider_of: Make
) -> None:
    provider = provider_of(server, connections=1)
    assert deliver_one(provider, letter(1)).outcome is Outcome.ACCEPTED
    server.call(lambda: [each.transport.write(Answer().written()) for each in server.open])
    time.sleep(0.05)
    server.once("answer", Answer(422, {"message": "not this one"}))
    assert deliver_one(provider, letter(2)).outcome is Outcome.PERMANENT
    server.once("answer", Raw(Answer().written() * 2))
    assert deliver_one(provider, letter(3)).outcome is Outcome.ACCEPTED
    server.once("answer", Answer(422, {"message": "not this one"}))
    assert deliver_one(provider, letter(4)).outcome is Outcome.PERMANENT


def test_a_service_that_restarts_in_the_middle_loses_no_receipt(server: HttpServer, provider: HttpProvider) -> None:
    server.always("answer", Late(0.002))
    ids: list[int] = []
    outcomes: set[Outcome] = set()
    for receipt in provider.deliver(letters(300)):
        ids.append(receipt.letter.delivery_id)
        outcomes.add(receipt.outcome)
        if len(ids) == 100:
            server.drop_connections()
    assert sorted(ids) == list(range(1, 301))
    assert outcomes <= {Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.RETURNED}
    assert len(server.letters) >= 290


def test_a_proxy_before_a_service_that_is_away_costs_no_letter(server: HttpServer, provider: HttpProvider) -> None:
    server.always("connect", Drop())
    pulled: list[Letter] = []

    def source() -> Iterator[Letter]:
        for each in letters(3):
            pulled.append(each)
            yield each

    with pytest.raises(Unavailable, match="closed"):
        list(provider.deliver(source()))
    assert pulled == []


@pytest.mark.usefixtures("patient")
def test_a_connection_that_was_closed_is_not_replaced_by_one_that_nobody_watches(
    server: HttpServer, provider_of: Make
) -> None:
    provider = provider_of(server, connections=1)
    assert deliver_one(provider, letter(1)).outcome is Outcome.ACCEPTED
    server.always("connect", Raw(Answer(400, close=True).written(), close=True))

    def source() -> Iterator[Letter]:
        server.drop_connections()
        wait_until(lambda: not connected(provider))
        yield letter(2)

    receipts: list[Receipt] = []
    with pytest.raises(Unavailable, match="closed"):
        drain(provider.deliver(source()), receipts)
    assert [receipt.outcome for receipt in receipts] == [Outcome.RETURNED]


def test_a_few_interim_answers_are_heard_and_endless_ones_are_not(server: HttpServer, provider_of: Make) -> None:
    provider = provider_of(server, connections=1)
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    server.once("answer", Raw(hint * 10 + Answer().written()))
    assert deliver_one(provider, letter(1)).outcome is Outcome.ACCEPTED
    server.once("answer", Endless(hint))
    receipt = deliver_one(provider, letter(2))
    assert (receipt.outcome, receipt.code) == (Outcome.UNKNOWN, None)
    assert "interim" in receipt.answer
    in_time(receipt.duration, 1)
    assert deliver_one(provider, letter(3)).outcome is Outcome.ACCEPTED


def test_no_proxy_of_the_environment_and_no_cookie_is_used(
    server: HttpServer, provider: HttpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.always("answer", Answer(headers={"Set-Cookie": "a=b; Path=/"}))
    assert {receipt.outcome for receipt in provider.deliver(letters(5))} == {Outcome.ACCEPTED}


def test_a_hanging_letter_holds_only_its_own_connection(server: HttpServer, provider_of: Make) -> None:
    provider = provider_of(server, connections=2, timeout=1)
    server.always("answer", Hang(deaf=True), recipient="client1@example.org")
    began = time.monotonic()
    receipts = {receipt.letter.delivery_id: receipt for receipt in provider.deliver(letters(50))}
    assert receipts[1].outcome is Outcome.UNKNOWN
    assert {receipts[number].outcome for number in range(2, 51)} == {Outcome.ACCEPTED}
    in_time(max(receipts[number].began for number in range(2, 51)) - began, 0.9)


def test_a_service_that_stops_reading_leaves_no_connection_behind(server: HttpServer, provider_of: Make) -> None:
    provider = provider_of(server, connections=1, timeout=0.3)
    server.always("head", Hang(deaf=True))
    for number in range(3):
        with dialled_in_time():
            assert deliver_one(provider, letter(number, content=b"x" * 5_000_000)).outcome is Outcome.UNKNOWN
    ours = [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == server.port]
    assert len(ours) <= 1
    began = time.monotonic()
    provider.close()
    in_time(time.monotonic() - began, 1)


# TLS


def test_letters_go_over_tls(certificate: Certificate, provider_of: Make) -> None:
    with HttpServer(token=TOKEN, certificate=certificate) as server:
        provider = provider_of(server, certificate)
        content = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 30_000
        sent = [letter(number, content=content) for number in range(1, 51)]
        assert {receipt.outcome for receipt in provider.deliver(sent)} == {Outcome.ACCEPTED}
        assert len(server.letters) == 50
        assert server.connections_made <= 3
        assert server.violations == []
        provider.close()


def test_a_certificate_that_is_not_trusted_is_a_misconfiguration(certificate: Certificate, provider_of: Make) -> None:
    with HttpServer(certificate=certificate) as server:
        with pytest.raises(Misconfigured, match=r"not trusted: self.signed"):
            list(provider_of(server).deliver(letters(1)))
        assert server.requests == 0


def test_a_certificate_of_another_name_is_a_misconfiguration(certificate: Certificate, provider_of: Make) -> None:
    with HttpServer(certificate=certificate, host="127.0.0.2") as server:
        with pytest.raises(Misconfigured, match=r"not trusted: IP address mismatch"):
            list(provider_of(server, certificate).deliver(letters(1)))
        assert server.requests == 0


def test_plain_text_where_tls_is_expected_is_unavailable(
    server: HttpServer, certificate: Certificate, provider_of: Make
) -> None:
    server.always("connect", Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(Unavailable, match="TLS failed"):
        list(provider_of(server, certificate, scheme="https").deliver(letters(1)))
