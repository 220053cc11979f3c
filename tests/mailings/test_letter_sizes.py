"""How large a letter may be: known before it is made, whatever a client's values make of a small message."""

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vestnik.mailings.models import Message
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


def test_a_preview_is_smaller_than_a_letter_may_be() -> None:
    compiled = message(text="{{ attributes.a }}" * 30)
    assert render(compiled, LARGE)
    with pytest.raises(LetterTooLarge, match=r"3,000,000 bytes, and may have 2,000,000"):
        compiled.preview(address="b@x.example", full_name="", attributes=LARGE)


def test_a_message_that_is_too_large_for_anybody_is_not_saved(settings: Any) -> None:
    settings.MAX_LETTER_BYTES = 1_000
    with pytest.raises(ValidationError) as refused:
        Message(subject="x", html="<p>" + "й" * 500, text="x").clean()
    assert refused.value.message_dict == {"html": ["The texts have 1004 bytes together, and a letter may have 1000."]}


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
