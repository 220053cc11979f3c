"""The encoding of a file of clients, and whether that is certain.

UTF-8 proves itself, UTF-16 and UTF-32 show by their marks or zero bytes. All else is a choice between code pages in
which the same bytes mean other letters: charset-normalizer says which can be read, `plausibility` which of them people
could have written. Where two are nearly as likely, the choice is not certain, and somebody must be asked.
"""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from charset_normalizer import from_bytes
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vestnik.clients import mixed_encodings, other_files, plausibility

MAX_LINE = 1 << 20

ENCODINGS = {
    "utf-8": gettext_lazy("UTF-8"),
    "cp1251": gettext_lazy("Windows-1251 (Cyrillic)"),
    "koi8-r": gettext_lazy("KOI8-R (Cyrillic)"),
    "koi8-u": gettext_lazy("KOI8-U (Ukrainian)"),
    "cp866": gettext_lazy("DOS 866 (Cyrillic)"),
    "mac-cyrillic": gettext_lazy("Mac Cyrillic"),
    "iso8859-5": gettext_lazy("ISO 8859-5 (Cyrillic)"),
    "cp855": gettext_lazy("DOS 855 (Cyrillic)"),
    "cp1125": gettext_lazy("DOS 1125 (Ukrainian)"),
    "kz1048": gettext_lazy("KZ-1048 (Kazakh)"),
    "cp1252": gettext_lazy("Windows-1252 (Western Europe)"),
    "iso8859-15": gettext_lazy("ISO 8859-15 (Western Europe)"),
    "mac-roman": gettext_lazy("Mac Roman (Western Europe)"),
    "cp850": gettext_lazy("DOS 850 (Western Europe)"),
    "cp437": gettext_lazy("DOS 437 (Western Europe)"),
    "cp1250": gettext_lazy("Windows-1250 (Central Europe)"),
    "iso8859-2": gettext_lazy("ISO 8859-2 (Central Europe)"),
    "mac-latin2": gettext_lazy("Mac Central Europe"),
    "cp852": gettext_lazy("DOS 852 (Central Europe)"),
    "iso8859-16": gettext_lazy("ISO 8859-16 (Romanian)"),
    "cp1254": gettext_lazy("Windows-1254 (Turkish)"),
    "cp1257": gettext_lazy("Windows-1257 (Baltic)"),
    "iso8859-4": gettext_lazy("ISO 8859-4 (Baltic)"),
    "cp1253": gettext_lazy("Windows-1253 (Greek)"),
    "iso8859-7": gettext_lazy("ISO 8859-7 (Greek)"),
    "cp737": gettext_lazy("DOS 737 (Greek)"),
    "cp1255": gettext_lazy("Windows-1255 (Hebrew)"),
    "cp862": gettext_lazy("DOS 862 (Hebrew)"),
    "cp1256": gettext_lazy("Windows-1256 (Arabic)"),
    "iso8859-6": gettext_lazy("ISO 8859-6 (Arabic)"),
    "cp874": gettext_lazy("Windows-874 (Thai)"),
    "gb18030": gettext_lazy("GB 18030 (Chinese)"),
    "big5": gettext_lazy("Big5 (Chinese)"),
    "cp932": gettext_lazy("Shift JIS (Japanese)"),
    "euc-jp": gettext_lazy("EUC-JP (Japanese)"),
    "iso2022-jp": gettext_lazy("ISO-2022-JP (Japanese)"),
    "cp949": gettext_lazy("EUC-KR (Korean)"),
    "utf-16-le": gettext_lazy("UTF-16, the low byte first"),
    "utf-16-be": gettext_lazy("UTF-16, the high byte first"),
    "utf-32-le": gettext_lazy("UTF-32, the low byte first"),
    "utf-32-be": gettext_lazy("UTF-32, the high byte first"),
}
"""Encodings that a file may have, with their names for people."""

_COMMON = ("utf-8", "cp1251", "cp1252", "cp1250", "koi8-r", "cp866")
_RARE = ("kz1048", "iso8859-4", "iso8859-15", "iso8859-16", "cp855", "cp1125", "cp737", "cp862", "iso8859-6")
_NOT_OFFERED = (
    *("cp720", "cp775", "cp857", "cp860", "cp861", "cp863", "cp864", "cp865", "cp869", "cp1006", "cp1258", "iso8859-3"),
    *("iso8859-8", "iso8859-9", "iso8859-10", "iso8859-13", "iso8859-14", "koi8-t", "mac-croatian"),
    *("mac-greek", "mac-iceland", "mac-romanian", "mac-turkish", "ptcp154", "tis-620", "johab"),
    *("big5hkscs", "euc-jis-2004", "shift-jis-2004"),
)
"""Encodings that nobody can choose, but that a file may have: where it reads like one, somebody is asked."""
_NO_RIVALS = ("mac-arabic", "mac-farsi", "utf-7", "utf-8-sig", "utf-16", "utf-32", "ascii")
"""Found by charset-normalizer, too, but the same as others, or with ASCII in both halves."""
_SELDOM, _HARDLY_EVER = 4.0, 8.0
"""Bits by which a seldom used, or a rare, code page must be likelier than a common one."""

_CERTAIN = 8.0
"""Bits by which the likeliest reading is likelier than any other, where there is no doubt."""
_DUBIOUS = 9.0
"""Bits for each letter beyond ASCII, above which not even the likeliest reading is likely."""
_ENOUGH = 4
"""Letters beyond ASCII that are wanted at least to be certain of anything."""

_CHUNK = 1 << 20
_FIRST_LOOK, _LATER_LOOKS = 16_000, 1_500
"""Bytes of non-ASCII lines that are looked at, in the file's first megabyte and in each later one."""
_ASKED = 8_000
_MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SHIFTS = re.compile(rb"\x1b\$\)?|\x1b\(|~\{(?=[!-}]{2,}~\})")
_NOTHING = re.compile("[\x80-\x9f\udc80-\udcff]")
_KNOWN = {codecs.lookup(encoding).name: encoding for encoding in ENCODINGS}


class ImportRefused(ValidationError):
    """The whole file cannot be imported, and nothing was changed. One sentence says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file's encoding, one of ENCODINGS; whether it is certain; whether some bytes may mean nothing in it."""

    encoding: str
    is_certain: bool
    may_have_bad_bytes: bool


def known(name: str) -> str:
    """Return the one of ENCODINGS that a name means, or "": cp1251, windows-1251 and CP-1251 are one."""
    try:
        return _KNOWN.get(codecs.lookup(name[:40]).name, "")
    except (LookupError, ValueError):
        return ""


def is_wide(encoding: str) -> bool:
    """Say whether its characters have two or four bytes each."""
    return encoding.startswith(("utf-16", "utf-32"))


def is_replaced(encoding: str) -> bool:
    """Say whether U+FFFD replaces what cannot be read in it, and possibly the characters beside."""
    return is_wide(encoding) or encoding == "iso2022-jp"


def find(source: BinaryIO, asked_for: str = "") -> Found:
    """Read the file through once, or twice where it is not Unicode, and return its encoding. `asked_for` is believed.

    Raises ImportRefused for what is no text, and for lines longer than MAX_LINE.
    """
    source.seek(0)
    start = source.read(_CHUNK)
    if kind := other_files.kind_of(start):
        raise ImportRefused(
            _(
                "This is %(kind)s, and no CSV file. Have the program that made it export the clients as CSV, or open it"
                " in a spreadsheet and save it as CSV."
            )
            % {"kind": kind}
        )
    has_mark = start.startswith(codecs.BOM_UTF8)
    wide = asked_for if is_wide(asked_for) else _wide(start)
    look = _Look(wide_is_text=bool(wide))
    while start:
        look.at(start)
        start = source.read(_CHUNK)
    if asked_for:
        return Found(asked_for, True, asked_for != "utf-8" or not look.is_utf8())
    if wide:
        return Found(wide, True, True)
    if has_mark or look.is_utf8():
        is_ascii = not has_mark and not look.sample()
        return look.shifts if look.shifts and is_ascii else Found("utf-8", True, not look.is_utf8())
    encoding, words, is_certain = _likeliest(look.sample())
    return Found(encoding, is_certain and not mixed_encodings.is_mixed(source, encoding, words), True)


def _wide(start: bytes) -> str:
    """Return the UTF-16 or UTF-32 in which a file begins, by its mark or its zero bytes; empty for others."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    beginning = start[: 4_000 - len(start[:4_000]) % 2]
    if b"\0" not in beginning:
        return ""
    for encoding in ("utf-16-le", "utf-16-be"):
        text = beginning.decode(encoding, "replace")
        if "\0" not in text and text.count("\ufffd") <= 1 and re.search(r"[\w-]+[\t,;|\"\r\n]", text, re.ASCII):
            return encoding
    return ""


class _Look:
    """What is seen of a file while it is read through."""

    def __init__(self, wide_is_text: bool) -> None:
        self._wide = wide_is_text
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._utf8 = True
        self._unbroken = 0
        self.shifts: Found | None = None
        """What was found in a file of plain ASCII in which escape sequences stand for other letters."""
        self._lines: list[bytes] = []

    def at(self, chunk: bytes) -> None:
        """Look at the next chunk."""
        if not self._wide and b"\0" in chunk:
            raise ImportRefused(_("The file is binary; a CSV file is wanted (text, a client a line)."))
        last_end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._unbroken = self._unbroken + len(chunk) if last_end < 0 else len(chunk) - last_end - 1
        if self._unbroken > MAX_LINE:
            raise ImportRefused(_("The file has a line longer than a megabyte; is it a CSV file?"))
        self._utf8 = self._utf8 and self._decodes(chunk)
        if shift := _SHIFTS.search(chunk):
            self.shifts = Found("utf-8" if shift[0] in (b"\x1b$)", b"~{") else "iso2022-jp", False, True)
        if not chunk.isascii():
            self._lines.extend(_telling(chunk, _LATER_LOOKS if self._lines else _FIRST_LOOK))

    def is_utf8(self) -> bool:
        return self._utf8 and self._decodes(b"", final=True)

    def sample(self) -> bytes:
        return b"\n".join(self._lines)

    def _decodes(self, chunk: bytes, *, final: bool = False) -> bool:
        try:
            self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            return False
        return True


def _telling(chunk: bytes, room: int) -> Iterator[bytes]:
    """Yield the first lines that are not ASCII."""
    for line in io.BytesIO(chunk.replace(b"\r", b"\n")):
        if not line.isascii():
            yield line[:_FIRST_LOOK]
            room -= len(line)
            if room <= 0:
                return


def _likeliest(sample: bytes) -> tuple[str, tuple[str, ...], bool]:
    """Return the likeliest encoding of the lines, their words in it, and whether that is certain.

    It is certain if no encoding that would read differently is nearly as likely.
    """
    costs: dict[tuple[str, ...], tuple[float, str]] = {}
    for encoding in _candidates(sample):
        words = tuple(plausibility.words(sample.decode(encoding, "surrogateescape")))
        cost = plausibility.cost(words) + _beforehand(encoding)
        costs[words] = min(costs.get(words, (cost, encoding)), (cost, encoding), key=lambda found: found[0])
    ranked = sorted((cost, encoding, words) for words, (cost, encoding) in costs.items())
    best, encoding, words = next(found for found in ranked if found[1] in ENCODINGS)
    letters = sum(not letter.isascii() for word in words for letter in word)
    margin = min((cost - best for cost, other, _words in ranked if other != encoding), default=_CERTAIN)
    is_likely = letters >= _ENOUGH and best <= _DUBIOUS * letters
    has_bad_bytes = encoding != "utf-8" and any(map(_NOTHING.search, words))
    return encoding, words, margin >= _CERTAIN and is_likely and not has_bad_bytes


def _beforehand(encoding: str) -> float:
    if encoding in _COMMON:
        return 0.0
    return _SELDOM if encoding in ENCODINGS and encoding not in _RARE else _HARDLY_EVER


def _candidates(sample: bytes) -> list[str]:
    """Return the code pages to be weighed: those that are offered, and any other that charset-normalizer finds
    legible.
    """
    offered = [encoding for encoding in ENCODINGS if not is_replaced(encoding)]
    names = [codecs.lookup(match.encoding).name for match in from_bytes(sample[:_ASKED])]
    legible = [name for name in names if name not in _KNOWN and name not in _NO_RIVALS]
    return list(dict.fromkeys([*offered, *_NOT_OFFERED, *legible]))
