"""Reading a file of clients: its encoding, its delimiter, what its columns mean, and its rows, one at a time.

A file is UTF-8 (with or without a byte order mark) or else cp1251; its header line decides between comma, semicolon
and tab. The apostrophes that Vestnik's own tables have before formulas are dropped. Whatever stands in the file, memory
stays flat: no line is longer than a megabyte, and a quote that is opened and never closed costs its own row, not the
rest of the file.
"""

import codecs
import csv
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import BinaryIO, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from vestnik.spreadsheets import as_written

MAX_LINE = 1 << 20
MAX_ROW_LINES = 200
ATTRIBUTE_LENGTH = 64
REFUSED_LINE = "refused line"
REFUSED_BECAUSE = "refused because"
"""Columns that a file of refused rows begins with. Mended and imported again, it is read without them."""

_CHUNK = 1 << 20
_DELIMITERS = ",;\t"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Headers are compared without case, spaces, dashes and underscores. The doubtful ones count where no better one is:
# an "address" may be a street, a "name" the first one only. The second "еmail" begins with a Cyrillic letter.
_EMAIL = _words(
    "email еmail mail emailaddress mailaddress почта элпочта электроннаяпочта емейл емайл имейл мейл "
    "адресэлектроннойпочты адресэлпочты электронныйадрес"
)
_EMAIL_PERHAPS = _words("address адрес")
_FULL_NAME = _words(
    "fullname фио полноеимя имяифамилия имяфамилия фамилияимя фамилияиимя фамилияимяотчество имяотчествофамилия"
)
_NAME_PARTS = _words("firstname givenname lastname surname familyname middlename patronymic фамилия отчество")
_NAME_PERHAPS = _words("name имя")
_COMMENT = _words("comment comments note notes комментарий комментарии примечание примечания")
_IGNORED = ("", REFUSED_LINE, REFUSED_BECAUSE)


class ImportRefused(ValidationError):
    """The whole file cannot be imported, and nothing was changed. One sentence says why."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row things stand. A full name may be put together from several cells, in the file's order."""

    count: int
    email: int
    full_name: tuple[int, ...]
    comment: int | None
    attributes: dict[int, str]


class Row(NamedTuple):
    """One row: the number of its first line, its cells as they stand there, and why they cannot be read, if so."""

    line: int
    cells: list[str]
    fault: str = ""


class Sheet:
    """A file's header, understood, and its rows, to be read once. Made by `opened`."""

    def __init__(self, text: TextIOWrapper) -> None:
        self._lines = _Lines(text)
        self._first_row = 1
        for line in self._lines:
            self._first_row += 1
            self._lines.taken.clear()
            if line.strip():
                break
        else:
            raise ImportRefused(_("The file is empty."))
        self.delimiter, self.header = _read_header(line)
        self.columns = _understand(self.header)

    def rows(self) -> Iterator[Row]:
        """The rows that are not blank, in their order."""
        lines, number = self._lines, self._first_row
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            lines.taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooManyLines) as error:
                first = lines.give_back_all_but_one()
                yield Row(number, first.rstrip("\r\n").split(self.delimiter), _say(error))
                number += 1
            else:
                if "".join(cells).strip():
                    yield Row(number, [as_written(cell) for cell in cells])
                number += len(lines.taken)


@contextmanager
def opened(source: BinaryIO) -> Iterator[Sheet]:
    """The sheet in a seekable file, which is left open. Raises ImportRefused."""
    source.seek(0)
    encoding = _encoding(source)
    source.seek(0)
    text = TextIOWrapper(source, encoding, newline="")
    try:
        yield Sheet(text)
    finally:
        text.detach()


def _encoding(source: BinaryIO) -> str:
    """Read the file through once: "utf-8-sig" or "cp1251". Refuses what is no text, or has endless lines."""
    utf8, cp1251, unbroken = True, True, 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    start = True
    while chunk := source.read(_CHUNK):
        if start and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ImportRefused(_("The file is in UTF-16; save it as CSV in UTF-8 and try again."))
        if start and chunk.startswith(codecs.BOM_UTF8):
            cp1251 = False
        start = False
        if b"\0" in chunk:
            raise ImportRefused(_("The file is binary; a CSV file is wanted (text, a client a line)."))
        last_end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        unbroken = unbroken + len(chunk) if last_end < 0 else len(chunk) - last_end - 1
        if unbroken > MAX_LINE:
            raise ImportRefused(_("The file has a line longer than a megabyte; is it a CSV file?"))
        cp1251 = cp1251 and b"\x98" not in chunk  # the one byte that means nothing there
        utf8 = utf8 and _decodes(decoder, chunk)
    if utf8 and _decodes(decoder, b"", final=True):
        return "utf-8-sig"
    if cp1251:
        return "cp1251"
    raise ImportRefused(_("The file is neither UTF-8 nor Windows-1251 text; save it as CSV in UTF-8 and try again."))


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _read_header(line: str) -> tuple[str, list[str]]:
    """The delimiter under which the line has an e-mail column, or else the most columns; and the columns' names."""
    readings = []
    for delimiter in _DELIMITERS:
        with suppress(csv.Error):
            names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True))]
            keys = {_key(name) for name in names}
            readings.append((bool(keys & _EMAIL), bool(keys & _EMAIL_PERHAPS), len(names), delimiter, names))
    if not readings:
        raise ImportRefused(_("The header line cannot be read: a quote in it is opened and not closed."))
    *_merits, delimiter, names = max(readings, key=lambda reading: reading[:3])
    return delimiter, names


def _understand(header: list[str]) -> Columns:
    keys = [_key(name) for name in header]

    def find(known: frozenset[str]) -> list[int]:
        return [index for index, key in enumerate(keys) if key in known]

    def one(found: list[int], what: str) -> int | None:
        if len(found) > 1:
            raise ImportRefused(
                _("Several columns could be the %(what)s: %(columns)s. Leave one of them.")
                % {"what": what, "columns": _listed([header[index] for index in found])}
            )
        return found[0] if found else None

    email = one(find(_EMAIL) or find(_EMAIL_PERHAPS), _("e-mail"))
    if email is None:
        raise ImportRefused(
            _("No column is called “email” or the like; the first line has: %(columns)s.")
            % {"columns": _listed(header)}
        )
    full_name = one(find(_FULL_NAME), _("full name"))
    if full_name is not None:
        names: tuple[int, ...] = (full_name,)
    elif find(_NAME_PARTS):
        names = tuple(find(_NAME_PARTS | _NAME_PERHAPS))
    else:
        name = one(find(_NAME_PERHAPS), _("full name"))
        names = () if name is None else (name,)
    comment = one(find(_COMMENT), _("comment"))
    taken = {email, *names, comment}
    others = [index for index, name in enumerate(header) if index not in taken and name not in _IGNORED]
    return Columns(len(header), email, names, comment, _attribute_names(header, others))


def _attribute_names(header: list[str], columns: list[int]) -> dict[int, str]:
    names: dict[int, str] = {}
    first: dict[str, str] = {}
    for index in columns:
        name = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", header[index])).strip("_")
        name = f"_{name}" if name[:1].isdigit() else name
        if not name.isidentifier() or len(name) > ATTRIBUTE_LENGTH:
            raise ImportRefused(
                _("The column %(column)s cannot name an attribute: letters, digits and underscores, at most 64.")
                % {"column": _listed([header[index]])}
            )
        if twin := first.get(name.casefold()):
            raise ImportRefused(
                _("Two columns would be one attribute: %(columns)s. Rename or leave out one of them.")
                % {"columns": _listed([twin, header[index]])}
            )
        names[index] = name
        first[name.casefold()] = header[index]
    return names


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold().replace("ё", "е"))


def _listed(names: list[str]) -> str:
    shown = [_("“%(name)s”") % {"name": name if len(name) <= 40 else name[:39] + "…"} for name in names[:10]]
    return ", ".join(shown) + (" …" if len(names) > 10 else "")


def _say(error: Exception) -> str:
    if "larger than" in str(error):
        return _("A cell is longer than %(limit)d characters, or a quote is opened and not closed.") % {
            "limit": csv.field_size_limit()
        }
    return _("A quote is opened and not closed, or stands in the middle of a cell.")


class _TooManyLines(Exception):
    """A row goes on and on: most likely a quote that is not closed."""


class _Lines(Iterator[str]):
    """The lines of a text, remembering those of the row that is being read, which can be given back."""

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self.taken: list[str] = []

    def __next__(self) -> str:
        if len(self.taken) == MAX_ROW_LINES:
            raise _TooManyLines
        line = self._again.popleft() if self._again else next(self._text)
        self.taken.append(line)
        return line

    def give_back_all_but_one(self) -> str:
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        return first
