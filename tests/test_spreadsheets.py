"""Tables for spreadsheets: what was written is read back, and nothing in it is a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik import spreadsheets
from vestnik.spreadsheets import harmless

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def written(*rows, delimiter=","):
    return b"".join(spreadsheets.lines(rows, delimiter))


def read(content, delimiter=","):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


@pytest.mark.parametrize("cell", ["=1+1", "+7 999", "-1", "@SUM(A1)", "\t=1", "\r=1", '=cmd|" /C calc"!A0'])
def test_what_a_spreadsheet_would_take_for_a_formula_gets_an_apostrophe(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "1", "a=b", " x", "'=1", "Анна", "1-2"])
def test_any_other_cell_stays_as_it_is(cell):
    assert harmless(cell) == cell


def test_a_byte_order_mark_stands_before_the_first_line_only():
    first, second = spreadsheets.lines([["Имя"], ["Анна"]])
    assert first == b"\xef\xbb\xbf" + "Имя\r\n".encode()
    assert second == "Анна\r\n".encode()


def test_lines_are_made_when_they_are_asked_for():
    def rows():
        yield ["email"]
        raise AssertionError("nobody has asked for it yet")

    assert next(spreadsheets.lines(rows())).endswith(b"email\r\n")


@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=4), min_size=1), delimiter=st.sampled_from(",;\t"))
def test_whatever_is_written_comes_back_harmless(rows, delimiter):
    assert read(written(*rows, delimiter=delimiter), delimiter) == [[harmless(cell) for cell in row] for row in rows]
