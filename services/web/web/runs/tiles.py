"""Totals in numbers, shares and colours, for the pages that show them."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

ENDS = (
    ("sent", _("sent"), "green"),
    ("failed", _("failed"), "red"),
    ("expired", _("expired"), "orange"),
    ("cancelled", _("cancelled"), "gray-400"),
    ("unknown", _("unknown"), "yellow"),
)
"""What can become of a letter: the totals' name for it, the word, the colour."""

CAME_BACK = (
    ("bounced", pgettext_lazy("letters", "bounced"), "orange"),
    ("complained", pgettext_lazy("letters", "complaints"), "red"),
)
"""What can come back of a sent letter, the same way."""

TO_GO = ("left", _("to go"), "blue")
ALWAYS = ("sent", "failed", "left")


@dataclass(frozen=True)
class Tile:
    """One number of a run's totals; `share` is per cent of all letters, rounded down to a tenth."""

    label: Any
    colour: str
    count: int
    share: float | None
    state: str
    """In which state its letters are, for the journal; empty where that is more than one."""


@dataclass(frozen=True)
class Piece:
    """A part of a bar, in per cent of the whole: where it begins, and how long it is."""

    colour: str
    at: str
    width: str


def share(part: int, whole: int) -> float | None:
    """Return it in per cent, rounded down to a tenth: 100 is all of them. None of nothing."""
    return part * 1000 // whole / 10 if whole else None


def tiles(totals: Any) -> list[Tile]:
    """Return the totals as tiles; what did not happen to any letter is left out, but for what everybody asks."""
    return [
        Tile(label, colour, count, share(count, totals.total), "" if key == "left" else key)
        for key, label, colour in (*ENDS, TO_GO)
        if (count := getattr(totals, key)) or key in ALWAYS
    ]


def came_back(totals: Any) -> list[Tile]:
    """Return what came back of the sent letters as tiles, with the share of these; none where nothing did."""
    return [
        Tile(label, colour, count, share(count, totals.sent), key)
        for key, label, colour in CAME_BACK
        if (count := getattr(totals, key))
    ]


def bar(totals: Any) -> list[Piece]:
    """Return what became of the letters, as a bar: a piece for each end that some have come to.

    What is to go is its rest.
    """
    pieces, at = [], 0
    for key, _label, colour in ENDS:
        if count := getattr(totals, key):
            whole = max(totals.total, totals.done)
            pieces.append(Piece(colour, f"{at * 100 / whole:.3f}%", f"{count * 100 / whole:.3f}%"))
            at += count
    return pieces
