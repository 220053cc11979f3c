"""Header lines that an operator adds: what a service wants, and nothing by which a letter would say something else."""

import json
from datetime import UTC, datetime
from email import message_from_bytes

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from vestnik.mail import extra_headers
from vestnik.mailings.rendering import CompiledMessage, Content


def test_what_services_want_is_written_as_lines():
    wanted = {"X-PM-Message-Stream": "broadcast", "X-SES-CONFIGURATION-SET": "news of today"}
    assert extra_headers.lines(wanted) == (
        "X-PM-Message-Stream: broadcast\r\nX-SES-CONFIGURATION-SET: news of today\r\n"
    )
    assert extra_headers.lines({}) == ""


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-A": "b\r\nBcc: everybody@example.org"}, "one line of printable ASCII"),
        ({"X-A\r\nBcc": "b"}, "is no name of a header"),
        ({"X A": "b"}, "is no name of a header"),
        ({"": "b"}, "is no name of a header"),
        ({"X-A": ""}, "one line of printable ASCII"),
        ({"X-A": " b"}, "one line of printable ASCII"),
        ({"X-A": "é"}, "one line of printable ASCII"),
        ({"X-A": "b" * 1000}, "one line of printable ASCII"),
        ({"X-A": 5}, "one line of printable ASCII"),
        ({"from": "me@example.org"}, "that letters have already"),
        ({"List-Unsubscribe": "<https://example.org>"}, "that letters have already"),
        ({"DKIM-Signature": "v=1"}, "that letters have already"),
        ({f"X-{number}": "b" for number in range(21)}, "at most 20"),
        (["X-A: b"], "an object"),
        ("X-A: b", "an object"),
    ],
)
def test_what_cannot_stand_there_is_refused_in_a_sentence(headers, said):
    with pytest.raises(ValueError, match=said):
        extra_headers.lines(headers)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=3))
def test_whatever_is_given_adds_as_many_lines_as_names(headers):
    try:
        written = extra_headers.lines(headers)
    except ValueError:
        return
    lines = written.split("\r\n")
    assert len(lines) == len(headers) + 1
    assert all(line.partition(": ")[0] in headers for line in lines[:-1])
    assert written.isascii()


def test_a_wrong_variable_stops_the_start_with_a_sentence(monkeypatch):
    from vestnik.settings import read

    monkeypatch.setenv("EXTRA_HEADERS", "X-A: b")
    with pytest.raises(ImproperlyConfigured, match="EXTRA_HEADERS"):
        read("json", "EXTRA_HEADERS", {})


def test_a_service_is_told_each_letters_message_id_where_a_value_names_it():
    content = Content(
        "News", "", "Hello", "a@example.org", "A", "",
        headers=extra_headers.lines(
            {"X-PM-Metadata-letter": "{letter}", "X-SMTPAPI": '{"unique_args": {"l": "{letter}"}}'}
        ),
    )  # fmt: skip
    message = CompiledMessage(content)
    for number in (1, 2):
        key = f"{number}.{'a' * 16}@example.org"
        letter = message.render(key=key, address="b@example.org", full_name="", attributes={}, date=datetime.now(UTC))
        headers = message_from_bytes(letter)
        assert headers["X-PM-Metadata-letter"] == key
        assert json.loads(headers["X-SMTPAPI"]) == {"unique_args": {"l": key}}


def test_a_value_that_would_be_too_long_with_a_message_id_is_refused():
    assert extra_headers.lines({"X-A": "b" * 500 + "{letter}"})
    with pytest.raises(ValueError, match="not too long"):
        extra_headers.lines({"X-A": "b" * 800 + "{letter}"})
