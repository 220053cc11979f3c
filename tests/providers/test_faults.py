"""Nothing foreign gets out of a provider, and whatever a service does has a fixed meaning within a bounded time."""

import asyncio
import inspect
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import aiohttp
import aiosmtplib
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiosmtplib import errors as smtp_exceptions

from dispatcher.providers.base import Outcome, Provider, Receipt
from dispatcher.providers.errors import Misconfigured, ProviderError, Unavailable
from dispatcher.providers.http import HttpProvider, faults
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import SERVICES, HttpConfig, Security, SmtpConfig
from tests.providers.conftest import dialled_in_time, drain, letter
from tests.scripted_servers import (
    APIS,
    Answer,
    Certificate,
    Drip,
    Drop,
    Endless,
    Hang,
    HttpServer,
    Keep,
    Late,
    Raw,
    Reset,
    Say,
    SmtpServer,
)
from tests.timing import in_time

TIMEOUT = 0.3
STEPS_OF_A_LETTER = 5
A, T, P, U, R = Outcome.ACCEPTED, Outcome.TEMPORARY, Outcome.PERMANENT, Outcome.UNKNOWN, Outcome.RETURNED

# Every class of exception that the libraries underneath may raise, found by inspection, so that a new one of a new
# version is tested without anybody's knowing of it; what cannot be made here fails the test.


def subclasses(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for each in root.__subclasses__():
        yield from subclasses(each)


def defined_in(module: ModuleType) -> Iterator[type[BaseException]]:
    for _, each in inspect.getmembers(module, inspect.isclass):
        if issubclass(each, Exception) and each.__module__ == module.__name__:
            yield each


STANDARD = [
    *(each for each in subclasses(OSError) if each.__module__ in ("builtins", "socket", "ssl")),
    *(each for each in subclasses(UnicodeError) if each.__module__ in ("builtins", "encodings")),
    *(asyncio.IncompleteReadError, asyncio.TimeoutError, EOFError, ValueError),
]
ELSEWHERE = {client_exceptions.WSMessageTypeError}
"""Raised by websockets alone, which we do not speak."""
SMTP_CLASSES = [*STANDARD, *defined_in(smtp_exceptions)]
HTTP_CLASSES = [
    *STANDARD,
    *(each for each in defined_in(client_exceptions) if each not in ELSEWHERE),
    *defined_in(http_exceptions),
]

KEY = aiohttp.client_reqrep.ConnectionKey("mail.example", 443, True, True, None, None, None, None)
ARGUMENTS: dict[str, Any] = {
    "message": "words", "code": 550, "sender": "a@b.example", "recipient": "c@d.example", "recipients": [],
    "connection_key": KEY, "os_error": OSError(111, "no"), "certificate_error": ssl.SSLCertVerificationError(1, "x"),
    "path": "/x", "request_info": None, "history": (), "expected": b"a", "got": b"b", "host": "mail.example",
    "port": 443, "url": "http://mail.example/a-secret-path", "line": b"x", "hdr": b"x",
}  # fmt: skip
BUILT_IN: dict[type[BaseException], tuple[Any, ...]] = {
    UnicodeDecodeError: ("utf-8", b"\xff", 0, 1, "words"),
    UnicodeEncodeError: ("idna", "ж", 0, 1, "words"),
    UnicodeTranslateError: ("ж", 0, 1, "words"),
    asyncio.IncompleteReadError: (b"", 1),
}


def made(kind: type[BaseException]) -> Exception:
    if kind in BUILT_IN:
        arguments: Iterable[Any] = BUILT_IN[kind]
    elif kind.__module__ in ("builtins", "socket", "ssl", "encodings"):
        arguments = (104, "words") if issubclass(kind, OSError) else ("words",)
    elif "__init__" not in vars(kind) and not any("__init__" in vars(base) for base in kind.__mro__[1:-4]):
        arguments = ("words",)
    else:
        needed = [
            each
            for each in inspect.signature(kind).parameters.values()
            if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
        arguments = [ARGUMENTS[each.name] for each in needed]
    error = kind(*arguments)
    assert isinstance(error, Exception)
    return error


def named(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def one_receipt(provider: Provider) -> tuple[Receipt | None, ProviderError | None]:
    """What becomes of a letter, and what is raised after or instead."""
    receipts: list[Receipt] = []
    raised = None
    try:
        drain(provider.deliver([letter()]), receipts)
    except ProviderError as error:
        raised = error
    assert len(receipts) <= 1
    return (receipts[0] if receipts else None), raised


@pytest.mark.parametrize("kind", SMTP_CLASSES, ids=named)
def test_every_error_of_an_smtp_dial_becomes_ours(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise made(kind)

    monkeypatch.setattr(aiosmtplib.SMTP, "connect", connect)
    provider = SmtpProvider(SmtpConfig("mail.example", 25))
    receipt, raised = one_receipt(provider)
    provider.close()
    assert receipt is None
    assert isinstance(raised, (Unavailable, Misconfigured))
    assert "nobody thought of" not in str(raised)
    assert "see the log" not in str(raised)


@pytest.mark.parametrize("kind", SMTP_CLASSES, ids=named)
def test_whatever_breaks_an_smtp_connection_the_letter_has_its_receipt(kind: type[Exception]) -> None:
    with SmtpServer() as server:
        provider = SmtpProvider(SmtpConfig("127.0.0.1", server.port, connections=1))
        server.hold()
        pool = provider._pool()

        def break_it() -> None:
            server.wait_until(lambda: len(server.held) == 1)
            for session in list(pool._connections):
                pool._loop.call_soon_threadsafe(session.connection_lost, made(kind))  # type: ignore[attr-defined]

        with ThreadOf(break_it):
            receipt, _ = one_receipt(provider)
        provider.close()
    assert receipt is not None
    assert receipt.outcome is U


@pytest.mark.parametrize("kind", HTTP_CLASSES, ids=named)
def test_every_error_of_an_http_dial_becomes_ours(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise made(kind)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
    provider = HttpProvider(HttpConfig("http", "mail.example", 80, "/a-secret-path", "a-token"))
    receipt, raised = one_receipt(provider)
    provider.close()
    assert receipt is None
    assert isinstance(raised, (Unavailable, Misconfigured))
    assert "see the log" not in str(raised)
    assert "a-secret-path" not in str(raised)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("begun", [False, True], ids=["before the content", "after"])
@pytest.mark.parametrize("kind", HTTP_CLASSES, ids=named)
def test_every_error_of_an_http_request_becomes_a_receipt(
    kind: type[Exception], begun: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def post(*_: object, data: Any, **__: object) -> None:
        if begun:
            data._begun()
        raise made(kind)

    with HttpServer() as server:
        monkeypatch.setattr(aiohttp.ClientSession, "post", post)
        config = HttpConfig("http", "127.0.0.1", server.port, "/a-secret-path", "a-token")
        provider = HttpProvider(config)
        receipt, _ = one_receipt(provider)
        provider.close()
    assert receipt is not None
    assert (receipt.outcome, receipt.code) == (U if begun else T, None)
    assert "a-secret-path" not in receipt.answer
    assert caplog.text == ""


def test_a_fault_that_nobody_thought_of_still_gives_a_receipt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def post(*_: object, data: Any, **__: object) -> None:
        data._begun()
        raise LookupError("a bug")

    with HttpServer() as server:
        monkeypatch.setattr(aiohttp.ClientSession, "post", post)
        provider = HttpProvider(HttpConfig("http", "127.0.0.1", server.port, "/", "a-token"))
        receipt, _ = one_receipt(provider)
        provider.close()
    assert receipt is not None
    assert receipt.outcome is U
    assert "nobody thought of" in caplog.text


def test_the_enumeration_finds_what_it_should() -> None:
    names = {each.__name__ for each in HTTP_CLASSES} | {each.__name__ for each in SMTP_CLASSES}
    assert names >= {
        *("ConnectionResetError", "gaierror", "SSLZeroReturnError", "SSLCertVerificationError", "UnicodeDecodeError"),
        *("ServerDisconnectedError", "ClientPayloadError", "ClientConnectorDNSError", "LineTooLong", "InvalidURL"),
        *("SMTPAuthenticationError", "SMTPReadTimeoutError", "SMTPConnectResponseError", "TimeoutError"),
    }
    assert issubclass(aiohttp.TooManyRedirects, faults.FOREIGN)


class ThreadOf:
    """Something to be done meanwhile; what goes wrong in it is raised at the end."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work

    def __enter__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.executor = ThreadPoolExecutor(1)
        self.future = self.executor.submit(self.work)

    def __exit__(self, *_: object) -> None:
        self.future.result(10)
        self.executor.shutdown()


# The table: at which step, what the service does, what becomes of the letter. With an outcome of None no letter was
# pulled, or none was left to be.


@dataclass(frozen=True)
class Case:
    step: str
    action: Any
    outcome: Outcome | None
    code: int | None = None
    raised: type[ProviderError] | None = None
    doubtful: bool = False
    retry_after: float | None = None
    options: tuple[tuple[str, Any], ...] = ()
    """Of the server."""
    size: int = 100
    """Of the letter's content."""
    hurried: bool = False
    """Is the time limit reached, though something came?"""

    @property
    def timeout(self) -> float:
        """Short only where time must run out: a busy machine may be slow to give a right answer."""
        action = self.action.then if isinstance(self.action, Keep) else self.action
        return TIMEOUT if self.hurried or isinstance(action, Hang | Drip) else 10 * TIMEOUT

    def __str__(self) -> str:
        told = str(self.action).replace("\n", " ").replace("\r", " ")
        options = "".join(f" {name}" for name, _ in self.options)
        return f"{self.step}{options}: {told[:60]}"


def no_answer_over_smtp() -> Iterator[tuple[Any, bool]]:
    """What is no readable answer at whatever step."""
    yield from (Drop(), Hang())
    for garbage in (b"\x00\xff gibberish\r\n", b"999 no such code\r\n", b"2\r\n", b"250-first\r\n251 other\r\n"):
        yield Raw(garbage)
    yield Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    yield Endless(b"x")
    yield Endless(b"250-and furthermore\r\n")
    yield Drip(b"250 ok, but slowly\r\n", every=0.1)


LOGIN = (("login", ("alice", "right")),)
TLS = (("certificate", True),)
WITHOUT = (("pipelining", False),)

DIALLING = [
    *(
        Case(step, action, None, raised=Unavailable)
        for step in ("greeting", "ehlo")
        for action in no_answer_over_smtp()
    ),
    *(Case("auth", action, None, raised=Unavailable, options=LOGIN) for action in no_answer_over_smtp()),
    *(Case("starttls", action, None, raised=Unavailable, options=TLS) for action in no_answer_over_smtp()),
    *(Case("greeting", Say(code), None, raised=Unavailable) for code in (421, 450, 554)),
    *(Case("ehlo", Say(code), None, raised=Unavailable) for code in (421, 450, 550, 554)),
    *(Case("starttls", Say(code), None, raised=Unavailable, options=TLS) for code in (421, 454, 501)),
    *(Case(step, Say(code), None, raised=Misconfigured) for step in ("greeting", "ehlo") for code in (530, 538)),
    Case("starttls", Raw(b"220 go on, but I do not\r\n"), None, raised=Unavailable, options=TLS, hurried=True),
    *(Case("auth", Say(code), None, raised=Misconfigured, options=LOGIN) for code in (501, 530, 534, 535, 538)),
    *(Case("auth", Say(code), None, raised=Unavailable, options=LOGIN) for code in (421, 432, 454)),
    Case("auth", Raw(b"334 bm90IG5vdw==\r\n"), None, raised=Unavailable, options=LOGIN),
]

HANDING_OVER = [
    case
    for options in ((), WITHOUT)
    for case in (
        *(
            Case(step, action, T, options=options)
            for step in ("mail", "rcpt", "data")
            for action in no_answer_over_smtp()
        ),
        *(Case("content", action, U, options=options) for action in no_answer_over_smtp()),
        *(Case("content", Keep(action), U, options=options) for action in (Drop(), Hang())),
        Case("mid-content", Drop(), U, options=options, size=2_000_000),
        Case("mid-content", Hang(), U, options=options),
        *(
            Case(step, Say(code, close=code == 421), T, code, options=options)
            for step in ("mail", "rcpt", "data", "content")
            for code in (421, 450, 451, 452, 454, 499)
        ),
        *(
            Case(step, Say(code), P, code, options=options, doubtful=True)
            for step in ("mail", "rcpt", "data", "content")
            for code in (500, 501, 550, 552, 554, 571)
        ),
        *(
            Case(step, Say(code), R, code, Misconfigured, options=options)
            for step in ("mail", "rcpt", "data", "content")
            for code in (530, 534, 535, 538)
        ),
        *(
            Case(step, Say(550, "no such user\nnor any other\nhere"), P, 550, doubtful=step == "mail", options=options)
            for step in ("mail", "rcpt", "data", "content")
        ),
        *(Case(step, Say(250, "so far\nso good"), A, 250, options=options) for step in ("mail", "rcpt", "content")),
        Case("mail", Raw(b"354 nonsense\r\n"), T, options=options),
        Case("rcpt", Raw(b"354 nonsense\r\n"), T, options=options),
        Case("data", Raw(b"250 nonsense\r\n"), T, options=options),
        Case("content", Raw(b"354 nonsense\r\n"), U, options=options),
        *(Case(step, Late(0.1), A, 250, options=options) for step in ("mail", "rcpt", "data", "content")),
    )
]


@pytest.mark.parametrize("case", [*DIALLING, *HANDING_OVER], ids=str)
def test_whatever_an_smtp_service_does(case: Case, certificate: Certificate) -> None:
    options = {name: certificate if name == "certificate" else value for name, value in case.options}
    with SmtpServer(**options) as server:
        server.always(case.step, case.action)
        config = SmtpConfig("127.0.0.1", server.port, connections=1, timeout=case.timeout)
        if case.options == TLS:
            config = replace(config, security=Security.STARTTLS)
        if case.options == LOGIN:
            config = replace(config, user="alice", password="right")
        check(SmtpProvider(config, tls=certificate.trusted()), case)


FIT = Answer().written()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS_EXTENSION = Endless(b"x", first=CHUNKED + b"1;")


def no_answer_over_http() -> Iterator[Any]:
    yield from (Drop(), Reset(), Hang(deaf=True))
    yield Drip(FIT, every=0.1)
    yield Drip(b"\r\n" * 1000, every=0.05)
    for garbage in (
        b"\x00\xff gibberish\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 " + b"2" * 10_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
        CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"5\r\n{}",
        CHUNKED + b"2\r\n{}garbage\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 500\r\n\r\n{",
    ):
        yield Raw(garbage, close=True)  # fmt: skip
    yield Endless(b"x")
    yield Endless(b"HTTP/1.1 100 Continue\r\n\r\n")
    yield Endless(b"X-More: and furthermore\r\n", first=HEAD)
    yield Endless(b"x", first=HEAD + b"\r\n")
    yield Endless(b"1\r\n \r\n", first=CHUNKED)
    yield ENDLESS_EXTENSION


UNREADABLE = [
    Answer(body="<html><body>It works!</body></html>", headers={"Content-Type": "text/html"}),
    Answer(body=b""), Answer(204, body=b""), Answer(body=b'{"status": "accepted"'), Answer(body={"status": "maybe"}),
    Answer(body=[]), Answer(body=b'{"status": "accepted", "filling": "' + b"x" * 1_000_000 + b'"}'),
    Answer(body=b"[" * 30_000), Answer(body='{"status": "accepted"}'.encode("utf-16")),
    Answer(headers={"Content-Encoding": "gzip"}), Answer(headers={"Content-Encoding": "br"}),
    Answer(999), Answer(600),
]  # fmt: skip

OVER_HTTP = [
    *(Case("connect", action, None, raised=Unavailable) for action in (Drop(), Reset())),
    *(
        Case("connect", Raw(data, close=True), None, raised=Unavailable)
        for data in (b"220 mail.example ESMTP\r\n", FIT, b"\x00")
    ),
    Case("connect", Endless(b"x"), None, raised=Unavailable),
    Case("connect", Hang(deaf=True), U),
    *(Case("answer", action, U, hurried=action is ENDLESS_EXTENSION) for action in no_answer_over_http()),
    *(Case("answer", Keep(action), U) for action in (Drop(), Reset(), Hang(deaf=True))),
    *(
        Case(step, action, U, size=5_000_000)
        for step in ("head", "mid-body")
        for action in (Drop(), Reset(), Hang(deaf=True), Raw(b"gibberish\r\n\r\n", close=True))
    ),
    *(Case("answer", answer, U) for answer in UNREADABLE),
    *(Case("answer", Answer(status), A, status) for status in (200, 201, 202)),
    Case("answer", Late(0.1), A, 200),
    Case("answer", Answer(close=True), A, 200),
    Case("answer", Raw(b"HTTP/1.1 100 Continue\r\n\r\n" + FIT), A, 200),
    Case("answer", Raw(b"HTTP/1.0 200 OK\r\n\r\n" + b'{"status": "accepted"}', close=True), A, 200),
    Case("answer", Raw(CHUNKED + b'16\r\n{"status": "accepted"}\r\n0\r\n\r\n'), A, 200),
    *(Case("answer", Answer(status), T, status) for status in (408, 425, 429, 500, 501, 502, 503, 504)),
    Case("answer", Answer(429, headers={"Retry-After": "3"}), T, 429, retry_after=3),
    Case("answer", Answer(503, headers={"Retry-After": "86401"}), T, 503, retry_after=86400),
    Case("answer", Answer(503, headers={"Retry-After": "-1"}), T, 503),
    Case("answer", Answer(500, headers={"Retry-After": "3"}), T, 500),
    *(
        Case("answer", Answer(status, {"message": "no"}), P, status, doubtful=status != 413)
        for status in (400, 406, 409, 413, 415, 422, 451)
    ),
    *(Case("answer", Answer(status), P, status, doubtful=True) for status in (404, 405, 410)),
    *(Case("answer", Answer(status), R, status, Misconfigured) for status in (401, 403, 407)),
    *(
        Case("answer", Answer(status, headers={"Location": "/elsewhere"}), R, status, Misconfigured)
        for status in (300, 301, 302, 303, 307, 308)
    ),
    Case("answer", Answer(304, b""), R, 304, Misconfigured),
    *(
        Case("answer", Endless(b"x", first=b"HTTP/1.1 %d No\r\n\r\n" % code), o, code, doubtful=o is P)
        for code, o in ((400, P), (503, T))
    ),
    Case("answer", Raw(b"HTTP/1.1 400 No\r\nContent-Length: 9\r\n\r\nhalf", close=True), P, 400, doubtful=True),
    Case(
        "answer",
        Drip(b"HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\n" + b"x" * 99, every=0.02),
        T,
        503,
        hurried=True,
    ),
]


@pytest.mark.parametrize("case", OVER_HTTP, ids=str)
def test_whatever_an_http_service_does(case: Case) -> None:
    with HttpServer() as server:
        server.always(case.step, case.action)
        config = HttpConfig(
            "http", "127.0.0.1", server.port, server.path, "a-token", connections=1, timeout=case.timeout
        )
        check(HttpProvider(config), case)
        assert server.requests <= 1, "posted twice"


IN_ANY_DIALECT = [
    *(Case("connect", action, None, raised=Unavailable) for action in (Drop(), Reset())),
    *(Case("head", action, U, size=5_000_000) for action in (Drop(), Reset(), Hang(deaf=True))),
    *(Case("answer", action, U) for action in (Drop(), Hang(deaf=True), Raw(b"gibberish\r\n\r\n", close=True))),
    *(Case("answer", Keep(action), U) for action in (Drop(), Reset())),
    *(Case("answer", Answer(status, b""), T, status) for status in (425, 503)),
    *(Case("answer", Answer(status, b""), R, status, Misconfigured) for status in (301, 308, 401)),
    Case("answer", Answer(200, b"<html>It works!</html>"), U),
    Case("answer", Answer(204, b""), U),
    Case("answer", Endless(b"x", first=b"HTTP/1.1 503 No\r\n\r\n"), T, 503),
]
"""What has nothing to do with a service's own codes."""


@pytest.mark.parametrize("dialect", SERVICES)
@pytest.mark.parametrize("case", IN_ANY_DIALECT, ids=str)
def test_whatever_breaks_means_the_same_in_every_dialect(case: Case, dialect: str) -> None:
    with HttpServer(api=APIS[dialect]) as server:
        server.always(case.step, case.action)
        where = ("http", "127.0.0.1", server.port, server.path, "a-token", dialect)
        check(HttpProvider(HttpConfig(*where, connections=1, timeout=case.timeout)), case)
        assert server.requests <= 1, "posted twice"


def check(provider: Provider, case: Case) -> None:
    with ExitStack() as stack:
        stack.callback(provider.close)
        sent = letter(content=b"Subject: x\r\n\r\n" + b"line\r\n" * (case.size // 6))
        receipts: list[Receipt] = []
        raised: ProviderError | None = None
        began = time.monotonic()
        try:
            with nullcontext() if case.outcome is None else dialled_in_time():
                drain(provider.deliver([sent]), receipts)
        except ProviderError as error:
            raised = error
        took = time.monotonic() - began
    assert isinstance(raised, case.raised or type(None)), raised
    if case.outcome is None:
        assert receipts == []
    else:
        (receipt,) = receipts
        assert (receipt.outcome, receipt.code) == (case.outcome, case.code), receipt.answer
        assert (receipt.doubtful, receipt.retry_after) == (case.doubtful, case.retry_after)
        assert receipt.answer
        assert receipt.answer.isprintable()
        assert receipt.silent == (case.code is None and case.outcome in (T, U))
    in_time(took, STEPS_OF_A_LETTER * case.timeout + 1)


@pytest.mark.parametrize("kind", ["smtp", "http"])
def test_a_refused_connection_and_one_that_nobody_takes_are_unavailable(kind: str) -> None:
    def provider(port: int) -> Provider:
        if kind == "smtp":
            return SmtpProvider(SmtpConfig("127.0.0.1", port, timeout=TIMEOUT))
        return HttpProvider(HttpConfig("http", "127.0.0.1", port, "/", "a-token", timeout=TIMEOUT))

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        refused = listener.getsockname()[1]
        check(provider(refused), Case("refused", None, None, raised=Unavailable))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", refused))
        check(provider(refused), Case("nobody takes it", None, None, raised=Unavailable))
        for filler in fillers:
            filler.close()
