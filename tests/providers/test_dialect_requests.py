"""What is posted to real mail services, over a real socket: each server here knows its service's page and nothing else.

What they refuse is a violation (tests/scripted_servers/mail_apis.py).
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from dispatcher.providers.base import About, Letter, Outcome, Receipt
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.url import SERVICES, HttpConfig
from tests.providers.conftest import TIMEOUT, letter
from tests.scripted_servers import APIS, HttpServer
from tests.scripted_servers.http import HttpLetter

TOKEN = "k3y-of-ours-0123456789"
WHOLE, COMPOSED = ("mailgun", "postal"), ("sendgrid", "postmark", "brevo", "unisendergo")
KEY = "42.9f86d081884c7d65@our.example"
UNSUBSCRIBE = "<https://our.example/u/AbCd>, <mailto:u.42@bounces.our.example?subject=unsubscribe>"
LETTER = Letter(
    delivery_id=42,
    claim=1,
    key=KEY,
    sender="b.42@bounces.our.example",
    recipient="maria@xn--e1afmkfd.example",
    content="\r\n".join(
        [
            "From: =?utf-8?b?0JLQtdGB0YLQvdC40Lo=?= <news@our.example>",
            'To: "Garcia; Maria, \\"M\\"" <maria@xn--e1afmkfd.example>',
            "Reply-To: office@our.example",
            "Subject: =?utf-8?b?0J3QvtCy0L7RgdGC0Lg=?=",
            "Date: Tue, 01 Dec 2026 12:00:00 +0000",
            f"Message-ID: <{KEY}>",
            "List-Id: <7.our.example>",
            "X-Team: blue",
            "List-Unsubscribe: <https://our.example/u/AbCd>,",
            " <mailto:u.42@bounces.our.example?subject=unsubscribe>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "DKIM-Signature: v=1; a=rsa-sha256; d=our.example; s=x; b=AbC=",
            "MIME-Version: 1.0",
            'Content-Type: multipart/alternative; boundary="=_b"',
            "",
            "--=_b",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64",
            "",
            "0J/RgNC40LLQtdGC",
            "--=_b",
            "Content-Type: text/html; charset=utf-8",
            "Content-Transfer-Encoding: 7bit",
            "",
            "<p>Hello {{ you }}</p>",
            "--=_b--",
            "",
        ]
    ).encode(),
)
"""With all that a letter of a mailing has, and a signature."""


def posted(dialect: str, sent: Letter = LETTER) -> HttpLetter:
    with HttpServer(api=APIS[dialect], token=TOKEN) as server:
        (receipt,) = deliver(server, dialect, sent)
    assert server.violations == []
    assert receipt.outcome is Outcome.ACCEPTED, receipt.answer
    (received,) = server.letters
    return received


def deliver(server: HttpServer, dialect: str, sent: Letter) -> list[Receipt]:
    where = ("http", "127.0.0.1", server.port, server.path, TOKEN, dialect)
    provider = HttpProvider(HttpConfig(*where, connections=1, timeout=TIMEOUT))
    receipts = list(provider.deliver([sent]))
    provider.close()
    return receipts


@pytest.mark.parametrize("dialect", WHOLE)
def test_a_whole_letter_arrives_byte_for_byte_with_its_signature(dialect: str) -> None:
    received = posted(dialect)
    assert received.content == LETTER.content
    assert (received.recipient, received.message_id) == (LETTER.recipient, KEY)


def test_mailgun_is_given_the_key_by_http_basic_and_no_sender_of_an_envelope() -> None:
    received = posted("mailgun")
    assert received.headers["authorization"] == "Basic YXBpOmszeS1vZi1vdXJzLTAxMjM0NTY3ODk="
    assert received.headers["content-type"].startswith("multipart/form-data; boundary=")


def test_a_letter_that_holds_what_looks_like_an_end_of_its_form_arrives_whole() -> None:
    first = posted("mailgun").headers["content-type"].partition("boundary=")[2]
    tricky = replace(LETTER, content=LETTER.content + f"\r\n--{first}--\r\n--{first}\r\n".encode())
    assert posted("mailgun", tricky).content == tricky.content


def test_postal_is_given_the_envelope() -> None:
    received = posted("postal")
    assert (received.sender, received.recipient) == (LETTER.sender, LETTER.recipient)


@pytest.mark.parametrize("dialect", SERVICES)
def test_a_domain_that_is_not_ascii_goes_as_every_service_knows_it(dialect: str) -> None:
    assert posted(dialect, replace(LETTER, recipient="maria@пример.example")).recipient == LETTER.recipient


def said(dialect: str) -> dict[str, Any]:
    """Subject, texts, people and what tells of the letter, as the service reads them."""
    fields = posted(dialect).fields
    match dialect:
        case "sendgrid":
            text, html = (part["value"] for part in fields["content"])
            (to,) = fields["personalizations"][0]["to"]
            (reply,) = fields["reply_to_list"]
            told = fields["custom_args"]
            people = [fields["from"]["name"], fields["from"]["email"], to["name"], to["email"], reply["email"]]
            return {"subject": fields["subject"], "texts": [text, html], "people": people, "told": told}
        case "postmark":
            people = [fields["From"], fields["To"], fields["ReplyTo"]]
            texts = [fields["TextBody"], fields["HtmlBody"]]
            return {"subject": fields["Subject"], "texts": texts, "people": people, "told": fields["Metadata"]}
        case "brevo":
            (to,) = fields["to"]
            people = [*fields["sender"].values(), *to.values(), fields["replyTo"]["email"]]
            texts = [fields["textContent"], fields["htmlContent"]]
            told = json.loads(fields["headers"]["X-Mailin-custom"])
            return {"subject": fields["subject"], "texts": texts, "people": people, "told": told}
        case _:
            (to,) = fields["recipients"]
            people = [fields["from_name"], fields["from_email"], to["substitutions"]["to_name"], to["email"]]
            texts = [fields["body"]["plaintext"], fields["body"]["html"]]
            people.append(fields["reply_to"])
            return {"subject": fields["subject"], "texts": texts, "people": people, "told": to["metadata"]}


@pytest.mark.parametrize("dialect", COMPOSED)
def test_a_letter_taken_apart_says_the_same_to_the_same_people(dialect: str) -> None:
    letter_said = said(dialect)
    assert letter_said["subject"] == "Новости"
    assert [text.strip() for text in letter_said["texts"]] == ["Привет", "<p>Hello {{ you }}</p>"]
    people = " ".join(letter_said["people"])
    for who in ("Вестник", "news@our.example", "Garcia", "maria@xn--e1afmkfd.example", "office@our.example"):
        assert who in people
    assert letter_said["told"]["letter"] == KEY


@pytest.mark.parametrize("dialect", COMPOSED)
def test_headers_that_no_service_composes_are_passed_on_and_the_signature_is_not(dialect: str) -> None:
    fields = posted(dialect).fields
    given = fields["Headers"] if dialect == "postmark" else fields["headers"]
    headers = {each["Name"]: each["Value"] for each in given} if dialect == "postmark" else given
    assert headers["List-Unsubscribe"] == UNSUBSCRIBE
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (headers["Message-ID"], headers["X-Team"], headers["List-Id"]) == (f"<{KEY}>", "blue", "<7.our.example>")
    gone = {"dkim-signature", "from", "to", "subject", "date", "reply-to", "mime-version", "content-type"}
    assert not gone & {name.lower() for name in headers}


def with_header(line: str, sent: Letter = LETTER) -> Letter:
    return replace(sent, content=f"{line}\r\n".encode() + sent.content)


def test_postmark_reads_from_the_body_what_over_smtp_it_reads_from_headers() -> None:
    sent = with_header("X-PM-Message-Stream: broadcast\r\nX-PM-Tag: news\r\nX-PM-Metadata-team: blue")
    fields = posted("postmark", sent).fields
    assert (fields["MessageStream"], fields["Tag"]) == ("broadcast", "news")
    assert fields["Metadata"] == {"letter": KEY, "team": "blue"}
    assert {each["Name"] for each in fields["Headers"]} == {
        *("Message-ID", "X-PM-KeepID", "X-Team", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post")
    }


def test_sendgrid_is_told_what_to_tell_with_events_as_over_smtp() -> None:
    fields = posted("sendgrid", with_header('X-SMTPAPI: {"unique_args": {"team": "blue"}}')).fields
    assert fields["custom_args"] == {"letter": KEY, "team": "blue"}
    assert "X-SMTPAPI" not in fields["headers"]
    assert posted("sendgrid", with_header("X-SMTPAPI: no JSON")).fields["custom_args"] == {"letter": KEY}


def test_unisender_go_takes_the_options_that_it_takes_over_smtp() -> None:
    fields = posted("unisendergo", with_header('X-UNISENDER-GO: {"skip_unsubscribe": 1, "subject": "x"}')).fields
    assert (fields["skip_unsubscribe"], fields["subject"]) == (1, "Новости")
    assert fields["template_engine"] == "none"
    assert posted("unisendergo", with_header("X-UNISENDER-GO: [1]")).fields["subject"] == "Новости"


@pytest.mark.parametrize(
    ("dialect", "where"), [("brevo", ("headers", "Idempotency-Key")), ("unisendergo", ("idempotence_key",))]
)
def test_the_letters_key_is_given_where_the_service_knows_one(dialect: str, where: tuple[str, ...]) -> None:
    found: Any = posted(dialect).fields
    for name in where:
        found = found[name]
    assert found == KEY


def test_a_key_that_is_too_long_for_a_service_is_shortened_in_the_same_way_each_time() -> None:
    long = replace(LETTER, key="x" * 100 + "@our.example")
    first, again = (posted("unisendergo", long).fields["idempotence_key"] for _ in range(2))
    assert first == again
    assert len(first) == 64
    assert "letter" not in posted("postmark", long).fields["Metadata"]


@pytest.mark.parametrize("dialect", COMPOSED)
def test_a_letter_without_html_or_names_is_posted_as_the_service_wants_it(dialect: str) -> None:
    content = b"From: news@our.example\r\nTo: maria@example.org\r\nSubject: x\r\n\r\nTwo < three\r\n"
    fields = posted(dialect, replace(LETTER, content=content)).fields
    if dialect == "brevo":
        assert "Two &lt; three" in fields["htmlContent"]
    assert "Two " in json.dumps(fields)


@pytest.mark.parametrize("dialect", COMPOSED)
def test_an_empty_letter_is_posted_with_a_space(dialect: str) -> None:
    posted(dialect, replace(LETTER, content=b"From: news@our.example\r\nTo: maria@example.org\r\nSubject: x\r\n\r\n"))


def test_a_long_name_is_cut_where_the_service_refuses_it() -> None:
    content = LETTER.content.replace(b'"Garcia; Maria, \\"M\\""', b"M" * 200)
    (to,) = posted("brevo", replace(LETTER, content=content)).fields["to"]
    assert len(to["name"]) == 70


NOT_ASCII = replace(LETTER, recipient="мария@example.org")


@pytest.mark.parametrize("dialect", ["sendgrid", "postmark", "unisendergo"])
def test_a_recipient_that_the_service_cannot_write_to_is_refused_without_a_post(dialect: str) -> None:
    with HttpServer(api=APIS[dialect], token=TOKEN) as server:
        (receipt,) = deliver(server, dialect, NOT_ASCII)
        assert server.requests == 0
    assert (receipt.outcome, receipt.about, receipt.doubtful) == (Outcome.PERMANENT, About.LETTER, False)
    assert "outside ASCII" in receipt.answer


@pytest.mark.parametrize("dialect", ["mailgun", "postal", "brevo"])
def test_others_are_asked(dialect: str) -> None:
    assert posted(dialect, NOT_ASCII).recipient == NOT_ASCII.recipient


def test_a_letter_with_more_than_texts_is_not_sent_without_them() -> None:
    content = b"From: a@our.example\r\nSubject: x\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n"
    with HttpServer(api=APIS["postmark"], token=TOKEN) as server:
        (receipt,) = deliver(server, "postmark", replace(letter(1), content=content))
        assert server.requests == 0
    assert (receipt.outcome, receipt.about) == (Outcome.PERMANENT, About.LETTER)
