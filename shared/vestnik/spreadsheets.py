"""Tables for spreadsheets: CSV that opens with its letters intact and in which nothing is a formula."""

import csv
import re
from collections.abc import Iterable, Iterator

# Where a formula begins: at the cell's start, and behind what stands between cells in files of other countries, for
# their spreadsheets split the cell there, quoted or not. Quotes and apostrophes may lie between. The full-width signs
# are the same to spreadsheets of East Asia.
_SIGNS = r"=+\-@＝＋－＠"
_FORMULA = re.compile(rf"""(^["']*(?=[{_SIGNS}\t\r])|[;,\t\r\n]["']*(?=[{_SIGNS}]))""")
_GUARDED = re.compile(rf"""(^["']*)'(?=[{_SIGNS}\t\r])|([;,\t\r\n]["']*)'(?=[{_SIGNS}])""")


def harmless(cell: str) -> str:
    """Return the cell with an apostrophe before whatever a spreadsheet could take for a formula."""
    return _FORMULA.sub(r"\1'", cell)


def as_written(cell: str) -> str:
    """Return the cell as it was before it was made harmless."""
    return _GUARDED.sub(r"\1\2", cell) if "'" in cell else cell


class Writer:
    """A writer of lines of CSV (RFC 4180): harmless cells in quotes, UTF-8, a byte order mark before the first line."""

    def __init__(self, delimiter: str = ",") -> None:
        self._csv = csv.writer(_Given(), delimiter=delimiter, quoting=csv.QUOTE_ALL)
        self._encoding = "utf-8-sig"

    def line(self, cells: Iterable[str]) -> bytes:
        """Return one row as an encoded line, with its line end."""
        text: str = self._csv.writerow([harmless(cell) for cell in cells])
        encoding, self._encoding = self._encoding, "utf-8"
        return text.encode(encoding)


def lines(rows: Iterable[Iterable[str]], delimiter: str = ",") -> Iterator[bytes]:
    """Return the rows as encoded lines, one at a time: to be written to a file, or given to a streaming response."""
    return map(Writer(delimiter).line, rows)


class _Given:
    """What csv.writer takes for a file: it hands the text back."""

    def write(self, text: str) -> str:
        return text
