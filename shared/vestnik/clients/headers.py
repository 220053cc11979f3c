"""What the columns of a file of clients mean: which line names them, and who calls what how.

People's programs write titles above the names, several columns of addresses, names in parts and as a whole. The column
of addresses is the one that is called so and holds some; where a file could be read in several ways, what stands in its
rows decides. Nothing but a missing column of addresses sinks a file.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from vestnik.clients import attributes
from vestnik.clients.encodings import ImportRefused

MAX_COLUMNS = 1_000
_TITLES = 40
"""Rows within which the columns' names are looked for."""
_KEY_LENGTH = 200


def _plain(text: str) -> str:
    """Without case and accents, so that ё is е and й is и."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")


def _key(name: str) -> str:
    """By what headers are compared: letters and digits alone."""
    return "".join(letter for letter in _plain(name[:_KEY_LENGTH]) if letter.isalnum())


def _words(text: str) -> frozenset[str]:
    return frozenset(map(_key, text.split()))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_plain(text))


# The second “еmail” begins with a Cyrillic letter.
_EMAIL = _words(
    "email еmail mail emailaddress mailaddress почта элпочта электроннаяпочта емейл емаил имейл мейл email1 "
    "адресэлектроннойпочты адресэлпочты электронныйадрес emailvalue useremail"
)
_LIKE_EMAIL = _pattern(
    "e?mail|почт|пошт|мейл|меил|маил|имеил|електроннаадреса|correo|courriel|posta|poczt|epost|posti|pastas|epasts"
    "|邮箱|邮件|郵箱|郵件|信箱|メール|이메일|메일|ταχυδρομ|بريد|دואל|דואל"
)
# What is called so holds addresses only if some stand there: an “address” is a street, a “mail type” a word.
_PERHAPS = _pattern(
    "^(address|адрес|adresse|direccion|indirizzo|endereco)$|mailing|label|type|domain|status|consent|verif|confirm|optin"
    "|optout|date|time|count|open|click|bounce|subscri|source|тип|статус|дата|подтвержд|соглас|открыт|клик|подпис"
    "|почтовый|индекс|postal|количеств"
)
_FULL_NAME = _words(
    "fullname фио полноеимя имяифамилия имяфамилия фамилияимя фамилияиимя фамилияимяотчество имяотчествофамилия "
    "displayname полноеимяконтакта фиоклиента фиоконтакта піб nombrecompleto nomcomplet vollstandigername каквасзовут "
    "вашеимя вашефио contactname clientname customername yourname"
)
_FIRST_NAME = _words("firstname givenname fname")
_LAST_NAME = _words("lastname surname familyname lname фамилия фамилія прізвище")
_OTHER_PARTS = _words(
    "middlename additionalname patronymic отчество побатькові vorname nachname prenom apellido apellidos imię imie "
    "nazwisko jmeno prijmeni cognome sobrenome secondname"
)
_NAME_PERHAPS = _words("name имя імя nombre nom nome imia")
_NAME_AT_LAST = _words("наименование контрагент клиент контакт подписчик получатель client customer contact recipient")
_COMMENT = _words("comment comments note notes комментарий комментарии примечание примечания заметки заметка коментар")
_WHOSE = re.compile("^(billing|customer|contact|user|subscriber|client)(?=.)")
_STATUS = _pattern(
    "^(status|статус|subscribed|подписан|подписка|emailstatus|statusemail|availability|emailavailability)$"
    "|unsub|optout|optedout|отпис|bounce|suppress|complain|blacklist|donotmail|donotcontact|donotemail|subscriptionstatus"
    "|subscriberstatus|marketingstatus|статусподпис|статусemail|жалоб|чернысписок"
)
# One address and nothing else. No separator may stand in it, or a row that is not split yet would be one.
_ADDRESS = re.compile(r"[^\s@,;|<>\"]{1,80}@[^\s@,;|<>\"]{1,250}")


def of_refused() -> tuple[str, str]:
    """What the two columns are called that a file of refused rows begins with, in the reader's language. Mended and
    imported again, it is read without them.
    """
    return _("refused line"), _("refused because")


@cache
def _ignored() -> frozenset[str]:
    names = {""}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            names.update(of_refused())
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row things stand.

    A full name may be put together from several cells, in the file's order; where those are empty, from the cells of
    `instead`. `statuses` are the columns that may say who does not want letters any more.
    """

    count: int
    email: int
    full_name: tuple[int, ...]
    instead: tuple[int, ...]
    comment: int | None
    attributes: dict[int, str]
    statuses: tuple[int, ...]


class Place(NamedTuple):
    """A row that may name the columns, and its column of addresses; the greater of two is the likelier."""

    has_addresses: bool
    likeness: int
    share: float
    width: int
    row_from_below: int
    column_from_right: int

    @property
    def row(self) -> int:
        return -self.row_from_below

    @property
    def column(self) -> int:
        return -self.column_from_right


def places(rows: Sequence[list[str]]) -> Iterable[Place]:
    """Where the columns could be named, in a file that begins with these rows."""
    for number, names in enumerate(rows[:_TITLES]):
        for column, name in enumerate(names):
            likeness = _likeness(name)
            if not likeness:
                continue
            below = rows[number + 1 :]
            share = sum(len(row) > column and _is_address(row[column]) for row in below) / max(1, len(below))
            if share or likeness > 1 or number + 1 == len(rows):
                yield Place(share > 0, likeness, share, len(names), -number, -column)


def _likeness(name: str) -> int:
    """How much a header looks like one of addresses: 3 exactly, 2 as one among others, 1 perhaps, 0 not at all."""
    key = _key(name)
    if "@" in name:
        return 0
    if key in _EMAIL:
        return 3
    is_like, is_perhaps = bool(_LIKE_EMAIL.search(key)), bool(_PERHAPS.search(key))
    return 1 if is_perhaps and (is_like or key in ("address", "адрес")) else 2 if is_like else 0


def _is_address(cell: str) -> bool:
    return "@" in cell and bool(_ADDRESS.fullmatch(first_of(cell)))


def first_of(cell: str) -> str:
    """The first of several addresses in a cell, as Google writes them."""
    return cell.partition(":::")[0].strip() if ":::" in cell else cell.strip()


def understand(header: list[str], email: int, rows: Sequence[list[str]]) -> Columns:
    """What each column means, where it is known which holds the addresses and what the first rows hold."""
    if len(header) > MAX_COLUMNS:
        raise ImportRefused(
            _("The file has %(number)d columns; at most %(limit)d can be read.")
            % {"number": len(header), "limit": MAX_COLUMNS}
        )
    keys = [_key(name) if index != email else "" for index, name in enumerate(header)]
    names, instead = _names(keys, rows) or _names([_WHOSE.sub("", key) for key in keys], rows) or ((), ())
    comment = next((index for index, key in enumerate(keys) if key in _COMMENT and index not in names), None)
    taken = {email, *names, comment}
    others = [index for index, name in enumerate(header) if index not in taken and name.strip() not in _ignored()]
    statuses = tuple(index for index in others if _STATUS.search(keys[index]))
    return Columns(len(header), email, names, instead, comment, _attribute_names(header, others), statuses)


def _names(keys: list[str], rows: Sequence[list[str]]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The columns of a full name, and those of its parts where that is a column of its own."""

    def find(known: frozenset[str]) -> tuple[int, ...]:
        return tuple(index for index, key in enumerate(keys) if key in known)

    parts = find(_FIRST_NAME | _LAST_NAME | _OTHER_PARTS)
    if whole := find(_FULL_NAME):
        # Vestnik's own tables say full_name, and mean nobody's name where it is empty.
        return whole[:1], () if keys[whole[0]] == "fullname" else parts
    name, first = find(_NAME_PERHAPS), find(_FIRST_NAME)
    is_whole = not parts or (first and (find(_LAST_NAME) or (name and _holds(rows, name[0], first[0]))))
    if name and is_whole:
        return name[:1], parts
    if parts:
        return tuple(sorted({*parts, *name[:1]})), ()
    at_last = find(_NAME_AT_LAST)
    return (at_last[:1], ()) if at_last else None


def _holds(rows: Sequence[list[str]], whole: int, part: int) -> bool:
    """Whether what stands in one column stands in the other, too."""
    both = [row for row in rows if len(row) > max(whole, part) and row[part].strip()]
    return all(row[part].strip().casefold() in row[whole].casefold() for row in both)


def _attribute_names(header: list[str], columns: list[int]) -> dict[int, str]:
    """What the columns' attributes are called. Of equal ones the second is called NAME_2, and so on."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for index in columns:
        plain = name = attributes.named(header[index]) or f"column_{index + 1}"
        number = 1
        while attributes.key(name) in taken:
            number += 1
            name = f"{plain[: attributes.NAME_LENGTH - 5]}_{number}"
        names[index] = name
        taken.add(attributes.key(name))
    return names


def meanings(header: list[str], columns: Columns) -> list[tuple[str, str]]:
    """The columns' names in the file, and what becomes of each."""
    known = {columns.email: _("e-mail address"), columns.comment: _("comment")}
    known |= {index: _("attribute %(name)s") % {"name": name} for index, name in columns.attributes.items()}
    whole = _("full name") if len(columns.full_name) == 1 else _("part of the full name")
    known |= dict.fromkeys(columns.full_name, whole)
    return [(name, known.get(index, _("passed over"))) for index, name in enumerate(header)]


def listed(names: list[str]) -> str:
    """Names in quotation marks, as far as there is room."""
    shown = [_("“%(name)s”") % {"name": name if len(name) <= 40 else name[:39] + "…"} for name in names[:10]]
    return ", ".join(shown) + (" …" if len(names) > 10 else "")
