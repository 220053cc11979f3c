"""Totals in numbers, shares and colours, for the pages that show them."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

ENDS = (
    ("sent", _("sent"), "green"),
    ("failed", _("failed"), "red"),
    ("expired", _("expired"), "orange"),
    ("cancelled", _("cancelled"), "gray-400"),
    ("unknown", _("unknown"), "yellow"),
)
"""What can become of a letter: the totals' name for it, the word, the colour."""

TO_GO = ("left", _("to go"), "blue")
ALWAYS = ("sent", "failed", "left")


@dataclass(frozen=True)
class Tile:
    """One number of a run's totals; `share` is per cent of all letters, rounded down to a tenth."""

    label: Any
    colour: str
    count: int
    share: float | None


def share(part: int, whole: int) -> float | None:
    """Per cent, rounded down to a tenth: 100 is all of them. None of nothing."""
    return part * 1000 // whole / 10 if whole else None


def tiles(totals: Any) -> list[Tile]:
    """The totals as tiles; what did not happen to any letter is left out, but for what everybody asks."""
    return [
        Tile(label, colour, count, share(count, totals.total))
        for key, label, colour in (*ENDS, TO_GO)
        if (count := getattr(totals, key)) or key in ALWAYS
    ]
