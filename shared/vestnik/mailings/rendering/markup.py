"""Where HTML has places for values other than among its words: in tags, their attributes, styles and scripts."""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

SLOT = "\0"
"""Stands for a placeholder while the text around it is read; no text of a letter has it."""

_SPACE = r"[\t\n\f\r ]"
_TAG = re.compile(rf"<!--|<(/?)([a-zA-Z{SLOT}][^\t\n\f\r />]*)")
_ATTRIBUTE = re.compile(
    rf"""(?:{_SPACE}|/)*(=?[^\t\n\f\r =>/]+|=)(?:{_SPACE}*={_SPACE}*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r >]*)))?"""
)
_ENDS = {
    name: re.compile(rf"</{name}(?![^\t\n\f\r />])", re.IGNORECASE) for name in ("style", "script", "title", "textarea")
}
_UNQUOTED = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of HTML with places for values in it, which is read in another way than words are."""

    text: str
    start: int
    tag: str
    """The name of its tag, in lower case."""
    attribute: str = ""
    """Whose value it is, in lower case; empty for what stands between <style> and </style>."""
    beside: frozenset[str] = frozenset()
    """All attributes of the tag."""
    own_place: bool = False
    """Whether the tag's own name, or an attribute's, is to be written there."""
    quoted: bool = True


def pieces(text: str) -> Iterator[Piece]:
    """Yield the pieces of the HTML, in order, reading it once.

    Tags in comments are tags: some programs show what stands there.
    """
    at, end, last = 0, len(text), text.rfind("-->")
    while True:
        tag = _TAG.search(text, at, end)
        if tag is None:
            if end == len(text):
                return
            at, end = end, len(text)
        elif tag[2] is None:
            at = tag.end()
            if end == len(text) and tag.start() + 2 <= last:
                end = text.find("-->", tag.start() + 2)
                at = min(at, end)
        else:
            at = yield from _of_tag(text, tag, end)


def _of_tag(text: str, tag: re.Match[str], end: int) -> Generator[Piece, None, int]:
    """Yield the pieces of one tag, and of what only its end tag ends; return where to read on."""
    name, at = tag[2].lower(), tag.end()
    if SLOT in name:
        yield Piece(tag[2], tag.start(2), name, own_place=True)
    values: list[tuple[str, int, str, bool]] = []
    beside = set()
    while attribute := _ATTRIBUTE.match(text, at, end):
        at = attribute.end()
        beside.add(attribute[1].lower())
        if SLOT in attribute[1]:
            yield Piece(attribute[1], attribute.start(1), name, own_place=True)
        group = attribute.lastindex or 1
        if group > 1 and SLOT in attribute[group]:
            values.append((attribute[1].lower(), attribute.start(group), attribute[group], group != _UNQUOTED))
    for written, start, value, quoted in values:
        yield Piece(value, start, name, written, frozenset(beside), quoted=quoted)
    if not tag[1] and name in _ENDS:
        begins = min(at + 1, end)
        closing = _ENDS[name].search(text, begins, end)
        at = closing.start() if closing else end
        if name in ("style", "script") and SLOT in (inside := text[begins:at]):
            yield Piece(inside, begins, name)
    return at


def quoted(text: str) -> str:
    """Return the HTML with quotes around attributes that values are written to: without, a space would end the
    value.
    """
    parts, at = [], 0
    for piece in pieces(text):
        if not piece.quoted:
            parts += [text[at : piece.start], '"', piece.text.replace('"', "&quot;"), '"']
            at = piece.start + len(piece.text)
    return "".join([*parts, text[at:]])
