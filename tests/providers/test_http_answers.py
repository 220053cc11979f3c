"""What the answers of an HTTP service mean. No network."""

import gzip
import json
import time
import zlib
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.providers.base import About, Outcome, visible
from dispatcher.providers.http.answers import ANSWER_SIZE, LONGEST_WAIT, judged, retry_after
from tests.timing import in_time

ACCEPTED = b'{"status": "accepted"}'


def outcome(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Outcome:
    return judged(status, "", headers or {}, body).outcome


@pytest.mark.parametrize("status", [200, 201, 202, 226, 299])
def test_a_letter_is_accepted_by_2xx_with_the_answer_that_the_schema_demands(status: int) -> None:
    verdict = judged(status, "OK", {}, ACCEPTED)
    assert (verdict.outcome, verdict.code, verdict.answer) == (Outcome.ACCEPTED, status, "accepted")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"status": "accepted", "id": "42"}, "id 42"),
        ({"status": "accepted", "message": "queued"}, "queued"),
        ({"status": "accepted", "id": "42", "message": "queued", "extra": [1]}, "queued / id 42"),
        ({"status": "accepted", "id": "", "message": ""}, "accepted"),
    ],
)
def test_the_words_of_an_acceptance_are_its_message_and_id(body: object, words: str) -> None:
    assert judged(202, "", {}, json.dumps(body).encode()).answer == words


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not with JSON: nothing"),
        (b"<html>\n<body>It works!</body></html>", "not with JSON: <html> <body>It works!</body></html>"),
        (b"ok", "not with JSON: ok"),
        (b'{"status": "accepted"', "not with JSON"),
        (b'{"status": "accepted"} {}', "not with JSON"),
        (b"null", "not as the schema demands"),
        (b"[]", "not as the schema demands"),
        (b'"accepted"', "not as the schema demands"),
        (b"{}", "not as the schema demands"),
        (b'{"status": "rejected"}', "not as the schema demands"),
        (b'{"status": "Accepted"}', "not as the schema demands"),
        (b'{"status": true}', "not as the schema demands"),
        (b'{"status": "accepted", "id": 42}', "not as the schema demands"),
        (b'{"status": "accepted", "message": null}', "not as the schema demands"),
        (b"\xff\xfe{", "not in UTF-8"),
        ('{"status": "принято"}'.encode("cp1251"), "not in UTF-8"),
        ('{"status": "accepted"}'.encode("utf-16"), "not in UTF-8"),
        (b"[" * 50_000, "with JSON"),  # not with any, or nested too deeply: how far Python follows is its version's
        (b'{"id": ' + b"9" * 10_000 + b"}", "not with JSON"),
        (b" " * (ANSWER_SIZE + 1), "more than 64 kB"),
    ],
)
def test_2xx_with_anything_else_is_unknown_and_says_what_was_wrong(body: bytes, why: str) -> None:
    verdict = judged(200, "OK", {}, body)
    assert (verdict.outcome, verdict.code) == (Outcome.UNKNOWN, None)
    assert verdict.answer.startswith("200 was answered, but ")
    assert why in verdict.answer


@pytest.mark.parametrize("status", [204, 205])
def test_2xx_without_a_body_is_unknown(status: int) -> None:
    assert outcome(status) is Outcome.UNKNOWN


def test_a_body_that_is_not_whole_is_unknown_only_where_it_mattered() -> None:
    assert judged(200, "OK", {}, ACCEPTED, "it broke off").outcome is Outcome.UNKNOWN
    refused = judged(503, "Busy", {}, b"half an ans", "it broke off")
    assert (refused.outcome, refused.code, refused.answer) == (Outcome.TEMPORARY, 503, "half an ans")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP"])
def test_an_answer_that_is_compressed_without_being_asked_to_be_is_read(encoding: str) -> None:
    body = gzip.compress(ACCEPTED) if encoding.lower() == "gzip" else zlib.compress(ACCEPTED)
    assert outcome(200, body, {"Content-Encoding": encoding}) is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", ACCEPTED), ("gzip", ACCEPTED), ("gzip", gzip.compress(b" " * 100_000_000)), ("gzip", b"")],
    ids=["brotli", "not gzip", "a bomb", "nothing"],
)
def test_what_cannot_be_unpacked_is_unknown_and_takes_no_memory(encoding: str, body: bytes) -> None:
    began = time.monotonic()
    assert outcome(200, body, {"Content-Encoding": encoding}) is Outcome.UNKNOWN
    in_time(time.monotonic() - began, 0.1)
    assert outcome(500, body, {"Content-Encoding": encoding}) is Outcome.TEMPORARY


@pytest.mark.parametrize(
    ("statuses", "expected", "about"),
    [
        ([408, 425, 500, 501, 502, 503, 504, 507, 599], Outcome.TEMPORARY, About.UNCLEAR),
        ([429], Outcome.TEMPORARY, About.PACE),
        ([400, 402, 404, 405, 406, 409, 410, 411, 415, 422, 451, 499], Outcome.PERMANENT, About.UNCLEAR),
        ([413], Outcome.PERMANENT, About.LETTER),
        ([401, 403, 407, 300, 301, 302, 303, 304, 307, 308], Outcome.RETURNED, About.UNCLEAR),
    ],
)
def test_every_status_has_its_meaning(statuses: list[int], expected: Outcome, about: About) -> None:
    for status in statuses:
        verdict = judged(status, "Reason", {}, b"")
        assert (verdict.outcome, verdict.about, verdict.code) == (expected, about, status)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("You can only send testing emails to your own email address (news@our.example).", Outcome.PERMANENT),
        ("To send emails to other recipients, please verify a domain at resend.com/domains", Outcome.PERMANENT),
        ("Trial accounts can only send emails to the administrator's email.", Outcome.PERMANENT),
        ("API key is invalid", Outcome.RETURNED),
        ("Forbidden", Outcome.RETURNED),
    ],
)
def test_a_letter_that_is_forbidden_for_its_recipient_is_no_refused_token(words: str, expected: Outcome) -> None:
    verdict = judged(403, "Forbidden", {}, json.dumps({"error": {"message": words}}).encode())
    assert verdict.outcome is expected
    assert verdict.about is (About.US if expected is Outcome.PERMANENT else About.UNCLEAR)


@pytest.mark.parametrize("status", [100, 101, 199, 600, 999])
def test_a_status_that_is_no_final_one_is_unknown(status: int) -> None:
    assert judged(status, "", {}, ACCEPTED).outcome is Outcome.UNKNOWN
    assert judged(status, "", {}, ACCEPTED).code is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no such user", "code": 7}}', "no such user"),
        (b'{"error": "no such user"}', "no such user"),
        (b'{"message": "no such user"}', "no such user"),
        (b'{"error": {"code": 7}}', '{"error": {"code": 7}}'),
        (b'{"detail": [1]}', '{"detail": [1]}'),
        (b"[1, 2]", "[1, 2]"),
        (b"no such user\n", "no such user"),
        (b"<h1>Bad\n\n  Request</h1>", "<h1>Bad Request</h1>"),
        (b"", "Reason"),
        (b"\xff\xfe", "\\xff\\xfe"),
    ],
)
def test_the_words_of_a_refusal_are_those_of_the_service(body: bytes, words: str) -> None:
    assert judged(422, "Reason", {}, body).answer == words


def test_a_redirect_is_told_with_its_place() -> None:
    assert judged(308, "Permanent Redirect", {"Location": "https://new.example/"}, b"").answer == (
        "Permanent Redirect: https://new.example/"
    )


NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("1", 1), ("120", 120), (" 7 ", 7), ("86400", 86400), ("86401", LONGEST_WAIT),
        ("9" * 5000, LONGEST_WAIT), (formatdate(NOW + 30, usegmt=True), 30), (formatdate(NOW, usegmt=True), 0),
        (formatdate(NOW + 999_999, usegmt=True), LONGEST_WAIT), ("Tuesday, 14-Nov-23 22:13:50 GMT", 30),
        ("Tue Nov 14 22:13:50 2023", 30),
        (formatdate(NOW - 1, usegmt=True), None), ("-5", None), ("1.5", None), ("soon", None), ("", None),
        ("٣", None), ("1e3", None), ("Tue, 99 Nov 9999999 22:13:50 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_and_nonsense_ignored(value: str, seconds: float | None) -> None:
    headers = {"Retry-After": value, "Date": formatdate(NOW, usegmt=True)}
    assert retry_after(headers) == seconds
    assert judged(429, "", headers, b"").retry_after == judged(503, "", headers, b"").retry_after == seconds
    assert judged(500, "", headers, b"").retry_after is None


def test_without_the_services_own_date_ours_is_taken() -> None:
    seconds = retry_after({"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    assert seconds is not None
    assert 55 < seconds <= 60


@given(
    status=st.integers(100, 999),
    body=st.binary() | st.text().map(str.encode) | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
            st.sampled_from(["status", "id", "message", "error"]) | st.text(), inner
        )
    ).map(json.dumps).map(str.encode),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Date", "Content-Encoding", "Location"]), st.text() | st.just("gzip")
    ),
)  # fmt: skip
def test_whatever_is_answered_there_is_a_verdict(status: int, body: bytes, headers: dict[str, str]) -> None:
    verdict = judged(status, "Reason", headers, body)
    assert verdict.retry_after is None or 0 <= verdict.retry_after <= LONGEST_WAIT
    assert visible(verdict.answer).isprintable()
    if verdict.outcome is Outcome.ACCEPTED:
        assert json.loads(body)["status"] == "accepted"
