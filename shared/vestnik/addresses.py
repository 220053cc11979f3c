"""E-mail addresses: the normal form in which they are compared, stored and written to; the form in which people write
them; and addresses masked in texts of others.
"""

import html
import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote

import idna
from django.utils.translation import gettext, gettext_lazy, override
from email_validator import EmailNotValidError, validate_email
from email_validator.types import ValidatedEmail

MAX_LENGTH = 254
"""Octets of an address, by RFC 3696's erratum 1690: what fits between the angle brackets of RFC 5321's path."""

# Nearly every address is of this plain form, already normal but for its case; the library takes twenty times as long.
_PLAIN = re.compile(
    r"(?=.{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}", re.ASCII
)
_REVIEWED = re.compile(r"(?:^|\.)(?:xn--|..--)|\.(?:arpa|invalid|local|localhost|onion|test)$")


_LOCAL_LENGTH = 64
_LABEL_LENGTH = 63
_LONGEST_WRITTEN = 4 * MAX_LENGTH
"""Characters of an address before it is made normal; what is longer is not even looked at."""
_BEFORE = "After Unicode normalization: "
_UNUSUAL = "The email address contains unusual forms of letters before the @-sign."
_TOO_LONG = "The email address is too long."

# The library's sentences that people meet, without what is in brackets, up to a colon: it names characters.
_SENTENCES = (
    gettext_lazy("An email address must have an @-sign."),
    gettext_lazy("There must be something before the @-sign."),
    gettext_lazy("There must be something after the @-sign."),
    gettext_lazy("An email address cannot have two periods in a row."),
    gettext_lazy("An email address cannot have a period immediately before the @-sign."),
    gettext_lazy("An email address cannot have a period immediately after the @-sign."),
    gettext_lazy("An email address cannot start with a period."),
    gettext_lazy("An email address cannot end with a period."),
    gettext_lazy("The email address contains invalid characters before the @-sign"),
    gettext_lazy("The part after the @-sign contains invalid characters"),
    gettext_lazy("Internationalized characters before the @-sign are not supported"),
    gettext_lazy("The part after the @-sign is not valid. It should have a period."),
    gettext_lazy("The part after the @-sign is not valid. It is not within a valid top-level domain."),
    gettext_lazy("The part after the @-sign is a special-use or reserved name that cannot be used with email."),
    gettext_lazy("A display name and angle brackets around the email address are not permitted here."),
    gettext_lazy("The email address contains unusual forms of letters before the @-sign."),
    gettext_lazy("The email address is too long."),
    gettext_lazy("The email address contains unsafe characters"),
    gettext_lazy("The email address contains invalid characters in quotes before the @-sign"),
    gettext_lazy("Quoting the part before the @-sign is not allowed here."),
    gettext_lazy("A bracketed IP address after the @-sign is not allowed here."),
    gettext_lazy("An email address cannot have a hyphen immediately after the @-sign."),
    gettext_lazy("An email address cannot end with a hyphen."),
    gettext_lazy("An email address cannot have a period and a hyphen next to each other."),
    gettext_lazy(
        "An email address cannot have two letters followed by two dashes immediately after the @-sign or after a"
        " period, except Punycode."
    ),
    gettext_lazy("The email address is too long before the @-sign."),
    gettext_lazy("The email address is too long after the @-sign."),
    gettext_lazy("After the @-sign, periods cannot be separated by so many characters."),
    gettext_lazy("The part after the @-sign is not valid IDNA."),
    gettext_lazy("The part after the @-sign is invalid."),
    gettext_lazy("The part after the @-sign contains invalid characters."),
    gettext_lazy("There can't be anything after the email address."),
)
_OTHER = gettext_lazy("This is no email address that letters can be sent to.")
_IN_BRACKETS = re.compile(r" \(.{0,300}\)(?=\.?$)", re.DOTALL)


class InvalidAddress(ValueError):
    """The address is none that letters can be sent to; the text says why, in a sentence for people."""

    @property
    def reason(self) -> str:
        """The same in the reader's language; where its sentence is not known, that it is no address."""
        said = _IN_BRACKETS.sub("", str(self).removeprefix(_BEFORE))
        sentence, colon, characters = said.partition(": ")
        return f"{gettext(sentence)}{colon}{characters}" if sentence in _known() else str(_OTHER)


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    with override(None):
        return frozenset(map(str, _SENTENCES))


def normalise(address: str, *, ascii_only: bool = False) -> str:
    """Return the normal form of `address`: NFC, lower case, its domain in ASCII (IDNA 2008).

    What stands before the @ may have letters of any script (RFC 6531): such an address takes letters only by way of a
    mail service that offers SMTPUTF8. `ascii_only` is for addresses that stand in everybody's letters. Raises
    InvalidAddress.
    """
    if len(address) > _LONGEST_WRITTEN:
        raise InvalidAddress(_TOO_LONG)
    plain = address.strip().lower()
    if len(plain) <= MAX_LENGTH and _PLAIN.fullmatch(plain) and not _REVIEWED.search(plain.rpartition("@")[2]):
        return plain
    try:
        checked: ValidatedEmail = validate_email(
            address.strip(),
            check_deliverability=False,
            allow_smtputf8=not ascii_only,
            test_environment=True,
            strict=True,
        )
    except EmailNotValidError as error:
        raise InvalidAddress(str(error)) from None
    local = unicodedata.normalize("NFC", checked.local_part.lower())
    normal = f"{local}@{checked.ascii_domain.lower()}"
    if unicodedata.normalize("NFKC", local) != local:  # such as full-width letters: nobody has them in an address
        raise InvalidAddress(_UNUSUAL)
    if len(local.encode()) > _LOCAL_LENGTH or len(normal.encode()) > MAX_LENGTH:
        raise InvalidAddress(_TOO_LONG)
    return normal


def domain(address: str) -> str:
    """Return the part of a normalised address after its @."""
    return address.rpartition("@")[2]


def shown(address: str) -> str:
    """Return a normalised address as people write it: bob@пример.рф. A text that is no address stays as it is."""
    local, at, name = address.rpartition("@")
    return f"{local}{at}{shown_domain(name)}" if at and "xn--" in name else address


def sought(text: str) -> list[str]:
    """Return what a person looks for, in the forms in which a part of a stored address may have it."""
    wanted = unicodedata.normalize("NFC", text[: 2 * MAX_LENGTH]).replace("\x00", "").strip().lower()
    local, at, name = wanted.rpartition("@")
    return list(dict.fromkeys((wanted, f"{local}{at}{_in_ascii(name)}")))


@lru_cache(maxsize=1024)
def shown_domain(name: str) -> str:
    """Return a domain as people write it: пример.рф, not xn--e1afmkfd.xn--p1ai."""
    try:
        written: str = idna.decode(name)
        return written if idna.encode(written).decode() == name else name
    except (idna.IDNAError, UnicodeError):
        return name


def _in_ascii(name: str) -> str:
    """Return the labels of a domain in ASCII, but for those that are not whole."""
    labels = []
    for label in name.split("."):
        try:
            labels.append(label if label.isascii() or len(label) > _LABEL_LENGTH else idna.encode(label).decode())
        except (idna.IDNAError, UnicodeError):
            labels.append(label)
    return ".".join(labels)


ERASED = "[address]"

_ELLIPSIS = "…"

# What looks like a domain, and an @ as it is encoded by URLs (once or more), RFC 3461's xtext, quoted-printable, HTML,
# JSON and people. An encoded one counts only before what looks like a domain.
_DOMAIN = r"(?:[^\W_](?:[\w-]{0,62}[^\W_])?\.){1,10}(?:xn--[a-z0-9-]{1,59}|[^\W\d_]{2,63})"
_AT = re.compile(
    r"[@\uff20\ufe6b](?=\S)"
    r"|(?:%(?:25){0,3}40|[=+]40|&\#0{0,4}64;|&\#x0{0,4}40;|&commat;|\\u0040|\\x40"
    r"|\ {0,3}[(\[{<]\ ?(?:at|@)\ ?[)\]}>]\ {0,3}|\ {1,3}[@\uff20\ufe6b]\ {1,3})" + f"(?={_DOMAIN})",
    re.I | re.X,
)
_HOST = re.compile(r"\[[^\]\s]{1,255}\]|[\w.-]+")
_ENDS_LOCAL = frozenset('@\uff20\ufe6b<>(),:;[]"')
_LONGEST_LOCAL = 512

# The last piece of a name before an address in brackets: quoted, encoded for a header, or a word.
_LAST_PIECE = re.compile(
    r"""(?:(?P<quoted>"(?=[^"\n]*\w)(?:\\.|[^"\\\n]){1,256}")|(?P<encoded>=\?[^\s?]{1,40}\?[bq]\?[^\s?]{0,200}\?=)"""
    r"""|(?P<word>[^\W\d_][^\s:;=<>@"(),\[\]…]*))[\s"'’”»(),.\[\]\\]*\Z""",
    re.I,
)
_LONGEST_NAME = 1024
_MOST_PIECES = 8
_ENDS_BRACKET = re.compile(r"[\s>]")
_NAME_BEHIND = re.compile(r"(?<=[\w>\]])\s?\((?P<words>[^()<>]{1,200})(?=\))")

_PARTICLES = frozenset(
    ["al", "bin", "da", "de", "del", "den", "der", "di", "du", "el", "ibn", "la", "le", "van", "von", "zu"]
)


def masked(text: str, address: str = "") -> str:
    """Return `text` with each address in it cut down to its first letter and its domain (a…@example.org), and the names
    beside addresses to their first letters.

    Addresses are found however an answer that quotes them encodes them. What stands before the @ of `address` is also
    cut down where it stands alone, as in “alice: user unknown”.
    """
    addresses = [(start, at, _first(text[start:at])) for start, at, _end in _found(text)]
    text = _replaced(text, addresses + _names(text))
    for form in _forms(address.rpartition("@")[0]):
        text = re.sub(rf"(?<![\w.+-]){re.escape(form)}(?![\w.+-])", _first(form), text, flags=re.I)
    return text


def erased(text: str) -> str:
    """Return `text` with each address in it replaced as a whole, its domain as well."""
    return _replaced(text, [(start, end, ERASED) for start, _at, end in _found(text)] + _names(text))


def _replaced(text: str, edits: list[tuple[int, int, str]]) -> str:
    """Return the text with what is from one place to another replaced; of what overlaps nothing is left."""
    parts, done = [], 0
    for start, end, instead in sorted(edits):
        if start >= done:
            parts += [text[done:start], instead]
        done = max(done, end)
    return "".join([*parts, text[done:]])


def _found(text: str) -> list[tuple[int, int, int]]:
    """Return where addresses are in the text: where each begins, where its @ stands, and where its domain ends."""
    found: list[tuple[int, int, int]] = []
    following = len(text)
    for at in reversed(list(_AT.finditer(text))):  # a quoted local part may hold others
        start = _local_start(text, at.start())
        if start < at.start() < following:
            found.append((start, at.start(), min(following, _host_end(text, at.end()))))
            following = start
        elif start < following <= at.start():
            found[-1] = (start, *found[-1][1:])
            following = start
    return found[::-1]


def _host_end(text: str, start: int) -> int:
    host = _HOST.match(text, start)
    return host.end() if host else start


def _local_start(text: str, end: int) -> int:
    """Return where the local part begins that ends there: quoted, with a comment behind it, or anything without a
    blank.
    """
    least, start = max(0, end - _LONGEST_LOCAL), end
    if text[end - 1 : end] == '"':
        opening = text.rfind('"', least, end - 1)
        while opening > least and text[opening - 1] == "\\":
            opening = text.rfind('"', least, opening)
        if opening >= 0:
            return opening
        start -= 1
    elif text[end - 1 : end] == ")":
        opening = text.rfind("(", least, end)
        start = opening if opening >= 0 else end - 1
    while start > least and text[start - 1] not in _ENDS_LOCAL and not text[start - 1].isspace():
        start -= 1
    return start


def _first(words: str) -> str:
    """Return the first letter or digit, and that there was more."""
    return next((char for char in words if char.isalnum()), "") + _ELLIPSIS


def _names(text: str) -> list[tuple[int, int, str]]:
    """Return the names beside addresses: where each begins and ends, and what is left of it.

    Also beside one that unpaired quotes make a part of another.
    """
    names, done = _names_behind(text) if "(" in text else [], 0
    for at in _AT.finditer(text):
        start = _local_start(text, at.start())
        least = max(done, start - _LONGEST_LOCAL)
        opening = max(text.rfind("<", least, start), text.rfind("&lt;", least, start))
        if opening >= 0 and not _ENDS_BRACKET.search(text, opening, start):
            local = text[start : at.start()].casefold()
            names += _name_before(text, max(done, opening - _LONGEST_NAME), opening, local)
        done = _host_end(text, at.end())
    return names


def _name_before(text: str, least: int, opening: int, local: str) -> list[tuple[int, int, str]]:
    """Return the name in front of a bracket: what is quoted or encoded, and words that begin like names or are of the
    local part. One word of which nothing tells more than its capital may be any. Quotes need not be paired.
    """
    left: re.Match[str] | None = None
    at, pieces, sure, whole = opening, 0, False, False
    while pieces < _MOST_PIECES and (piece := _LAST_PIECE.search(text, least, at)):
        word = (piece["word"] or "").strip(".'’-").casefold()
        known = not word or word in local
        particle = word in _PARTICLES and not known
        if not (known or particle or (_begins_like_a_name(piece["word"]) and not whole)):
            break
        whole = whole or (not pieces and not word and text.count('"', least, opening) % 2 == 0)
        at, pieces, sure = piece.start(), pieces + (not particle), sure or known
        left = left if particle else piece
    if left is None or not (sure or pieces > 1):
        return []
    end = least + len(text[least:opening].rstrip())
    return [(left.start(), end, _ELLIPSIS if left["encoded"] else _first(left[0]))]


def _names_behind(text: str) -> list[tuple[int, int, str]]:
    names = []
    for found in _NAME_BEHIND.finditer(text):
        words = found["words"].split()
        is_name = len(words) > 1 and all(map(_begins_like_a_name, words))
        if is_name and _AT.search(text, max(0, found.start() - _LONGEST_LOCAL), found.start()):
            names.append((*found.span("words"), _first(words[0])))
    return names


def _begins_like_a_name(word: str) -> bool:
    """Say whether it begins with a capital, or in a script that has none."""
    return word[0].isalpha() and not word[0].islower()


def _forms(local: str) -> list[str]:
    """Return how a local part may stand alone in an answer: as it is, without its tag, and encoded; the longest
    first.
    """
    plain = {local, local.partition("+")[0]}
    encoded = {form for each in plain for form in (quote(each, safe=""), quote(each, safe="+"), html.escape(each))}
    return sorted(filter(None, plain | encoded), key=len, reverse=True)
