"""A text with placeholders, cut once, and filled in for each client. Its length is known before it is joined."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from vestnik.mail.texts import body_text, octets
from vestnik.mailings.rendering import braces, links
from vestnik.mailings.rendering.faults import Kind, UnknownPlaceholder

Filled = tuple[list[str], int]
"""What the placeholders of a template become for one client, each different use once; the length of the whole text in
bytes.
"""


class Template:
    """A text cut at its placeholders. Raises UnknownPlaceholder if it names what no letter has."""

    def __init__(self, template: str, html: bool = False, links_in_it: bool = True) -> None:
        found = braces.find(template, html)
        unknown = [fault for fault in found.faults if fault.plain and fault.kind is not Kind.BRACE]
        if unknown:
            raise UnknownPlaceholder(unknown)
        self.literals = _literals(template, found.placeholders)
        in_links = links.encoders(self.literals, html) if links_in_it else {}
        uses: dict[_Use, int] = {}
        self.slots: list[tuple[int, int]] = []  # where in the pieces, and which of the uses stands there
        for number, placeholder in enumerate(found.placeholders):
            use = _Use(placeholder.name, placeholder.default, in_links.get(number), html)
            self.slots.append((2 * number + 1, uses.setdefault(use, len(uses))))
        self.names = {placeholder.name for placeholder in found.placeholders}
        times = Counter(use for _place, use in self.slots)
        self._uses = [(use.name, use.writer(), times[place]) for place, use in enumerate(uses)]
        self._literal_octets = sum(map(octets, self.literals))
        self._pieces = [""] * (2 * len(self.slots) + 1)
        self._pieces[::2] = self.literals

    def __bool__(self) -> bool:
        return bool(self.slots or "".join(self.literals).strip())

    def fill(self, values: Mapping[str, str]) -> Filled:
        """What its placeholders become for a client with these values, and how long all of it will be."""
        filled, total = [], self._literal_octets
        for name, write, times in self._uses:
            text = write(values[name])
            filled.append(text)
            total += times * (len(text) if text.isascii() else len(text.encode()))
        return filled, total

    def join(self, filled: Filled) -> str:
        """The whole text."""
        pieces, (values, _octets) = self._pieces.copy(), filled
        for place, use in self.slots:
            pieces[place] = values[use]
        return "".join(pieces)


@dataclass(frozen=True, slots=True)
class _Use:
    """A name, what stands in for its empty value, and where: uses that are alike are filled in once."""

    name: str
    default: str
    in_link: links.Encoder | None
    html: bool

    def writer(self) -> links.Encoder:
        """What makes of a value what is written: in its place the default, if it is empty or may not stand there."""
        write = self._encoder()
        if not self.default.strip():
            return write
        instead = write(body_text(self.default))
        return lambda value: (write(value) if value and not value.isspace() else "") or instead

    def _encoder(self) -> links.Encoder:
        encoder = self.in_link
        if encoder is None:
            return escape if self.html else _raw
        if not self.html or encoder in links.PLAIN:
            return encoder
        return lambda value: escape(encoder(value))


def _raw(value: str) -> str:
    return value


def _literals(template: str, placeholders: Sequence[braces.Placeholder]) -> list[str]:
    """What stands between the placeholders, with the tags that were written inside of them."""
    literals, at, behind = [], 0, ""
    for placeholder in placeholders:
        literals.append(body_text(behind + template[at : placeholder.start] + placeholder.before))
        at, behind = placeholder.end, placeholder.after
    return [*literals, body_text(behind + template[at:])]
