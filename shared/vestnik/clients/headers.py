"""What the columns of a file of clients mean: which row names them, and which name means what.

People's programs write titles above the names, several columns of addresses, names in parts and as a whole. The column
of addresses is the one that is called so and holds some; where a file could be read in several ways, the content of its
rows decides. A file is refused only if it has no column of addresses.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from vestnik.clients import attributes, column_names
from vestnik.clients.encodings import ImportRefused

MAX_COLUMNS = attributes.MOST_NAMES + 5
"""Columns that an export of an owner's clients may have, or a file of its refused rows."""
_TITLES = 40
"""Rows in which the columns' names are searched."""
_NEARLY_ALL = 0.9
"""Share of addresses that makes a column with another name the column of addresses."""
_OWN = ("email", "full_name", "comment")
"""Columns with which Vestnik's own tables begin, after those of refused rows."""

# One address and nothing else. No separator may stand in it, or a row that is not split yet would be one.
_ADDRESS = re.compile(r"[^\s@,;|<>\"]{1,80}@[^\s@,;|<>\"]{1,250}")


def of_refused() -> tuple[str, str]:
    """Return the names of the two columns with which a file of refused rows begins, in the reader's language.

    When it is corrected and imported again, they are left out.
    """
    return _("refused line"), _("refused because")


@cache
def _ignored() -> frozenset[str]:
    names = {""}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            names.update(of_refused())
    return frozenset(names)


class Above(NamedTuple):
    """The rows above the columns' names."""

    rows: int
    first: str
    """What the first of them says."""


class Meaning(NamedTuple):
    """A column's name in the file, and what becomes of it, in the reader's language."""

    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a row hold what.

    Where `email` holds no address, the first of `other_emails` that has one is taken. A full name may be put together
    from several cells, in the file's order; where those are empty, from the cells of `instead`. `statuses` are the
    columns that may say who does not want letters any more. `by_content`: no name says that the addresses are there.
    """

    count: int
    email: int
    other_emails: tuple[int, ...]
    by_content: bool
    full_name: tuple[int, ...]
    instead: tuple[int, ...]
    comment: int | None
    attributes: dict[int, str]
    statuses: tuple[int, ...]
    above: Above


class Place(NamedTuple):
    """A row that may name the columns, and its column of addresses; the greater of two is the likelier."""

    is_own: bool
    holds_addresses: bool
    is_clients: bool
    known_names: int
    names: int
    likeness: int
    share: float
    row_from_below: int
    column_from_right: int

    @property
    def row(self) -> int:
        """The row's index."""
        return -self.row_from_below

    @property
    def column(self) -> int:
        """The column's index."""
        return -self.column_from_right


def place_of_names(rows: Sequence[list[str]]) -> Place | None:
    """Return where the columns are named, in a file that begins with these rows; None where no row names them.

    What stands below a name and its addresses is data, whatever it looks like: a second file pasted below the first has
    names, too, and some people write “no e-mail” into a cell.
    """
    columns = _Addresses(rows)
    found: list[Place] = []
    data_from = len(rows)
    for number, names in enumerate(rows[:_TITLES]):
        if number >= data_from:
            break
        if number in columns.rows:
            continue
        of_row = columns.places(number, names)
        if of_row:
            found.append(max(of_row, key=_as_column))
        data_from = min([data_from, *(columns.first_below(number, place.column) for place in of_row)])
    return max(found, default=None)


def _as_column(place: Place) -> tuple[bool, bool, bool, bool, int, float, int]:
    """Return a key for the columns of one row: the greater is the likelier.

    A column with exactly that name may be empty; somebody else's address, such as a manager's, is taken only where
    there is no other.
    """
    is_exact = place.holds_addresses and place.likeness == 3
    is_clients = place.holds_addresses and place.is_clients
    has_some = place.share > 0
    return place.is_own, is_exact, is_clients, has_some, place.likeness, place.share, place.column_from_right


def _own_column(names: list[str]) -> int | None:
    """Return the column of addresses of Vestnik's own tables, whose attributes may have any name."""
    for start in (0, len(of_refused())):
        if tuple(name.strip() for name in names[start : start + len(_OWN)]) == _OWN:
            return start
    return None


class _Addresses:
    """Where addresses stand in a file's first rows."""

    def __init__(self, rows: Sequence[list[str]]) -> None:
        self._count = len(rows)
        self._widths = list(map(_filled, rows))
        self._filled: dict[int, list[int]] = {}
        self._addresses: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell.strip():
                    self._filled.setdefault(column, []).append(number)
                    if _is_address(cell):
                        self._addresses.setdefault(column, []).append(number)
        self.rows = {number for numbers in self._addresses.values() for number in numbers}
        """Rows with an address: they name no columns."""

    def first_below(self, row: int, column: int) -> int:
        """Return the first row below with an address in that column, or the number of rows."""
        numbers = self._addresses.get(column, [])
        at = bisect_right(numbers, row)
        return numbers[at] if at < len(numbers) else self._count

    def places(self, row: int, names: list[str]) -> list[Place]:
        """Return each column that might be that of addresses, if this row names the columns."""
        own, found = _own_column(names), []
        known, filled = sum(map(column_names.is_known, names)), _filled(names)
        for column, name in enumerate(names):
            likeness = column_names.likeness(name)
            addresses, cells = self._below(self._addresses, row, column), self._below(self._filled, row, column)
            if likeness == 0:
                is_one = addresses > 0 and addresses >= _NEARLY_ALL * cells and _may_be_a_name(name)
            else:
                may_be_empty = likeness > 1 or row + 1 == self._count
                is_one = addresses > 0 or (may_be_empty and (known > 1 or row == 0 or likeness == 3))
            if is_one and (known > 1 or not self._is_below_an_address(row, column, filled)):
                holds = addresses > 0 or (likeness > 1 and cells == 0)
                share = addresses / max(1, self._count - row - 1)
                is_clients = not column_names.is_somebody_elses(name)
                found.append(Place(column == own, holds, is_clients, known, filled, likeness, share, -row, -column))
        return found

    def _is_below_an_address(self, row: int, column: int, filled: int) -> bool:
        """Say whether an address stands above in that column, in a row as full, so that this one is data, too."""
        numbers = self._addresses.get(column, [])
        return any(self._widths[number] >= filled for number in numbers[: bisect_right(numbers, row)])

    @staticmethod
    def _below(numbers: dict[int, list[int]], row: int, column: int) -> int:
        of_column = numbers.get(column, [])
        return len(of_column) - bisect_right(of_column, row)


def _filled(row: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _may_be_a_name(cell: str) -> bool:
    return "@" not in cell and any(map(str.isalpha, cell))


def _is_address(cell: str) -> bool:
    return "@" in cell and bool(_ADDRESS.fullmatch(first_of(cell)))


def first_of(cell: str) -> str:
    """Return the first of several addresses in a cell, as Google's contacts write them (“a@example.org :::
    b@example.org”).
    """
    return cell.partition(":::")[0].strip() if ":::" in cell else cell.strip()


def understand(header: list[str], place: Place, above: Sequence[list[str]], rows: Sequence[list[str]]) -> Columns:
    """Return what each column means, knowing which holds the addresses, and the rows above and below the names.

    Raises ImportRefused for too many columns.
    """
    if len(header) > MAX_COLUMNS:
        raise ImportRefused(
            _("The file has %(number)d columns; at most %(limit)d can be read.")
            % {"number": len(header), "limit": MAX_COLUMNS}
        )
    email = place.column
    keys = [column_names.key(name) if index != email else "" for index, name in enumerate(header)]
    names, instead = _names(keys, rows) or _names(list(map(column_names.without_whom, keys)), rows) or ((), ())
    comment = next((at for at, key in enumerate(keys) if key in column_names.COMMENT and at not in names), None)
    taken = {email, *names, comment}
    others = [index for index, name in enumerate(header) if index not in taken and name.strip() not in _ignored()]
    statuses = tuple(index for index in others if column_names.STATUS.search(keys[index]))
    emails = tuple(index for index in others if index not in statuses and column_names.likeness(header[index]) > 1)
    return Columns(
        count=len(header),
        email=email,
        other_emails=() if place.is_own else tuple(index for index in emails if _may_hold_addresses(rows, index)),
        by_content=place.likeness == 0,
        full_name=names,
        instead=instead,
        comment=comment,
        attributes=_attribute_names(header, others),
        statuses=statuses,
        above=Above(len(above), " ".join(cell.strip() for row in above[:1] for cell in row).strip()),
    )


def _may_hold_addresses(rows: Sequence[list[str]], column: int) -> bool:
    filled = [row[column] for row in rows if row[column : column + 1] and row[column].strip()]
    return not filled or any(map(_is_address, filled))


def _names(keys: list[str], rows: Sequence[list[str]]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the columns of a full name, and those of its parts where that is a column of its own."""

    def find(known: frozenset[str]) -> tuple[int, ...]:
        return tuple(index for index, key in enumerate(keys) if key in known)

    beside = frozenset(name for name, others in column_names.BESIDE.items() if others & set(keys))
    parts = find(column_names.FIRST_NAME | column_names.LAST_NAME | column_names.OTHER_PARTS | beside)
    name, first = find(column_names.NAME_PERHAPS), find(column_names.FIRST_NAME)
    all_parts = tuple(sorted({*parts, *name[:1]}))
    if whole := find(column_names.FULL_NAME):
        # Vestnik's own tables say full_name, and mean nobody's name where it is empty.
        return whole[:1], () if keys[whole[0]] == "fullname" else all_parts
    if shown := find(column_names.DISPLAY_NAME)[:1]:
        logins = find(column_names.LOGIN)
        if not all_parts or _shows_names(rows, shown[0], all_parts, unless_known=not logins):
            return shown, all_parts
        return all_parts, () if logins else shown
    is_whole = not parts or (first and (find(column_names.LAST_NAME) or (name and _holds(rows, name[0], first[0]))))
    if name and is_whole:
        return name[:1], parts
    if parts:
        return all_parts, ()
    at_last = find(column_names.NAME_AT_LAST)
    return (at_last[:1], ()) if at_last else None


def _shows_names(rows: Sequence[list[str]], shown: int, parts: Sequence[int], *, unless_known: bool) -> bool:
    """Say whether displayed names are mostly people's names, which are there in parts, too, and not their logins.

    Returns `unless_known` where no row has both.
    """
    both = [row for row in rows if row[shown : shown + 1] and row[shown].strip()]
    named = [row for row in both if any(cell.strip() for part in parts for cell in row[part : part + 1])]
    if not named:
        return unless_known
    return 2 * sum(all(_holds([row], shown, part) for part in parts) for row in named) > len(named)


def _holds(rows: Sequence[list[str]], whole: int, part: int) -> bool:
    """Say whether the whole name's cells contain the part's."""
    both = [row for row in rows if len(row) > max(whole, part) and row[part].strip()]
    return all(row[part].strip().casefold() in row[whole].casefold() for row in both)


def _attribute_names(header: list[str], columns: list[int]) -> dict[int, str]:
    """Return what the columns' attributes are called. Of equal ones the second is called NAME_2, and so on."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for index in columns:
        plain = name = attributes.named(header[index]) or f"column_{index + 1}"
        while attributes.key(name) in taken:
            numbers[plain] = numbers.get(plain, 1) + 1
            name = f"{plain[: attributes.NAME_LENGTH - 5]}_{numbers[plain]}"
        names[index] = name
        taken.add(attributes.key(name))
    return names


def meanings(header: list[str], columns: Columns) -> list[Meaning]:
    """Return the columns' names in the file, and what becomes of each."""
    known = {columns.email: _("e-mail address"), columns.comment: _("comment")}
    known |= {index: _("attribute %(name)s") % {"name": name} for index, name in columns.attributes.items()}
    for index in columns.other_emails:
        known[index] = _("attribute %(name)s; the e-mail address where there is no other") % {
            "name": columns.attributes[index]
        }
    whole = _("full name") if len(columns.full_name) == 1 else _("part of the full name")
    known |= dict.fromkeys(columns.full_name, whole)
    return [Meaning(name, known.get(index, _("passed over"))) for index, name in enumerate(header)]


def listed(names: list[str]) -> str:
    """Return names in quotation marks, as far as there is room."""
    shown = [_("“%(name)s”") % {"name": name if len(name) <= 40 else name[:39] + "…"} for name in names[:10]]
    return ", ".join(shown) + (" …" if len(names) > 10 else "")
