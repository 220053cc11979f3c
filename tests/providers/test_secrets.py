"""Whatever a service repeats of the token, the path, the user and the password is not told further."""

import base64
import html
import json
import socket
import threading
from typing import Any
from urllib.parse import quote

import pytest

from dispatcher.providers.base import Outcome, Receipt
from dispatcher.providers.errors import Misconfigured, ProviderError
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.redaction import redactor
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import SERVICES, HttpConfig, SmtpConfig
from tests.providers.conftest import drain, letter
from tests.scripted_servers import APIS, Answer, HttpServer, Raw

SECRET = "s3cr3t/\\t0ken+of&our's <é>"


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        json.dumps(SECRET, ensure_ascii=False)[1:-1].replace("&", "\\u0026"),
        html.escape(SECRET),
        repr(SECRET)[1:-1],
        in_base64(SECRET),
        in_base64(SECRET).rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        quote(in_base64(SECRET), safe=""),
        in_base64(SECRET).replace("/", "\\/"),
    ],
)
def test_a_secret_is_hidden_however_it_is_written(form: str) -> None:
    assert redactor(SECRET)(f"not {form}, please") == "not ***, please"
    assert redactor(SECRET)("not that, please") == "not that, please"


def test_a_short_secret_is_hidden_where_it_is_encoded_alone() -> None:
    assert redactor("abc", encoded="us")("abc is YWJj; us is dXM=") == "abc is ***; us is ***"
    assert redactor("", encoded="")("nothing is hidden") == "nothing is hidden"


# In the words of services

KEY = "7f3k9x2mq8w1"
TOKEN = "s3cr3t/t0ken+of/ours"


def http_words(answer: Any, token: str = TOKEN, path: str = f"/hooks/{KEY}") -> tuple[list[Receipt], str]:
    """What becomes of a letter so answered, and the error beside it."""
    receipts: list[Receipt] = []
    said = ""
    with HttpServer(path=path) as server:
        server.always("answer", answer)
        provider = HttpProvider(HttpConfig("http", "127.0.0.1", server.port, path, token, connections=1, timeout=10))
        try:
            drain(provider.deliver([letter(1)]), receipts)
        except ProviderError as error:
            said = str(error)
        provider.close()
    return receipts, said


def test_a_key_in_the_path_is_not_kept_with_an_attempt_that_quotes_it() -> None:
    ((receipt,), _error) = http_words(Answer(404, f"<pre>Cannot POST /hooks/{KEY}</pre>"))
    assert receipt.outcome is Outcome.PERMANENT
    assert KEY not in receipt.answer


def test_a_key_in_the_path_is_not_told_by_a_redirect_that_adds_a_slash() -> None:
    (receipts, error) = http_words(Answer(308, "", {"Location": f"http://127.0.0.1/hooks/{KEY}/"}))
    assert receipts
    assert error
    assert KEY not in error
    assert KEY not in receipts[0].answer


@pytest.mark.parametrize(
    "body",
    [
        '{"detail": "Invalid token ' + TOKEN.replace("/", "\\/") + '"}',
        "bad token in header: " + "x" * (1024 - len("bad token in header: ") - len(TOKEN) + 2) + TOKEN,
        "bad token s3cr3t%2Ft0ken%2Bof%2Fours",
    ],
    ids=["JSON escapes", "cut in its middle", "percent"],
)
def test_the_token_is_not_kept_however_it_is_quoted(body: str) -> None:
    ((receipt,), _error) = http_words(Answer(400, body))
    for form in (TOKEN[:-2], TOKEN.replace("/", "\\/"), "s3cr3t%2Ft0ken%2Bof%2Fours"):
        assert form not in receipt.answer


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_the_password_is_not_told_by_a_service_that_repeats_the_login_it_refuses(method: str) -> None:

    password = "pass word of ours"
    secrets = [base64.b64encode(text.encode()).decode() for text in (f"\0us\0{password}", password)]

    def serve(listener: socket.socket) -> None:
        connection, _peer = listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 hello\r\n")
            while line := stream.readline():
                word = line.strip()
                if word.startswith(b"EHLO"):
                    stream.write(b"250-hello\r\n250 AUTH " + method.encode() + b"\r\n")
                elif word == b"AUTH LOGIN":
                    stream.write(b"334 VXNlcm5hbWU6\r\n")
                elif word == base64.b64encode(b"us") or word == b"AUTH LOGIN " + base64.b64encode(b"us"):
                    stream.write(b"334 UGFzc3dvcmQ6\r\n")
                else:
                    stream.write(b"535 5.7.8 refused: " + word + b"\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        config = SmtpConfig("127.0.0.1", listener.getsockname()[1], user="us", password=password, timeout=10)
        provider = SmtpProvider(config)
        with pytest.raises(Misconfigured) as caught:
            list(provider.deliver([letter(1)]))
        provider.close()
    assert not [secret for secret in secrets if secret in str(caught.value)], str(caught.value)


def test_a_key_in_the_path_is_not_told_where_what_comes_is_no_http() -> None:
    ((receipt,), _error) = http_words(Raw(f"no such thing: /hooks/{KEY}\r\n\r\n".encode(), close=True))
    assert receipt.outcome is Outcome.UNKNOWN
    assert "no such thing" in receipt.answer
    assert KEY not in receipt.answer


def test_what_looks_like_the_token_in_an_acceptance_leaves_it_one() -> None:
    ((receipt,), _error) = http_words(Answer(200, {"status": "accepted", "id": "x"}), token="accepted")
    assert receipt.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("dialect", SERVICES)
@pytest.mark.parametrize("status", [200, 202, 400, 401, 403, 500])
def test_whatever_a_mail_service_repeats_of_the_key_is_told_nowhere(dialect: str, status: int) -> None:
    with HttpServer(api=APIS[dialect]) as server:
        config = HttpConfig("http", "127.0.0.1", server.port, server.path, TOKEN, dialect, connections=1, timeout=10)
        provider = HttpProvider(config)
        credentials = [TOKEN, in_base64(f"api:{TOKEN}" if dialect == "mailgun" else TOKEN)]
        words = f"bad key {' and '.join(credentials)}"
        data = {"code": "InvalidServerAPIKey", "message": words, "token": TOKEN, "message_id": TOKEN}
        body = {"status": "error", "message": words, "Message": words, "ErrorCode": 10, "id": TOKEN, "data": data}
        server.always("answer", Answer(status, body, {"X-Message-Id": TOKEN}))
        receipts: list[Receipt] = []
        told = provider.name + repr(config)
        try:
            drain(provider.deliver([letter(1)]), receipts)
        except ProviderError as error:
            told += str(error)
        provider.close()
    told += receipts[0].answer
    assert not [secret for secret in credentials if secret in told], told
    assert "***" in told


def test_the_domain_that_mailgun_does_not_know_is_told() -> None:
    with HttpServer(api=APIS["mailgun"]) as server:
        server.always("answer", Answer(404, {"message": "Domain not found: mg.our.example"}))
        config = HttpConfig("http", "127.0.0.1", server.port, server.path, TOKEN, "mailgun", connections=1, timeout=10)
        provider = HttpProvider(config)
        with pytest.raises(Misconfigured, match=r"Domain not found: mg\.our\.example"):
            list(provider.deliver([letter(1)]))
        provider.close()
