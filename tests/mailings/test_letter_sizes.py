"""How large a letter may be: known before it is made, whatever a client's values make of a small message."""

import re
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vestnik.mailings.models import LONGEST_TEXT, Message
from vestnik.mailings.rendering import CompiledMessage, Content, LetterTooLarge
from vestnik.mailings.rendering.templates import WRITTEN_EMAIL, Template, TooLong

LARGE = {"a": "й" * 50_000}
NOON = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)


def message(subject: str = "News", html: str = "", text: str = "") -> CompiledMessage:
    return CompiledMessage(Content(subject, html, text, "news@example.org", "", ""))


def render(compiled: CompiledMessage, attributes: dict[str, str]) -> bytes:
    return compiled.render(
        key="1.k@example.org", address="b@example.com", full_name="", attributes=attributes, date=NOON
    )


@pytest.mark.parametrize("field", ["html", "text"])
def test_a_letter_of_hundreds_of_megabytes_is_refused_before_it_is_made(field: str) -> None:
    compiled = message(**{field: "{{ attributes.a }}" * 3000})
    for attempt in (
        lambda: render(compiled, LARGE),
        lambda: compiled.preview(address="b@x.example", full_name="", attributes=LARGE),
    ):
        tracemalloc.start()
        with pytest.raises(LetterTooLarge, match="300,000,000 bytes"):
            attempt()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


def test_a_letter_as_large_as_it_may_be_is_made(settings: Any) -> None:
    compiled = message(text="{{ attributes.a }}")
    size = len(render(compiled, {"a": "x" * 500}))
    settings.MAX_LETTER_BYTES = size
    assert len(render(message(text="{{ attributes.a }}"), {"a": "x" * 500})) == size
    with pytest.raises(LetterTooLarge):
        render(message(text="{{ attributes.a }}"), {"a": "x" * 501})


def test_what_base64_adds_counts(settings: Any) -> None:
    settings.MAX_LETTER_BYTES = 12_000
    with pytest.raises(LetterTooLarge):
        render(message(text="{{ attributes.a }}"), {"a": "й" * 5_000})


def test_a_subject_is_a_line_and_no_book() -> None:
    compiled = message(subject="{{ attributes.a }}", text="x")
    with pytest.raises(LetterTooLarge, match="the subject would have 100,000 bytes"):
        render(compiled, LARGE)


@pytest.mark.parametrize("letters", ["я" * 300_000, "x" * 900_000, "x\n" * 400_000])
@pytest.mark.parametrize("values", [0, 2, 20])
def test_what_can_be_sent_can_be_looked_at_and_nothing_else(letters: str, values: int, settings: Any) -> None:
    compiled = message(html=letters + "{{ attributes.a }}" * values, text="short")
    size = len(render(compiled, LARGE))
    for limit, taken in ((size + 200, True), (size - 200, False)):
        settings.MAX_LETTER_BYTES = limit
        compiled = message(html=letters + "{{ attributes.a }}" * values, text="short")
        for attempt in (
            lambda compiled=compiled: render(compiled, LARGE),
            lambda compiled=compiled: compiled.preview(address="b@example.com", full_name="", attributes=LARGE),
        ):
            if taken:
                assert attempt()
            else:
                with pytest.raises(LetterTooLarge):
                    attempt()


def test_the_longest_text_that_is_saved_is_shown_and_sent() -> None:
    compiled = message(html="я" * LONGEST_TEXT, text="short")
    assert render(compiled, {})
    assert compiled.preview(address="b@example.com", full_name="", attributes={}).text == "short"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>" + "й" * 500, "x"),
        ("й" * 350, ""),
        ("", "x" * 990),
        ("x" * 500, "x" * 490),
        ("й" * 300 + "{{ full_name }}", "{{ email }}" + "й" * 50),
    ],
)
def test_a_message_that_is_too_large_for_anybody_is_not_saved(html: str, text: str, settings: Any) -> None:
    settings.MAX_LETTER_BYTES = 1_000
    with pytest.raises(ValidationError) as refused:
        Message(subject="x", html=html, text=text).clean()
    (told,) = refused.value.message_dict["html" if len(html) > len(text) else "text"]
    assert re.fullmatch(
        r"As it goes over the wire, the letter would have at least 1,\d\d\d bytes, and may have 1,000.", told
    )
    with pytest.raises(LetterTooLarge):
        render(message(html=html, text=text), {})


def test_texts_that_only_their_encoding_makes_too_large_are_not_saved() -> None:
    with pytest.raises(ValidationError, match="over the wire"):
        Message(subject="x", html="😀" * LONGEST_TEXT, text="😀" * LONGEST_TEXT).clean()


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(max_size=40) | st.sampled_from(["{{ full_name }}"]), max_size=6),
    st.lists(st.text(max_size=40) | st.sampled_from(["{{ email }}"]), max_size=6),
    st.text(max_size=40),
)
def test_no_letter_is_smaller_than_the_least(html: list[str], text: list[str], name: str) -> None:
    html, text = ([piece if "{{ " in piece else piece.replace("{", "") for piece in given] for given in (html, text))
    compiled = message("x", "".join(html), "".join(text))
    letter = compiled.render(key="1@b.c", address="b@b.c", full_name=name, attributes={}, date=NOON)
    assert compiled.least_octets() <= len(letter)


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(max_size=9) | st.sampled_from(["{{ email }}", "{{ full_name }}"]), max_size=9),
    st.text(max_size=20),
)
def test_the_length_that_is_known_before_is_the_length(pieces: list[str], name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    for is_html in (False, True):
        template = Template(
            "".join(piece.replace("{", "{ ") if "{{ " not in piece else piece for piece in pieces), is_html
        )
        values = {"email": "b@example.com", WRITTEN_EMAIL: "b@example.com", "full_name": name}
        length = len(template.fill(values, 10_000).encode())
        assert len(template.fill(values, length).encode()) == length
        if length:
            with pytest.raises(TooLong) as refused:
                template.fill(values, length - 1)
            assert refused.value.octets == length
