import asyncio
import http.client
import queue
import re
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller

from dispatcher.bounces.reading import Mail
from local.inbox import receiving
from local.inbox.letters import take_apart
from local.inbox.receiving import LARGEST_LETTER, Inbox
from local.inbox.store import Received, Store
from local.inbox.text import from_bytes, from_header
from tests.local.helpers import ask, ask_json, free_port
from tests.timing import wait_until
from vestnik.mailings.ledger.models import BounceKind, EventKind


@dataclass
class Running:
    """An inbox in a process of its own."""

    folder: Path
    smtp_port: int
    web_port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, *options: str) -> "Running":
        smtp_port, web_port = free_port(), free_port()
        ports = ["--smtp-port", str(smtp_port), "--web-port", str(web_port)]
        argv = [sys.executable, "-m", "local.inbox", *ports, "--data", str(folder), *options]
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        wait_until(lambda: _listens(smtp_port))
        return cls(folder, smtp_port, web_port, process)

    def take(self, source: bytes | EmailMessage, sender: str = "herald@vestnik.test", to: str = "a@b.test") -> int:
        """Sends a letter; returns its number."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=10) as client:
            client.sendmail(sender, [to], source if isinstance(source, bytes) else source.as_bytes())
        return int(ask_json(self.web_port, "/api/letters?limit=1")[0]["id"])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running.start(tmp_path_factory.mktemp("inbox"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path, kept=3)
    yield store
    store.close()


def a_letter(subject: str = "A subject", sender: str = "Herald <herald@vestnik.test>") -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["Message-ID"] = subject, sender, "<1@vestnik.test>"
    letter.set_content("Plain words, and https://example.test/confirm?a=1&b=2.")
    letter.add_alternative("<p>Rich <b>words</b><script>alert(1)</script></p>", subtype="html")
    return letter


def test_a_letter_is_listed_and_shown_with_all_it_holds(inbox: Running) -> None:
    letter = a_letter("Счёт на март")
    letter.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="счёт.pdf")
    number = inbox.take(letter, to="Client@Example.test")
    (listed,) = ask_json(inbox.web_port, "/api/letters?to=client@example.test")
    assert listed["subject"] == "Счёт на март"
    assert (listed["sender"], listed["recipient"]) == ("herald@vestnik.test", "Client@Example.test")
    assert listed["message_id"] == "<1@vestnik.test>"
    whole = ask_json(inbox.web_port, f"/api/letters/{number}")
    assert whole["text"].startswith("Plain words")
    assert "<b>words</b>" in whole["html"]
    assert "Subject: =?utf-8?" in whole["source"]
    assert whole["attachments"] == [{"name": "счёт.pdf", "kind": "application/pdf", "size": 4}]
    for view, shown in [("text", "Plain words"), ("headers", "Счёт на март"), ("source", "=?utf-8?")]:
        assert shown in ask(inbox.web_port, f"/letters/{number}?view={view}")[1]
    assert ask(inbox.web_port, f"/letters/{number}.eml")[1].startswith("Subject:")


def test_recipients_are_matched_whole(inbox: Running) -> None:
    inbox.take(a_letter(), to="aa@whole.test")
    assert ask_json(inbox.web_port, "/api/letters?to=a@whole.test") == []


def test_links_in_a_text_can_be_followed(inbox: Running) -> None:
    _, page = ask(inbox.web_port, f"/letters/{inbox.take(a_letter())}?view=text")
    assert '<a href="https://example.test/confirm?a=1&amp;b=2" target="_blank" rel="noreferrer noopener">' in page


def test_a_search_finds_addresses_and_subjects_in_any_case(inbox: Running) -> None:
    inbox.take(a_letter("Единственное ПИСЬМО"), to="only.one@example.test")
    for term in ("единственное", "ONLY.ONE"):
        assert len(ask_json(inbox.web_port, f"/api/letters?search={quote(term)}")) == 1
    _, page = ask(inbox.web_port, "/?q=%3Cnobody%3E")
    assert "&lt;nobody&gt;" in page


def test_scripts_in_letters_never_become_scripts_of_the_page(inbox: Running) -> None:
    number = inbox.take(a_letter("<script>alert(1)</script>", '"<img src=x>" <evil@example.test>'))
    for path in ("/", f"/letters/{number}", f"/letters/{number}?view=headers", f"/letters/{number}?view=source"):
        response, page = ask(inbox.web_port, path)
        assert "<script>alert" not in page
        assert "<img src=x>" not in page
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert 'sandbox=""' in ask(inbox.web_port, f"/letters/{number}?view=html")[1]
    response, page = ask(inbox.web_port, f"/letters/{number}/html")
    assert "alert(1)" in page
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox;")
    assert "script-src" not in policy


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\r\n\r\n",
        b"no header at all",
        b"Subject: \xcf\xf0\xe8\xe2\xe5\xf2 \xff\r\nFrom: \xff\r\n\r\n\xff\xfe",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xcf\xf0",
        b"Content-Type: text/plain; charset*=utf-8''%FF%FE\r\n\r\nx",
        b"Content-Type: text/plain; charset=idna\r\n\r\nx" + b"\xc3" * 5000,
        b"Subject: =?utf-8?b?%%%?= =?nonsense?q?=FF?= =?utf-8?q?=\r\n\r\nx",
        b"Subject: " + b"long " * 20_000 + b"\r\n\r\nx",
        b"Subject: \x00\x1b[2J\r\n\r\n\x00",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; filename*=x''%\r\n",
        "From: \u202egro.elpmaxe@live\u202c <a@b>\r\nSubject: \u05e9\u05dc\u05d5\u05dd\r\n\r\nx".encode(),
    ],
    ids=lambda source: source[:24].decode("ascii", "replace"),
)
def test_a_hostile_letter_is_taken_and_shown(inbox: Running, source: bytes) -> None:
    number = inbox.take(source, to="hostile@example.test")
    assert ask_json(inbox.web_port, f"/api/letters/{number}")["source"]
    assert ask(inbox.web_port, "/?q=hostile")[0].status == 200
    for view in ("html", "text", "headers", "source"):
        assert ask(inbox.web_port, f"/letters/{number}?view={view}")[0].status == 200


def test_headers_are_decoded_as_far_as_they_can_be() -> None:
    assert from_header("=?utf-8?b?0J/RgNC4?= =?utf-8?b?0LLQtdGC?= you") == "Привет you"
    assert from_header("=?utf-8?b?0J/R?= =?utf-8?b?gNC4?=") == "При"  # a character cut in two
    assert from_header("=?windows-1251?Q?=CF=F0=E8?= =?koi8-r*ru?B?0NI=?=") == "Припр"
    assert from_header("a\r\n b") == "a b"
    assert from_header("=?utf-8?b?0J=") == "=?utf-8?b?0J="
    assert from_bytes(b"\xcf\xf0", "cp1251") == "Пр"
    assert from_bytes("Пр".encode(), "ascii") == "Пр"


def test_a_letter_nested_too_deeply_says_so() -> None:
    source = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1100))
    assert "cannot be read completely" in take_apart(source).fault


def test_a_letter_above_the_limit_is_refused_for_good(inbox: Running) -> None:
    with (
        smtplib.SMTP("127.0.0.1", inbox.smtp_port, timeout=10) as client,
        pytest.raises(smtplib.SMTPException) as refused,
    ):
        client.sendmail("a@b.test", ["c@d.test"], b"x" * (LARGEST_LETTER + 1))
    assert "552" in str(refused.value)


def test_only_the_own_page_may_clear(inbox: Running) -> None:
    inbox.take(a_letter())
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert ask(inbox.web_port, "/clear", "POST", headers)[0].status == 403
    assert ask(inbox.web_port, "/clear")[0].status == 405
    assert ask_json(inbox.web_port, "/api/letters")
    own = {"Origin": f"http://127.0.0.1:{inbox.web_port}", "Sec-Fetch-Site": "same-origin"}
    assert ask(inbox.web_port, "/clear", "POST", own)[0].status == 303
    assert ask_json(inbox.web_port, "/api/letters") == []
    assert "No letters yet" in ask(inbox.web_port, "/")[1]


def test_another_host_name_is_refused(inbox: Running) -> None:
    assert ask(inbox.web_port, "/", headers={"Host": "rebound.evil.test"})[0].status == 403


def test_pages_are_told_of_a_new_letter(inbox: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", inbox.web_port, timeout=10)
    connection.request("GET", "/news")
    news = connection.getresponse()
    first = news.readline()
    inbox.take(a_letter())
    news.readline()
    assert news.readline() != first
    connection.close()


def test_long_lists_have_pages(store: Store, inbox: Running) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port, timeout=10) as client:
        for number in range(51):
            client.sendmail("a@b.test", [f"paged{number}@d.test"], b"Subject: paged\r\n\r\nx")
    assert "Page 1 of 2" in ask(inbox.web_port, "/?q=paged")[1]
    assert "paged0@d.test" in ask(inbox.web_port, "/?q=paged&page=2")[1]
    assert "paged0@d.test" in ask(inbox.web_port, "/?q=paged&page=99")[1]


def test_what_was_answered_with_250_outlives_a_kill(tmp_path: Path) -> None:
    first = Running.start(tmp_path)
    first.take(a_letter("kept"))
    first.stop(signal.SIGKILL)
    second = Running.start(tmp_path)
    assert [letter["subject"] for letter in ask_json(second.web_port, "/api/letters")] == ["kept"]
    second.stop()


def test_the_oldest_letters_make_room(store: Store) -> None:
    for number in range(5):
        store.add([Received("a@b", ("c@d",), b"Subject: %d\r\n\r\n" % number)])
    assert [letter.subject for letter in store.newest()] == ["4", "3", "2"]
    assert store.count() == 3
    assert store.get(1) is None


def test_letters_that_come_together_share_a_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    add = store.add
    monkeypatch.setattr(store, "add", lambda letters: (commits.append(len(letters)), add(letters)))

    async def take_three() -> None:
        inbox = Inbox(store)
        committing = asyncio.create_task(inbox.commit_forever())
        await asyncio.gather(*(inbox.keep(Received("a@b", ("c@d",), b"x")) for _ in range(3)))
        committing.cancel()

    asyncio.run(take_three())
    assert commits == [3]
    assert store.count() == 3


def test_a_letter_that_cannot_be_kept_is_to_be_tried_again(store: Store) -> None:
    async def send() -> tuple[int, bytes]:
        inbox = Inbox(store)
        committing = asyncio.create_task(inbox.commit_forever())
        port = free_port()
        server = await receiving.listen(inbox, "127.0.0.1", port)
        try:
            return await asyncio.to_thread(_answer_to_a_letter, port)
        finally:
            server.close()
            committing.cancel()

    store._connection.execute("DROP TABLE sources")
    assert asyncio.run(send())[0] == 452


def test_one_connection_too_many_is_told_so(store: Store) -> None:
    async def connect_twice() -> bytes:
        port = free_port()
        server = await receiving.listen(Inbox(store), "127.0.0.1", port, limit=1)
        first, first_writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await first.readline()).startswith(b"220")
        second, second_writer = await asyncio.open_connection("127.0.0.1", port)
        greeting = await second.readline()
        for writer in (first_writer, second_writer):
            writer.close()
            await writer.wait_closed()
        server.close()
        return greeting

    assert asyncio.run(connect_twice()).startswith(b"421")


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        ("gone@refused.example", (550, b"5.1.1")),
        ("Later@BUSY.example", (451, b"4.3.0")),
        ("a@not-busy.example", (250, b"2.1.5")),
    ],
)
def test_two_domains_are_refused_as_a_real_service_does(
    inbox: Running, recipient: str, answer: tuple[int, bytes]
) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port, timeout=10) as client:
        client.ehlo()
        client.mail("a@b.test")
        code, words = client.rcpt(recipient)
    assert (code, words[:5]) == answer


def test_a_refused_recipient_does_not_keep_a_letter_from_the_others(inbox: Running) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port, timeout=10) as client:
        refused = client.sendmail("a@b.test", ["gone@refused.example", "there@refused.test"], a_letter().as_bytes())
    assert list(refused) == ["gone@refused.example"]
    (letter,) = ask_json(inbox.web_port, "/api/letters?to=there@refused.test")
    assert letter["recipient"] == "there@refused.test"
    assert ask_json(inbox.web_port, "/api/letters?to=gone@refused.example") == []


def test_the_page_says_who_is_refused(inbox: Running) -> None:
    _, page = ask(inbox.web_port, "/")
    for domain in receiving.ANSWERS:
        assert domain in page


def _answer_to_a_letter(port: int) -> tuple[int, bytes]:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.ehlo()
        client.mail("a@b.test")
        client.rcpt("c@d.test")
        return client.data(b"x")


def test_behind_a_proxy_it_is_shown_under_the_path_that_the_proxy_says(inbox: Running) -> None:
    letter = inbox.take(a_letter())
    addresses = re.compile(r'(?:href|src|action)="(/[^"]*)"')
    for path in ("/", f"/letters/{letter}"):
        plain = ask(inbox.web_port, path)[1]
        shown = ask(inbox.web_port, path, headers={"X-Forwarded-Prefix": "/inbox"})[1]
        assert [f"/inbox{each}" for each in addresses.findall(plain)] == addresses.findall(shown)
        assert 'data-root="/inbox"' in shown
        assert ask(inbox.web_port, path, headers={"X-Forwarded-Prefix": '"><script>'})[1] == plain
    answer, _text = ask(inbox.web_port, "/clear", "POST", {"X-Forwarded-Prefix": "/inbox"})
    assert answer.headers["Location"] == "/inbox/"


class Receiver:
    """Takes what the inbox sends back, as the server of BOUNCE_DOMAIN does."""

    def __init__(self) -> None:
        self.taken: queue.SimpleQueue[tuple[str, list[str], bytes]] = queue.SimpleQueue()
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.refuses = ""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 Ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.taken.put((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 Ok"

    def __enter__(self) -> "Receiver":
        self._controller.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._controller.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._controller.port}"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def returning(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An inbox that sends back."""
    running = Running.start(tmp_path_factory.mktemp("returning"), "--bounces", receiver.address)
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("domain", "kind", "status"),
    [("bounced.example", BounceKind.HARD, "5.1.1"), ("full.example", BounceKind.SOFT, "5.2.2")],
)
def test_a_letter_to_these_domains_is_taken_and_bounces(returning, receiver, domain, kind, status) -> None:
    assert returning.take(a_letter(), sender="return-abc@bounces.test", to=f"Ann@{domain}")
    sender, recipients, source = receiver.taken.get(timeout=20)
    assert (sender, recipients) == ("<>", ["return-abc@bounces.test"])
    reading = Mail(source).read()
    assert (reading.kind, reading.bounce, reading.status) == (EventKind.BOUNCED, kind, status)
    assert f"Ann@{domain}" in reading.answer


def test_the_person_at_complained_example_complains_to_the_address_for_it(returning, receiver) -> None:
    returning.take(a_letter(), sender="return-abc@bounces.test", to="ann@complained.example")
    _sender, recipients, source = receiver.taken.get(timeout=20)
    assert recipients == ["complaints@bounces.test"]
    mail = Mail(source)
    assert mail.read().kind is EventKind.COMPLAINED
    assert "return-abc@bounces.test" in set(mail.addresses())


@pytest.mark.parametrize(
    ("order", "to"), [("bounce", "return-x@bounces.test"), ("complaint", "complaints@bounces.test")]
)
def test_on_a_letters_page_it_happens_on_a_click(returning, receiver, order, to) -> None:
    number = returning.take(a_letter(), sender="return-x@bounces.test", to="somebody@example.test")
    page = ask(returning.web_port, f"/letters/{number}")[1]
    assert f'value="{order}"' in page
    answer, _ = ask(returning.web_port, f"/letters/{number}/return", "POST", form={"order": order})
    assert answer.status == 303
    assert receiver.taken.get(timeout=20)[1] == [to]
    assert "Sent back" in ask(returning.web_port, answer.headers["Location"])[1]


def test_who_refuses_what_comes_back_is_quoted(returning, receiver) -> None:
    number = returning.take(a_letter(), sender="forged@bounces.test")
    receiver.refuses = "550 5.1.1 not ours"
    answer, said = ask(returning.web_port, f"/letters/{number}/return", "POST", form={"order": "bounce"})
    receiver.refuses = ""
    assert (answer.status, said) == (502, "It was not taken: 550 5.1.1 not ours\n")


def test_only_its_own_page_may_send_back(returning) -> None:
    number = returning.take(a_letter())
    path = f"/letters/{number}/return"
    foreign = {"Origin": "https://evil.example"}
    assert ask(returning.web_port, path, "POST", foreign, {"order": "bounce"})[0].status == 403
    assert ask(returning.web_port, path, "POST", form={"order": "everything"})[0].status == 400
    assert ask(returning.web_port, "/letters/999999/return", "POST", form={"order": "bounce"})[0].status == 404


def test_an_inbox_that_is_told_no_server_sends_nothing_back(inbox) -> None:
    number = inbox.take(a_letter(), to="ann@bounced.example")
    assert "Bounce" not in ask(inbox.web_port, f"/letters/{number}")[1]
    assert ask(inbox.web_port, f"/letters/{number}/return", "POST", form={"order": "bounce"})[0].status == 400
