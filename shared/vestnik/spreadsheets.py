"""Tables for spreadsheets: CSV that opens with its letters intact and in which nothing is a formula."""

import csv
from collections.abc import Iterable, Iterator

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


class Writer:
    """Makes rows into lines of CSV: harmless cells, UTF-8, a byte order mark before the first line."""

    def __init__(self, delimiter: str = ",") -> None:
        self._csv = csv.writer(_Given(), delimiter=delimiter)
        self._encoding = "utf-8-sig"

    def line(self, cells: Iterable[str]) -> bytes:
        """One row, encoded, with its line end."""
        text: str = self._csv.writerow([harmless(cell) for cell in cells])
        encoding, self._encoding = self._encoding, "utf-8"
        return text.encode(encoding)


def lines(rows: Iterable[Iterable[str]], delimiter: str = ",") -> Iterator[bytes]:
    """The rows as encoded lines, one at a time: to be written to a file, or given to a streaming response."""
    return map(Writer(delimiter).line, rows)


class _Given:
    """What csv.writer takes for a file: it hands the text back."""

    def write(self, text: str) -> str:
        return text
