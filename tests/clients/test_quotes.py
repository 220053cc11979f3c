"""Quotes that are opened and not closed: they cost their own rows, and no more time than the file is long."""

import csv
import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timing import in_time
from vestnik.clients import csv_files


def read(text: str) -> list[csv_files.Row]:
    with csv_files.opened(io.BytesIO(text.encode()), delimiter=",") as sheet:
        return list(sheet.rows())


LONG = "x" * 60 + "\n"
UNENDING = {
    "cells that open and close at every line": 'a","\n' * 60_000,
    "a cell at every line": '"a\n' * 60_000,
    "one at the beginning": '"' + "a@example.org,Ann\n" * 20_000,
    "long lines": ('a","' + "y" * 3_000 + "\n") * 3_000,
    "a cell that is too long at last": ('a","\n' * 50_000 + LONG * 300 + '"\n') * 2,
    "many cells that are too long": ('a","' + LONG * 200) * 100,
    "quotes that go wrong now and then": ('a","\n' * 30_000 + 'a"x"\n') * 2,
}


@pytest.mark.parametrize("kind", list(UNENDING))
def test_quotes_that_are_never_closed_take_no_longer_than_the_file(kind):
    text = f"email,name\n{UNENDING[kind]}last@example.org,Last\n"
    began = time.process_time()
    rows = read(text)
    in_time(time.process_time() - began, 4)
    assert rows[-1].cells[-2:] == ["last@example.org", "Last"]


def first_row(lines: list[str]) -> tuple[list[str], int]:
    """The first row's cells, and how many lines it has. Raises csv.Error."""
    taken = 0

    def following():
        nonlocal taken
        for line in lines:
            taken += 1
            yield line

    cells = next(csv.reader(following(), strict=True))
    if taken > 1 and max(map(len, cells)) > csv_files.MAX_CELL:
        raise csv.Error
    return cells, taken


def one_by_one(text: str) -> list[tuple[int, list[str], bool]]:
    """The rows as they are where every line that cannot be read is followed to its end."""
    lines, at, found = io.StringIO(text, newline="").readlines(), 0, []
    while at < len(lines):
        try:
            (cells, taken), is_bad = first_row(lines[at:]), False
        except csv.Error:
            cells, taken, is_bad = lines[at].rstrip("\r\n").split(","), 1, True
        if is_bad or "".join(cells).strip():
            found.append((at + 2, cells, is_bad))
        at += taken
    return found


@settings(max_examples=600, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(['"', '""', ",", "\n", "\r\n", 'a","\n', '"a', "b", '"\n', "x" * 12 + "\n", '","', '"b"']),
        max_size=40,
    ).map("".join)
)
def test_what_is_not_followed_twice_is_read_as_if_it_were(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "MAX_CELL", 20)
        rows = read("email,name\n" + text)
        wanted = one_by_one(text)
    assert [(row.line, row.cells, bool(row.fault)) for row in rows] == wanted
