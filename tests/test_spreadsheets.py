"""Tables for spreadsheets: what was written is read back, and nothing in it is a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik import spreadsheets
from vestnik.spreadsheets import as_written, harmless

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
TRICKY = st.text("=+-@＝＋－＠;,\t\r\n\"' 1x", max_size=12)
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t=", "\t+", "\t-", "\t@")


def written(*rows, delimiter=","):
    return b"".join(spreadsheets.lines(rows, delimiter))


def read(content, delimiter=","):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


@pytest.mark.parametrize(
    "cell",
    ["=1", "+7 999", "-1", "@SUM(A1)", "\tx", "\rx", '=cmd|" /C calc"!A0', "'=1", "''-", "＝1", "＋7", "－1", "＠x"],
)
def test_what_a_spreadsheet_would_take_for_a_formula_gets_an_apostrophe(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize(
    ("cell", "guarded"),
    [
        ("x;=1+1;y", "x;'=1+1;y"),
        ("a\n+1", "a\n'+1"),
        ("x\t@x,-1", "x\t'@x,'-1"),
        ("x;＝1", "x;'＝1"),
        ('x;"=1', "x;\"'=1"),
    ],
)
def test_so_does_what_would_be_one_where_the_cell_is_split(cell, guarded):
    assert harmless(cell) == guarded


@pytest.mark.parametrize("cell", ["", "1", "a=b", " x", "'1", "Анна", "1-2", "a, b; c", "a; -1", "12:30", "'"])
def test_any_other_cell_stays_as_it_is(cell):
    assert harmless(cell) == as_written(cell) == cell


@given(cell=TRICKY | CELL)
def test_what_was_made_harmless_is_read_as_it_was_written(cell):
    assert as_written(harmless(cell)) == cell


@given(rows=st.lists(st.lists(TRICKY, min_size=2), min_size=1, max_size=3), delimiter=st.sampled_from(",;\t"))
def test_no_cell_is_a_formula_even_if_it_is_split_where_another_delimiter_is_usual(rows, delimiter):
    content = written(*rows, delimiter=delimiter)
    for usual in ",;\t":
        assert not [cell for row in read(content, usual) for cell in row if cell.startswith(FORMULA)]


def test_a_byte_order_mark_stands_before_the_first_line_only():
    first, second = spreadsheets.lines([["Имя"], ["Анна"]])
    assert first == b"\xef\xbb\xbf" + '"Имя"\r\n'.encode()
    assert second == '"Анна"\r\n'.encode()


def test_lines_are_made_when_they_are_asked_for():
    def rows():
        yield ["email"]
        raise AssertionError("nobody has asked for it yet")

    assert next(spreadsheets.lines(rows())).endswith(b'"email"\r\n')


@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=4), min_size=1), delimiter=st.sampled_from(",;\t"))
def test_whatever_is_written_comes_back_harmless(rows, delimiter):
    assert read(written(*rows, delimiter=delimiter), delimiter) == [[harmless(cell) for cell in row] for row in rows]
