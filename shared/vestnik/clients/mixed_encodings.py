"""Lines of a file that are in another encoding than the rest, as where two exports were joined into one.

Read like the others they would look like names: `РђРЅРЅР°` is Анна, and would replace it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from vestnik.clients import plausibility

_BY_IN_UTF8, _BY = 8.0, 5.0
"""Bits by which a line must be likelier in UTF-8, or in another code page, for somebody to be asked."""
_WEIGHED, _LONGEST = 300, 2_000
"""Lines that are weighed, and bytes of each: whoever joins files joins more than a few lines."""
_BESIDE = 30
"""Words of the file that tell its language."""

_CYRILLIC = ("cp1251", "koi8-r", "cp866", "mac-cyrillic")
# What Cyrillic letters of one of these encodings look like in another: frames, letters of other languages, signs where
# words begin, capitals behind small letters.
_STRANGE = re.compile("[^\\x00-\\x7f\xa0А-Яа-яЁёІіЇїЄєҐґ«»„“”‘’…–—№]|[а-яё][А-ЯЁ]|[»”…–—№\xa0][а-яё]")


def is_mixed(source: BinaryIO, encoding: str, words: Sequence[str]) -> bool:
    """Say whether some line of a file in that encoding, next to others of these words, is likelier in another one.

    Reads the file through once.
    """
    others = _CYRILLIC if encoding in _CYRILLIC else ()
    beside = words[:_BESIDE]
    suspects = islice(_suspects(source, encoding), _WEIGHED)
    return any(_is_likelier_elsewhere(line, encoding, others, beside) for line in suspects)


def is_utf8(cells: Iterable[str], encoding: str) -> bool:
    """Say whether what was read in that encoding is UTF-8."""
    text = " ".join(cells)
    if text.isascii():
        return False
    try:
        line = text.encode(encoding, "surrogateescape")
        line.decode()
    except UnicodeError:
        return False
    return _is_likelier_elsewhere(line, encoding, (), ())


def _suspects(source: BinaryIO, encoding: str) -> Iterator[bytes]:
    """Yield the lines that may be in another encoding."""
    is_cyrillic = encoding in _CYRILLIC
    source.seek(0)
    while chunk := source.readlines(1 << 20):
        for lines in chunk:
            for line in [lines] if b"\r" not in lines[:-2] else lines.split(b"\r"):
                if line.isascii():
                    continue
                if _decodes(line) or (is_cyrillic and _STRANGE.search(line.decode(encoding, "replace"))):
                    yield line[:_LONGEST]


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_likelier_elsewhere(line: bytes, encoding: str, others: Iterable[str], beside: Sequence[str]) -> bool:
    cost = _cost(line, encoding, beside)
    if _decodes(line) and _cost(line, "utf-8", beside) < cost - _BY_IN_UTF8:
        return True
    return any(_cost(line, other, beside) < cost - _BY for other in others if other != encoding)


def _cost(line: bytes, encoding: str, beside: Sequence[str]) -> float:
    """Return what the line's words cost in that encoding, next to others."""
    return plausibility.cost([*beside, *plausibility.words(line.decode(encoding, "replace"))])
