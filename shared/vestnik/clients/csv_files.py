"""Reading a file of clients: its encoding, its separator, the line that names its columns, and its rows, one at a time.

A file is looked at before it is read: `look` says how it would be read, and `opened` reads it so, or as it is told.
Neither guesses silently: where the encoding is not certain and was not given, `opened` refuses. The apostrophes that
Vestnik's own tables have before formulas are dropped. Whatever the file holds, memory stays flat: no line is longer
than a megabyte, and a quote that is opened and never closed costs its own row, not the rest of the file.
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from typing import BinaryIO, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vestnik.clients import encodings, headers, mixed_encodings
from vestnik.clients.encodings import ENCODINGS, Found, ImportRefused
from vestnik.clients.headers import Columns
from vestnik.spreadsheets import as_written

__all__ = [
    "SEPARATORS",
    "Columns",
    "EncodingInDoubt",
    "ImportRefused",
    "Look",
    "Row",
]

SEPARATORS = {
    ",": gettext_lazy("comma"),
    ";": gettext_lazy("semicolon"),
    "\t": gettext_lazy("tab"),
    "|": gettext_lazy("vertical bar"),
}
"""Separators of cells, with their names for people."""

MAX_ROW = 1 << 18
"""Characters of a row. A client's row has half as many at most: in a longer one a quote is not closed."""
MAX_CELL = 10_000
"""Characters of the longest of a client's texts. A longer cell of several lines is none: a quote is not closed."""
SHOWN = 10
"""Rows that a look shows."""

_SAMPLE_LINES, _SAMPLE = 200, 1 << 18
"""Lines and characters by which the separator and the columns are recognised."""
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_BLANKS_BEHIND_QUOTES = {separator: re.compile(rf'" +(?=[{separator}\r\n]|$)') for separator in SEPARATORS}
# A cell in quotes behind blanks, seen from the row's beginning: cells are in quotes or have none.
_BLANKS_BEFORE_QUOTES = {
    separator: re.compile(rf'(?:(?:"(?:[^"]|"")*+" *+|[^"{separator}]*+){re.escape(separator)})* +"')
    for separator in SEPARATORS
}
_LINE_END = re.compile("\r\n|\r|\n")
_NOT_READ = re.compile("[\0\udc80-\udcff]")


class EncodingInDoubt(ImportRefused):
    """The file can be read in several encodings, and none was given. `found` is the likeliest."""

    def __init__(self, found: Found) -> None:
        self.found = found
        super().__init__(
            _("It is not certain in which encoding the file is written; most likely it is %(encoding)s.")
            % {"encoding": ENCODINGS[found.encoding]}
        )


class NoHeader(ImportRefused):
    """No line of the file names a column of addresses, if it is read like that."""


class Row(NamedTuple):
    """One row: the number of its first line, its cells as they are, and why they cannot be read, if so."""

    line: int
    cells: list[str]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How a file is to be read, what its columns mean, and its first rows."""

    found: Found
    delimiter: str
    header: list[str]
    columns: Columns
    rows: list[Row]


class Sheet:
    """A file's header, understood, and its rows, to be read once. Made by `opened`."""

    def __init__(self, text: Iterable[str], found: Found, delimiter: str = "") -> None:
        self.found = found
        self._lines = _Lines(iter(text))
        sample = list(self._lines.ahead(_SAMPLE_LINES, _SAMPLE))
        if not any(line.strip() for line in sample):
            raise ImportRefused(_("The file is empty."))
        hint = _SEPARATOR_LINE.fullmatch(sample[0])
        if hint:
            delimiter = delimiter or (hint[1] if hint[1] in SEPARATORS else "")
        self.delimiter, self._has_blanks, rows, place = _layout(sample, delimiter)
        self._lines.drop(rows[place.row].line - 1)
        self._first_line = rows[place.row].line
        first_row = next(self._all_rows())
        self.header = [name.strip() for name in first_row.cells]
        self._first_line += len(self._lines.taken)
        below = [row.cells for row in rows[place.row + 1 :] if not row.fault]
        above = [row.cells for row in rows[1 if hint else 0 : place.row]]
        self.columns = headers.understand(self.header, place, above, below)

    def rows(self) -> Iterator[Row]:
        """Return the rows that are not blank, in their order."""
        rows = map(self._if_not_the_header, self._all_rows())
        return map(self._checked, rows) if self.found.may_have_bad_bytes else rows

    def _all_rows(self) -> Iterator[Row]:
        return _rows(self._lines, self.delimiter, self._has_blanks, self._first_line)

    def _if_not_the_header(self, row: Row) -> Row:
        """Return the row, with a fault if it names the columns again, as where one file is pasted below another."""
        if row.cells[0].strip() != self.header[0] or [cell.strip() for cell in row.cells] != self.header:
            return row
        return Row(row.line, row.cells, row.fault or _("The line names the columns once more; it is no client."))

    def _checked(self, row: Row) -> Row:
        """Return the row, with a fault if some of its bytes mean nothing in the file's encoding."""
        encoding = self.found.encoding
        if not any(_NOT_READ.search(cell) for cell in row.cells):
            if (
                encoding == "utf-8"
                or encodings.is_replaced(encoding)
                or not mixed_encodings.is_utf8(row.cells, encoding)
            ):
                return row
            said = _("The line is written in UTF-8, and not in %(encoding)s like the rest of the file.")
            return Row(row.line, row.cells, row.fault or said % {"encoding": ENCODINGS[encoding]})
        cells = [_NOT_READ.sub("\ufffd", cell) for cell in row.cells]
        place = next(cell for cell in cells if "\ufffd" in cell)
        at = max(0, place.index("\ufffd") - 20)
        fault = _("Some bytes are no letters in %(encoding)s; “�” stands for them here: “%(place)s”.") % {
            "encoding": ENCODINGS[encoding],
            "place": place[at : at + 40],
        }
        return Row(row.line, cells, row.fault or fault)


@contextmanager
def opened(source: BinaryIO, encoding: str = "", delimiter: str = "") -> Iterator[Sheet]:
    """Yield the sheet in a seekable file, which is left open, read as given or as is certain.

    Raises ImportRefused, and EncodingInDoubt where the encoding was not given and is not certain.
    """
    found = encodings.find(source, encoding)
    if not found.is_certain:
        raise EncodingInDoubt(found)
    with _read(source, found, delimiter) as sheet:
        yield sheet


def look(source: BinaryIO, encoding: str = "", delimiter: str = "", found: Found | None = None) -> Look:
    """Return how a seekable file is best read, or how it reads as given, with its first rows. Raises ImportRefused."""
    found = found or encodings.find(source, encoding)
    with _read(source, found, delimiter) as sheet:
        return Look(found, sheet.delimiter, sheet.header, sheet.columns, list(islice(sheet.rows(), SHOWN)))


@contextmanager
def _read(source: BinaryIO, found: Found, delimiter: str) -> Iterator[Sheet]:
    source.seek(0)
    # An undecodable byte is marked, so that its row can be refused; in wide encodings it spoils its neighbours, too.
    errors = "replace" if encodings.is_replaced(found.encoding) else "surrogateescape"
    text = TextIOWrapper(source, found.encoding, errors=errors, newline="")
    try:
        yield Sheet(text, found, delimiter)
    finally:
        text.detach()


def _layout(sample: list[str], said: str) -> tuple[str, bool, list[Row], headers.Place]:
    """Return the separator, whether blanks stand around quotes, the sample's rows, and where the columns are named.

    Raises ImportRefused where no row names them.
    """
    readings = []
    found = []
    for separator in (said,) if said else SEPARATORS:
        rows = list(_rows(_Lines(iter(sample)), separator, False, 1))
        has_blanks = any(_BLANKS_BEFORE_QUOTES[separator].match(sample[row.line - 1]) for row in rows)
        if has_blanks:
            rows = list(_rows(_Lines(iter(sample)), separator, True, 1))
        readings.append((separator, has_blanks, rows))
        cells = [[] if row.fault else row.cells for row in rows]
        if place := headers.place_of_names(cells):
            found.append((place, len(readings) - 1))
    if found:
        place, index = max(found, key=lambda one: (one[0], -one[1]))
        return *readings[index], place
    if not any(rows for _separator, _blanks, rows in readings):
        raise ImportRefused(_("The file is empty."))
    readings = [reading for reading in readings if reading[2]]
    if all(rows[0].fault for _separator, _blanks, rows in readings):
        raise NoHeader(_("The header line cannot be read: a quote in it is opened and not closed."))
    first = max((rows[0].cells for _separator, _blanks, rows in readings), key=len)
    raise NoHeader(
        _("No column is called “email” or the like; the first line has: %(columns)s.")
        % {"columns": headers.listed([name.strip() for name in first])}
    )


def _rows(lines: "_Lines", delimiter: str, has_blanks: bool, number: int) -> Iterator[Row]:
    """Yield the rows that are not blank.

    `number` is the first line's; `has_blanks`: blanks stand around quoted cells.
    """
    lines.cleaned = _BLANKS_BEHIND_QUOTES[delimiter] if has_blanks else None
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=has_blanks)
    while True:
        lines.begin()
        try:
            cells = next(reader)
            if len(lines.taken) > 1:
                _refuse_long_cells(cells)
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            first = lines.give_back_all_but_one(error)
            yield Row(number, first.rstrip("\r\n").split(delimiter), _say(error))
            number += 1
        else:
            if "".join(cells).strip():
                yield Row(number, [as_written(cell) for cell in cells])
            number += len(lines.taken)


def _refuse_long_cells(cells: list[str]) -> None:
    """Raise _TooLong for a cell that is longer than any client's text, as Vestnik's own tables write it."""
    for index in reversed(range(len(cells))):
        if len(cells[index]) > MAX_CELL and len(as_written(cells[index])) > MAX_CELL:
            raise _TooLong(lines=sum(len(_LINE_END.findall(cell)) for cell in cells[: index + 1]))


def _say(error: Exception) -> str:
    if "larger than" in str(error):
        return _("A cell is longer than %(limit)d characters, or a quote is opened and not closed.") % {
            "limit": csv.field_size_limit()
        }
    return _("A quote is opened and not closed, or stands in the middle of a cell.")


class _TooLong(Exception):
    """A row goes on and on, most likely after a quote that is not closed.

    `lines` is how many end before that is seen.
    """

    def __init__(self, said: str = "", lines: int = 0) -> None:
        self.lines = lines
        super().__init__(said)


class _Lines(Iterator[str]):
    """The lines of a text, with a memory of those of the current row, which can be given back.

    All lines but the first of an unreadable row are read again. No line is read more than two or three times: whatever
    row goes on after a line's end within a quote goes on alike, for what is quoted there was opened by the same quote.
    So where one of them led nowhere, the others are not followed.
    """

    def __init__(self, text: Iterator[str]) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._room = MAX_ROW
        self._begun = 0
        self._nowhere = 0
        self._why = ""
        self.taken: list[str] = []
        self.cleaned: re.Pattern[str] | None = None

    def ahead(self, lines: int, characters: int) -> Sequence[str]:
        """Return the first lines, without a byte order mark; they are still to be read afterwards."""
        for line in islice(self._text, lines):
            self._again.append(line if self._again else line.removeprefix("\ufeff"))
            characters -= len(line)
            if characters < 0:
                break
        return self._again

    def drop(self, lines: int) -> None:
        """Skip some of the lines that were looked at."""
        for _number in range(lines):
            self._again.popleft()

    def begin(self) -> None:
        """Begin a row."""
        self._begun += len(self.taken)
        self.taken.clear()
        self._room = MAX_ROW

    def __next__(self) -> str:
        if self.taken:
            self._room -= len(self.taken[-1])
            if self._begun + len(self.taken) <= self._nowhere:
                raise _TooLong(self._why)
            if self._room < 0:
                raise _TooLong(lines=self._lines_that_lead_nowhere())
        line = self._again.popleft() if self._again else next(self._text)
        self.taken.append(line)
        return self.cleaned.sub('"', line) if self.cleaned else line

    def give_back_all_but_one(self, error: Exception) -> str:
        """Return the first line of the row, which cannot be read because of `error`, and give back the others."""
        lines = error.lines if isinstance(error, _TooLong) else len(self.taken) - 1
        if self._begun + lines > self._nowhere:
            self._nowhere, self._why = self._begun + lines, str(error)
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        self.taken = [first]
        return first

    def _lines_that_lead_nowhere(self) -> int:
        """Return after how many lines so much follows without an end that no row can follow them either."""
        followed, number = 0, len(self.taken)
        while number and followed < MAX_ROW // 2:
            number -= 1
            followed += len(self.taken[number])
        return number
