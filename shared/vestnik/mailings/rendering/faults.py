"""What is wrong with a template, in sentences that quote the place."""

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from heapq import nlargest
from itertools import pairwise

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vestnik.names import same

_SHOWN = 60
"""Characters of a placeholder that are shown."""
_BESIDE = 24
"""Characters before and behind it that are shown; words are not cut."""
_COMPARED = 40
"""Characters of a name that are compared with others."""
_LIKELY = 8
"""Names that are compared letter by letter."""
TOLD = 5
"""Faults of one text that are shown; whoever mends these sees the others."""


class Kind(Enum):
    """The kind of a fault or a doubt."""

    UNKNOWN = "it names what no letter has"
    FILTER = "its filter is none of ours"
    TAGS = "tags are inside the name"
    BRACE = "a brace is missing"
    DEFAULT = "braces are in its default"
    PLACE = "no value can stand there"
    SINGLE = "single braces around a name"


@dataclass(frozen=True, slots=True)
class Fault:
    """One place of a template that is not what was meant."""

    kind: Kind
    name: str
    """What stands between the braces."""
    around: str
    """The place with the text beside it."""
    line: int
    """Its number; 0 in a text of one line."""
    plain: bool
    """Whether it stands in two braces and two, as they are typed."""

    @property
    def place(self) -> str:
        """Where it is: “Dear {{full_name}, we” (line 3)."""
        if not self.line:
            return f"“{self.around}”"
        return _("“%(words)s” (line %(line)d)") % {"words": self.around, "line": self.line}


class TemplateError(ValueError):
    """A template cannot be sent as it is; the text says why, in sentences for who wrote it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return " ".join(sentences(self.faults))


class UnknownPlaceholder(TemplateError):
    """A template names what no letter has; `names` are those names in their order."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.names = list(dict.fromkeys(fault.name for fault in faults if fault.kind is not Kind.BRACE))

    def __str__(self) -> str:
        listed = ", ".join(f"{{{{ {textwrap.shorten(name, _SHOWN)} }}}}" for name in self.names)
        said = _(
            "A letter has no %(names)s; it has {{ full_name }}, {{ email }}, {{ unsubscribe_url }} and"
            " {{ attributes.NAME }}."
        )
        return said % {"names": listed}


def at(template: str, start: int, end: int, kind: Kind, name: str = "", plain: bool = False) -> Fault:
    """Return the fault at this place of the template."""
    before, behind = template[max(start - 100, 0) : start], template[end : end + 100]
    words = textwrap.shorten(template[start:end][:300], _SHOWN, placeholder="…") or template[start:end][:_SHOWN]
    line = template.count("\n", 0, start) + 1 if "\n" in template else 0
    around = _cut(before[::-1])[::-1] + words + _cut(behind)
    return Fault(kind, name, " ".join(around.split()), line, plain)


def sentences(faults: Iterable[Fault]) -> list[str]:
    """Return the faults in sentences for whoever writes the text, in their language; the first TOLD of them."""
    told: list[str] = []
    unknown = [fault for fault in faults if fault.kind is Kind.UNKNOWN]
    if unknown:
        told.append(_unknown(unknown))
    others = [fault for fault in faults if fault.kind is not Kind.UNKNOWN]
    told += [_sentence(fault) for fault in others[:TOLD]]
    return told


def nearest(name: str, known: Iterable[str]) -> str:
    """Return that of the known names that was probably meant; empty if none is near."""
    return nearest_of(name, {same(one): one for one in known})


def nearest_of(name: str, known: Mapping[str, str]) -> str:
    """Return the value of that key in `known` that was probably meant; empty if none is near.

    Only a few are compared letter by letter, however many there are: those that share most letters with the name, and
    of these those that share most pairs of letters.
    """
    key = same(name[:_COMPARED])[:_COMPARED]
    letters, pairs = set(key), set(pairwise(key))
    near = _most_alike(known, 25 * _LIKELY, key, lambda one: len(letters.intersection(one)))
    likely = _most_alike(near, _LIKELY, key, lambda one: len(pairs.intersection(pairwise(one))))
    by_beginning = {one[:_COMPARED]: one for one in likely}
    found = get_close_matches(key, by_beginning, n=1, cutoff=0.6)
    return known[by_beginning[found[0]]] if found else ""


def _most_alike(known: Iterable[str], most: int, key: str, shared: Callable[[str], int]) -> list[str]:
    """Return those of the keys that share most with this one, and differ least in length."""

    def alike(one: str) -> float:
        return shared(one[:_COMPARED]) - abs(min(len(one), _COMPARED) - len(key)) / 8

    return nlargest(most, known, key=alike)


def _unknown(faults: list[Fault]) -> str:
    by_name: dict[str, Fault] = {}
    for fault in faults:
        by_name.setdefault(fault.name, fault)
    names = [f"{textwrap.shorten(name, _SHOWN, placeholder='…')}" for name in list(by_name)[:TOLD]]
    said = ngettext(
        "Unknown placeholders: %(names)s. Known are full_name, email, unsubscribe_url and attributes.NAME.",
        "Unknown placeholders: %(names)s. Known are full_name, email, unsubscribe_url and attributes.NAME.",
        len(by_name),
    )
    told = [said % {"names": ", ".join(names) + (" …" if len(by_name) > TOLD else "")}]
    first = next(iter(by_name.values()))
    told.append(_("See %(place)s.") % {"place": first.place})
    if meant := nearest(first.name, ("full_name", "email", "unsubscribe_url")):
        told.append(_("Did you mean %(name)s?") % {"name": f"{{{{ {meant} }}}}"})
    return " ".join(told)


def _sentence(fault: Fault) -> str:
    place = {"place": fault.place}
    match fault.kind:
        case Kind.BRACE:
            return (
                _(
                    "A brace is missing, too much, or apart from its twin: %(place)s. A placeholder is written"
                    " {{ full_name }}."
                )
                % place
            )
        case Kind.FILTER:
            return (
                _('%(place)s: after the name only a default may stand, as in {{ full_name | default: "friend" }}.')
                % place
            )
        case Kind.TAGS:
            return _("%(place)s: take the formatting out of the name between the braces.") % place
        case Kind.DEFAULT:
            return _("%(place)s: what stands in for an empty value may have no braces itself.") % place
        case Kind.PLACE:
            return (
                _(
                    "%(place)s: no value can be filled in there. Write it among the words, or between the quotes of an"
                    ' attribute, as in title="{{ full_name }}"; and &lt; for a < that is to be read.'
                )
                % place
            )
        case _:
            return _("%(place)s is sent as it stands. A placeholder is written {{ %(name)s }}.") % {
                **place,
                "name": fault.name,
            }


def _cut(text: str) -> str:
    """Return the beginning of the text, up to the end of a word."""
    if len(text) <= _BESIDE:
        return text
    words = re.match(rf".{{0,{_BESIDE}}}(?!\S)", text, re.DOTALL)
    return f"{words[0] if words else text[:_BESIDE]}…"
