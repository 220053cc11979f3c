"""A text with placeholders, cut once, and filled in for each client. Its length is known before it is joined."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from vestnik.mail.texts import body_text, octets
from vestnik.mailings.rendering import braces, places
from vestnik.mailings.rendering.faults import Kind, UnknownPlaceholder


class TooLong(ValueError):
    """The text would have so many `octets`, more than there is room for."""

    def __init__(self, octets: int) -> None:
        super().__init__(octets)
        self.octets = octets


WRITTEN_EMAIL = "email as people write it"
"""What {{ email }} names outside of links, which programs read."""


class Template:
    """A text cut at its placeholders. Raises UnknownPlaceholder if it names what no letter has."""

    def __init__(self, template: str, html: bool = False, links_in_it: bool = True) -> None:
        found = braces.find(template, html)
        unknown = [fault for fault in found.faults if fault.plain and fault.kind is not Kind.BRACE]
        if unknown:
            raise UnknownPlaceholder(unknown)
        placed = places.of(template, found.placeholders, html)
        self.literals, writers = placed.literals, placed.writers if links_in_it else {}
        uses: dict[_Use, list[int]] = {}  # of what is alike, where it stands between the literals
        for number, placeholder in enumerate(found.placeholders):
            name = WRITTEN_EMAIL if placeholder.name == "email" and number not in writers else placeholder.name
            use = _Use(name, placeholder.default, writers.get(number), html)
            uses.setdefault(use, []).append(2 * number + 1)
        self.names = {use.name for use in uses}
        self._uses = [(use.name, use.writer(), where) for use, where in uses.items()]
        self._literal_octets = sum(map(octets, self.literals))
        self._pieces = [""] * (2 * len(self.literals) - 1)
        self._pieces[::2] = self.literals

    def __bool__(self) -> bool:
        return bool(self.names or "".join(self.literals).strip())

    def fill(self, values: Mapping[str, str], room: int) -> str:
        """Return the text for a client with these values. Each letter of each mailing comes through here.

        Raises TooLong, before the text is joined, if it has more bytes than `room`.
        """
        pieces, total = self._pieces.copy(), self._literal_octets
        for name, write, where in self._uses:
            text = values[name]
            if write is not None:
                text = write(text)
            total += len(where) * (len(text) if text.isascii() else len(text.encode()))
            for place in where:
                pieces[place] = text
        if total > room:
            raise TooLong(total)
        return "".join(pieces)


@dataclass(frozen=True, slots=True)
class _Use:
    """A name with its default and its writer; uses that are alike are filled in once."""

    name: str
    default: str
    by_place: places.Writer | None
    html: bool

    def writer(self) -> places.Writer | None:
        """Return what turns a value into what is written; None if it is written as it is.

        An empty value, or one that may not stand there, becomes the default.
        """
        write = self.by_place or (escape if self.html else _raw)
        if not self.default.strip():
            return None if write is _raw else write
        instead = write(body_text(self.default))
        return lambda value: (write(value) if value and not value.isspace() else "") or instead


def _raw(value: str) -> str:
    return value
