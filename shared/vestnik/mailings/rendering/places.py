"""How a value is written, by the place where it stands: among words, in an address, in a style or in a script.

Whatever a value says, it only fills its place. It begins no tag, adds no attribute, runs no script, and is no other
address than the writer of the message meant.
"""

import html as html_library
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape

from vestnik.mail.texts import body_text
from vestnik.mailings.rendering import links, markup
from vestnik.mailings.rendering.braces import Placeholder
from vestnik.mailings.rendering.markup import SLOT, Piece

Writer = Callable[[str], str]

_URL = re.compile(r"url\(\s*[\"']?([^\"'()]{0,2000})$", re.IGNORECASE)
_URL_ENDS = re.compile(r"[\"'()]")
_REFRESHES = re.compile(r"url\s*=\s*[\"']?(.{0,2000})$", re.IGNORECASE | re.DOTALL)
_NEXT_OF_SET = re.compile(r",\s+")
_NOT_IN_STYLES = re.compile(r"[^\w .,%#+-]")
_NOT_IN_SCRIPTS = re.compile(r"[^\w .,-]")
_ENDS_URL = re.compile("['()]")
_FAR = 2_100
"""Characters beside a place, and at the beginning of where it is, that are looked at."""


@dataclass(frozen=True, slots=True)
class Places:
    """A template cut at its placeholders, and how the values between are written."""

    literals: list[str]
    writers: dict[int, Writer]
    """By the placeholder's number: for those that programs read, in links, styles and scripts."""
    impossible: list[int]
    """The numbers of placeholders where no value can stand."""


def of(template: str, placeholders: Sequence[Placeholder], html: bool) -> Places:
    """Cut a template at its placeholders, and find out how each value is written."""
    literals = _literals(template, placeholders)
    writers: dict[int, Writer] = {}
    if not placeholders:
        return Places(literals, writers, [])
    text = SLOT.join(literals)
    if html:
        text = markup.quoted(text)
    number_at = {place.start(): number for number, place in enumerate(re.finditer(SLOT, text))}
    for start, address in links.bare(text, html):
        for place in _slots(address):
            before, behind = _beside(address, place)
            encoder = links.encoder(*_unescaped(before, behind) if html else (before, behind))
            writers[number_at[start + place]] = _escaped(encoder) if html else encoder
    for piece in markup.pieces(text) if html else ():
        for place in _slots(piece.text):
            if (writer := _writer(piece, place)) is not None:
                writers[number_at[piece.start + place]] = writer
    misplaced = {
        number
        for number, writer in writers.items()
        if placeholders[number].name == "unsubscribe_url" and writer not in (links.whole, _escaped(links.whole))
    }
    impossible = sorted(misplaced.union(number for number, writer in writers.items() if writer is links.nothing))
    return Places(text.split(SLOT), writers, impossible)


def _beside(text: str, place: int) -> tuple[str, str]:
    """Return what stands before this place and after it; of a long text, as much as tells where the place is."""
    before = text[:place] if place <= 2 * _FAR else text[:_FAR] + text[place - _FAR : place]
    return before, text[place + 1 : place + 1 + _FAR]


def _unescaped(before: str, behind: str) -> tuple[str, str]:
    return html_library.unescape(before), html_library.unescape(behind)


def _slots(text: str) -> list[int]:
    return [place.start() for place in re.finditer(SLOT, text)]


def _literals(template: str, placeholders: Sequence[Placeholder]) -> list[str]:
    """Return what stands between the placeholders, with the tags that were written inside of them."""
    literals, at, behind = [], 0, ""
    for placeholder in placeholders:
        literals.append(body_text(behind + template[at : placeholder.start] + placeholder.before))
        at, behind = placeholder.end, placeholder.after
    return [*literals, body_text(behind + template[at:])]


def _writer(piece: Piece, place: int) -> Writer | None:
    """Return the writer for the value at this place of the piece; None where it is written as it is among words."""
    before, behind = _beside(piece.text, place)
    if piece.own_place or piece.attribute == "srcdoc":
        return links.nothing
    if not piece.attribute:
        return _style(before, behind) if piece.tag == "style" else script
    if piece.attribute.startswith("on"):
        return script
    before, behind = _unescaped(before, behind)
    if piece.attribute == "style":
        return _escaped(_style(before, behind))
    if piece.attribute in links.ADDRESSES:
        return _escaped(_address(piece, before, behind))
    if piece.tag == "meta" and piece.attribute == "content":
        if refreshes := _REFRESHES.search(before):
            return _escaped(_in_url(links.encoder(refreshes[1], behind)))
        return links.component if "http-equiv" in piece.beside else None
    return None


def _address(piece: Piece, before: str, behind: str) -> Writer:
    if piece.attribute.endswith("srcset"):
        before = _NEXT_OF_SET.split(before)[-1]
        behind = behind.split()[0] if behind and not behind[0].isspace() else ""
    return links.encoder(before, behind)


def _style(before: str, behind: str) -> Writer:
    if address := _URL.search(before[-_FAR:]):
        return _in_url(links.encoder(address[1], _URL_ENDS.split(behind, maxsplit=1)[0]))
    return style


def style(value: str) -> str:
    """Escape a word, a number or a string of CSS: no value ends it."""
    return _NOT_IN_STYLES.sub(lambda found: f"\\{ord(found[0]):x} ", value)


def script(value: str) -> str:
    """Escape a piece of a string in JavaScript or JSON."""
    return _NOT_IN_SCRIPTS.sub(lambda found: _escapes(found[0]), value)


def _escapes(character: str) -> str:
    octets = character.encode("utf-16-be")
    return "".join(f"\\u{octets[at : at + 2].hex()}" for at in range(0, len(octets), 2))


_NOTHING_TO_ESCAPE = links.PLAIN | {style, script}


@cache
def _escaped(writer: Writer) -> Writer:
    """Return the writer that also escapes for HTML."""
    return writer if writer in _NOTHING_TO_ESCAPE else lambda value: escape(writer(value))


@cache
def _in_url(encoder: links.Encoder) -> Writer:
    """Return the writer for an address between brackets or quotes of CSS."""
    if encoder in links.PLAIN:
        return encoder
    return lambda value: _ENDS_URL.sub(lambda found: f"%{ord(found[0]):02X}", encoder(value))
