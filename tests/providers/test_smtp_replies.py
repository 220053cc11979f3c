"""Reading replies, and writing letters as bytes."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.providers.base import ANSWER_LIMIT, visible
from dispatcher.providers.smtp.replies import LONGEST_LINE, MOST_LINES, BadReply, Reply, ReplyReader
from dispatcher.providers.smtp.wire import Offers, framed

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x7E), max_size=30)
REPLIES = st.lists(st.tuples(st.integers(200, 599), st.lists(WORDS, min_size=1, max_size=4)), max_size=8)


def written(code: int, lines: list[str]) -> bytes:
    marks = ["-"] * (len(lines) - 1) + [" "]
    return "".join(f"{code}{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True)).encode()


@given(replies=REPLIES, cuts=st.lists(st.integers(0, 500)))
def test_replies_are_the_same_in_whatever_portions_they_arrive(
    replies: list[tuple[int, list[str]]], cuts: list[int]
) -> None:
    data = b"".join(written(code, lines) for code, lines in replies)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = ReplyReader()
    read = [reply for start, end in pairwise(bounds) for reply in reader.feed(data[start:end])]
    assert read == [Reply(code, " / ".join(lines)) for code, lines in replies]


@given(st.lists(st.binary()))
def test_any_bytes_are_replies_or_a_bad_reply_and_never_kept_without_bound(portions: list[bytes]) -> None:
    reader = ReplyReader()
    try:
        for portion in portions:
            for reply in reader.feed(portion):
                assert 200 <= reply.code <= 599
    except BadReply:
        pass
    else:
        assert len(reader._rest) <= LONGEST_LINE


@pytest.mark.parametrize("line", [b"250\r\n", b"250 \r\n", b"250 ok\n", b"250"])
def test_a_lenient_reader_takes_a_reply_without_words_or_cr(line: bytes) -> None:
    replies = ReplyReader().feed(line)
    assert [reply.code for reply in replies] == ([250] if line.endswith(b"\n") else [])


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n", b"25\r\n", b"2500 ok\r\n", b"250_ok\r\n", b" 250 ok\r\n", b"+50 ok\r\n", b"199 low\r\n",
        b"600 high\r\n", b"250-a\r\n251 b\r\n", b"x" * (LONGEST_LINE + 1), b"250 " + b"x" * LONGEST_LINE + b"\r\n",
        b"250-more\r\n" * (MOST_LINES + 1),
    ],
)  # fmt: skip
def test_what_is_no_reply_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(BadReply):
        ReplyReader().feed(data)


@given(st.text())
def test_words_are_made_visible_and_short(words: str) -> None:
    shown = visible(words)
    assert shown.isprintable()
    assert len(shown.encode()) <= ANSWER_LIMIT


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\r\n.\r\n", b"\n.\r\n", b"\r.\r"]), max_size=12))
def test_a_framed_letter_ends_once_and_reads_back_with_clean_line_ends(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    wire = framed(content)
    assert wire.endswith(b"\r\n.\r\n")
    assert (b"\r\n" + wire).find(b"\r\n.\r\n") == len(wire) - 3, "it ends early"
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)
    read = (b"\r\n" + wire[:-3]).replace(b"\r\n.", b"\r\n")[2:]
    clean = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    assert read in (clean, clean + b"\r\n")


@pytest.mark.parametrize(
    ("extensions", "limit"),
    [({}, None), ({"size": ""}, None), ({"size": "0"}, None), ({"size": "1000"}, 1000), ({"size": "lots"}, None)],
)
def test_the_limit_of_size_is_what_the_service_tells(extensions: dict[str, str], limit: int | None) -> None:
    assert Offers.from_extensions(extensions).size_limit == limit
