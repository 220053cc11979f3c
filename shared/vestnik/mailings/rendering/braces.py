"""Where a template has placeholders, and where it nearly has one.

A placeholder stands between two pairs of braces: {{ full_name }}. Programs in which people write letters encode braces
in other ways (%7B%7B in links, &#123;, ｛｛), put invisible characters between them, and tags around the name: all of
that is understood. What was meant for a placeholder and is none, since a brace is missing, is a fault: whoever reads
“Dear {{full_name},” knows that nobody wrote to them.
"""

import html as html_library
import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from urllib.parse import unquote

from vestnik.clients import attributes
from vestnik.mailings.rendering.faults import Fault, Kind, at
from vestnik.names import same

NAMES = ("full_name", "email", "unsubscribe_url")
"""What every letter has, beside attributes."""
LONGEST_PLACEHOLDER = 1000
"""Characters between the braces, tags included; a longer text is no placeholder."""
ENOUGH = 50
"""Faults of one text that are shown."""
MOST_LOOKED_AT = 5_000
"""Different texts between braces that are read in search of what was meant for a placeholder."""

_TAG = r"<[^<>]{0,300}>"
_UNSEEN = r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
_HIDDEN = (
    r"&(?:shy|zwn?j|lrm|rlm|ZeroWidthSpace|NoBreak|#0*(?:173|820[3-7]|8288|65279)|#[xX]0*(?:ad|AD|200[b-fB-F]|2060|"
    r"[fF][eE][fF][fF]));"
)
_OPEN = r"\{|｛|﹛|%(?:25)?7[bB]|&(?:amp;)?(?:#0{0,6}123|#[xX]0{0,6}7[bB]|lbrace|lcub);?"
_CLOSE = r"\}|｝|﹜|%(?:25)?7[dD]|&(?:amp;)?(?:#0{0,6}125|#[xX]0{0,6}7[dD]|rbrace|rcub);?"


def _run(brace: str) -> str:
    return rf"(?:{brace})(?:(?:{_UNSEEN}|{_HIDDEN})*(?:{brace}))*"


_RUN = re.compile(rf"(?P<open>{_run(_OPEN)})|(?P<close>{_run(_CLOSE)})")
_BRACE = re.compile(rf"{_OPEN}|{_CLOSE}")
_TYPED = re.compile(r"\{\{(?:(?!\{\{|\}\}).)*\}\}", re.DOTALL)
_BLANK = re.compile(rf"(?:\s|{_UNSEEN})*")
_TAGS = re.compile(_TAG)
_PERCENT = re.compile("%[0-9a-fA-F]{2}")
_DEFAULT = re.compile(
    r"""\s*default\s*:\s*(?:"([^"\r\n]*)"|'([^'\r\n]*)'|[“”„]([^“”„\r\n]*)[“”]|[‘’‚]([^‘’‚\r\n]*)[‘’]|«([^«»\r\n]*)»)\s*"""
)
_BEGINS = re.compile(r"(?:full_name|email|unsubscribe_url)\b|attributes\s?\.\s?\w")
_GROUPS = frozenset({"attributes", "attributes.", "attributes ."})
_ENDS = re.compile(r"(?:\bfull_name|\bemail|\bunsubscribe_url|\battributes\s?\.\s?\S{1,100})$")
_NEAR = 200
"""Characters beside a lone pair of braces that are looked at for the name it was meant for."""
_NAMED = re.compile(r"[^\r\n:;=<>{}]{0,100}[^\W\d_][^\r\n:;=<>{}]{0,100}(?:\|[^\r\n{}]{0,200})?")
"""What may have been meant for a name, where only the braces tell: no declaration of a style."""
_ONE_LINE = re.compile(r"(?=.{0,200}\w)[^\r\n]{1,200}")
"""What may have been meant for a name, between two braces and a single one."""
_APART = 20
"""Blanks that may keep two braces apart."""
_FAR = 300
"""Characters from two braces to those that close them, with a placeholder between."""
_QUOTED = "|".join(
    f"(?:{begins})(?:(?!{ends})[^\\r\\n]){{0,300}}(?:{ends})"
    for begins, ends in (
        ('"|&(?:quot|#0{0,4}34);', '"|&(?:quot|#0{0,4}34);'),
        ("'|&(?:apos|#0{0,4}39);", "'|&(?:apos|#0{0,4}39);"),
        ("[“”„]", "[“”]"),
        ("[‘’‚]", "[‘’]"),
        ("«", "»"),
    )
)
_WITH_DEFAULT = re.compile(
    rf"([^|{{}}\r\n]{{1,300}})\|\s{{0,9}}default\s{{0,9}}:\s{{0,9}}({_QUOTED})\s{{0,9}}(?:{_CLOSE}){{2}}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder: what it names, what stands in for an empty value, and where it is in the template."""

    name: str
    """`full_name`, `email`, `unsubscribe_url`, or `attributes.` and the attribute's name."""
    default: str
    start: int
    end: int
    before: str
    """Tags that stood between the braces before the name: they stay, around the value."""
    after: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was found between the braces of one template."""

    placeholders: tuple[Placeholder, ...]
    faults: tuple[Fault, ...]
    """What was meant for a placeholder and is none."""
    doubts: tuple[Fault, ...]
    """What may have been meant for one, and is sent as it stands."""


@lru_cache(maxsize=8)
def find(template: str, html: bool, most: int | None = None) -> Found:
    """Return every placeholder of the template, in order; in `html`, tags and character references are understood.

    Cached for the texts of a message or two: a page asks for them several times, and so does each slice of a run. With
    `most`, the search ends once there are more placeholders than that, or very many faults.
    """
    reader = _Reader(template, html)
    before = run = None
    for behind in chain(_RUN.finditer(template), [None]):
        if run is not None:
            reader.look(before, run, behind)
        if reader.has_enough(most):
            break
        before, run = run, behind
    else:
        reader.look_wider()
    return Found(tuple(reader.placeholders), tuple(reader.faults), tuple(reader.doubts))


class _Reader:
    """Reads one run of braces after another, and caches what it read: texts repeat themselves."""

    def __init__(self, template: str, html: bool) -> None:
        self.placeholders: list[Placeholder] = []
        self.faults: list[Fault] = []
        self.doubts: list[Fault] = []
        self._template, self._html = template, html
        self._read: dict[tuple[str, str], _Inside] = {}
        self._told: set[int] = set()  # where braces begin that were read
        self._plain = 0  # faults between two braces and two, as they are typed
        self._depth = 0  # single braces that are open
        self._unclosed: re.Match[str] | None = None  # the last two or more that others followed
        self._until = 0  # where the text ends that was read

    def has_enough(self, most: int | None) -> bool:
        """Say whether nothing that may follow would be shown."""
        return most is not None and (len(self.faults) >= ENOUGH or len(self.placeholders) > most)

    def look(self, before: re.Match[str] | None, run: re.Match[str], behind: re.Match[str] | None) -> None:
        """Read this run of braces, with the runs before and after it."""
        if run.start() < self._until:
            self._told.add(run.start())
        elif run["open"]:
            number = _number(run)
            if number >= 2 and self._has_braces_in_default(run):
                return
            if behind is not None and behind["close"]:
                self._look_between(run, behind)
            else:
                self._look_behind(run, behind)
            self._depth += number == 1
        else:
            number = _number(run)
            if before is None or before["close"] or before.start() < self._until:
                if before and not (self._unclosed or self._depth) and self._is_placed_before(before, run):
                    self._fault(before.start(), run.end(), Kind.BRACE)
                self._look_before(run, 0 if before is None else before.end())
            elif _number(before) >= 2:
                number -= 2
            self._depth = max(self._depth - max(number, 0), 0)

    def _is_placed_before(self, before: re.Match[str], run: re.Match[str]) -> bool:
        """Say whether nothing but blanks is between the end of a placeholder and this run."""
        ends = bool(self.placeholders) and before.start() < self.placeholders[-1].end <= before.end()
        return (
            ends
            and run.start() - before.end() <= _APART
            and not self._template[before.end() : run.start()].strip(" \t\u00a0")
        )

    def _fault(self, start: int, end: int, kind: Kind, name: str = "", plain: bool = False) -> None:
        """Add a fault, if it would be shown or refused; finding its line takes a while."""
        refused = plain and kind is not Kind.BRACE
        if len(self.faults) < ENOUGH or (refused and self._plain < ENOUGH):
            self.faults.append(at(self._template, start, end, kind, name, plain))
            self._plain += refused

    def _doubt(self, start: int, end: int, kind: Kind, name: str = "") -> None:
        if len(self.doubts) < ENOUGH:
            self.doubts.append(at(self._template, start, end, kind, name))

    def _look_between(self, opening: re.Match[str], closing: re.Match[str]) -> None:
        numbers = _number(opening), _number(closing)
        encoding = opening[0][0] if opening[0][0] in "%&" else ""
        if min(numbers) >= 2:
            opened, closed = _Braces(opening), _Braces(closing)
            start = opening.end() if opened.number == 2 else opened.last[-1][0]
            inside = self._inside(start, closing.start(), encoding)
            placed = opened.last[0][0], closed.first[1][1]
            self._told.add(placed[0])
            if inside.known and opened.number == 2:
                self.placeholders.append(
                    Placeholder(inside.known, inside.default, *placed, inside.before, inside.after)
                )
                if closed.number - 2 > self._depth:
                    self._fault(opening.start(), closing.end(), Kind.BRACE)
            else:
                plain = self._template.startswith("{{", placed[0]) and self._template.startswith("}}", closing.start())
                self._fault(*placed, inside.fault, inside.core, plain)
        elif len(self._read) < MOST_LOOKED_AT:
            inside = self._inside(opening.end(), closing.start(), encoding)
            if inside.known or self._is_meant(inside, opening, closing, *numbers):
                self._miss(opening.start(), closing.end(), inside, numbers == (1, 1))

    def _is_meant(
        self, inside: "_Inside", opening: re.Match[str], closing: re.Match[str], opened: int, closed: int
    ) -> bool:
        """Say whether braces that are two on one side alone, or stand apart, are there for a placeholder."""
        if opened >= 2:
            return inside.begins or bool(_ONE_LINE.fullmatch(inside.core))
        apart = self._template[max(opening.start() - _APART, 0) : opening.start()].rstrip(" \t\u00a0").endswith("{")
        if closed >= 2:
            return (closed - 1 > self._depth or apart) and bool(_NAMED.fullmatch(inside.core))
        behind = self._template[closing.end() : closing.end() + _APART].lstrip(" \t\u00a0")
        return apart and behind.startswith("}") and bool(_NAMED.fullmatch(inside.core))

    def _miss(self, start: int, end: int, inside: "_Inside", single: bool) -> None:
        """Add a fault: a brace is missing.

        Around “email” alone it is a doubt, for many texts have that word in braces.
        """
        self._told.add(start)
        if single and inside.known == "email" and not _braced(self._template, start, end):
            self._doubt(start, end, Kind.SINGLE, inside.known)
        else:
            self._fault(start, end, Kind.BRACE, inside.core)

    def _has_braces_in_default(self, opening: re.Match[str]) -> bool:
        """Say whether only the text of a default keeps this from being a placeholder."""
        written = _WITH_DEFAULT.match(self._template, opening.end())
        if written is None or not _BRACE.search(written[2]):
            return False
        name, self._until = _decoded(written[1], self._html, ""), written.end()
        self._told.add(opening.start())
        kind = Kind.UNKNOWN
        if canonical(name):
            kind, name = Kind.DEFAULT, self._template[opening.end() : written.end(2)].strip()
        self._fault(opening.start(), written.end(), kind, name, plain="}}" in written[2])
        return True

    def look_wider(self) -> None:
        """Find pairs of braces, as they are typed, with single braces between: no name has any."""
        for wide in _TYPED.finditer(self._template):
            if wide.start() not in self._told:
                self._fault(*wide.span(), Kind.UNKNOWN, wide[0][2:-2].strip(), plain=True)

    def _look_behind(self, opening: re.Match[str], behind: re.Match[str] | None) -> None:
        """Look for a name after braces that nothing closes."""
        if _number(opening) < 2:
            return
        self._unclosed = opening
        if len(self._read) >= MOST_LOOKED_AT:
            return
        end = len(self._template) if behind is None else behind.start()
        inside = self._inside(opening.end(), min(end, opening.end() + _NEAR))
        others = behind is not None and _number(behind) >= 2
        if inside.begins or (others and same(inside.core[-_NEAR:]) in _GROUPS):
            self._told.add(opening.start())
            self._fault(opening.start(), opening.end(), Kind.BRACE)
        elif inside.core[:1].isalpha():
            self._doubt(opening.start(), opening.end(), Kind.BRACE)

    def _look_before(self, closing: re.Match[str], start: int) -> None:
        """Look for a name before braces that nothing opens, or for earlier braces that these would close."""
        unclosed, self._unclosed = self._unclosed, None
        if unclosed is not None and closing.start() - unclosed.end() <= _FAR:
            if unclosed.start() not in self._told:
                self._fault(unclosed.start(), closing.end(), Kind.BRACE)
            return
        if _number(closing) < 2 or len(self._read) >= MOST_LOOKED_AT:
            return
        if self._inside(max(start, closing.start() - _NEAR), closing.start()).ends:
            self._fault(closing.start(), closing.end(), Kind.BRACE)

    def _inside(self, start: int, end: int, encoding: str = "") -> "_Inside":
        text = self._template[start : min(end, start + LONGEST_PLACEHOLDER + 1)]
        if (read := self._read.get((text, encoding))) is None:
            read = self._read[text, encoding] = _Inside(text, self._html, encoding)
        return read


def _number(run: re.Match[str]) -> int:
    """Count the braces of the run."""
    return len(run[0]) if not run[0].strip("{}") else _Braces(run).number


class _Braces:
    """The positions of a run's braces, of which there may be very many."""

    def __init__(self, run: re.Match[str]) -> None:
        self.number = 0
        self.first: list[tuple[int, int]] = []
        """Where the first two are."""
        self.last: deque[tuple[int, int]] = deque(maxlen=3)
        """Where the last three are, or what there is of them."""
        for brace in _BRACE.finditer(run[0]):
            self.number += 1
            place = brace.start() + run.start(), brace.end() + run.start()
            self.last.append(place)
            if self.number <= 2:
                self.first.append(place)


class _Inside:
    """The text between braces, or beside them, as it was read."""

    def __init__(self, text: str, html: bool, encoding: str = "") -> None:
        self.known = self.default = self.before = self.after = ""
        self.fault = Kind.UNKNOWN
        self.core = text.strip()
        if len(text) > LONGEST_PLACEHOLDER:
            return
        if html and "<" in text:
            self.before, self.core, self.after = _without_tags(text)
            if _TAGS.search(self.core):
                self.fault = Kind.TAGS
                return
        self.core = _decoded(self.core, html, encoding)
        if not self._read(self.core) and _PERCENT.search(self.core):
            self._read(unquote(self.core))  # in links, programs encode what is between the braces, too

    def _read(self, core: str) -> bool:
        name, bar, rest = core.partition("|")
        self.fault, self.default = Kind.UNKNOWN, ""
        if bar:
            written = _DEFAULT.fullmatch(rest)
            if written is None:
                self.fault = Kind.FILTER
                return False
            self.default = written[written.lastindex or 1]
        self.known = canonical(name)
        return bool(self.known)

    @property
    def begins(self) -> bool:
        """Whether it begins with what a placeholder names."""
        return bool(_BEGINS.match(same(self.core[:_NEAR])))

    @property
    def ends(self) -> bool:
        """Whether it ends with what a placeholder names."""
        return bool(_ENDS.search(same(self.core[-_NEAR:])))


def without(text: str) -> str:
    """Return the text without any brace, however it is written: nothing in it is a placeholder."""
    return _BRACE.sub("", text)


def canonical(name: str) -> str:
    """Return the name as letters know it, however it is spelled; empty if they know no such name."""
    key = same(name)
    if key in NAMES:
        return key
    group, dot, _rest = key.partition(".")
    if dot and group.strip() == "attributes" and (attribute := attributes.named(name.partition(".")[2])):
        return f"attributes.{attribute}"
    return ""


def _without_tags(text: str) -> tuple[str, str, str]:
    """Return the tags that the text begins with, what stands between, and the tags that it ends with."""
    tags = list(_TAGS.finditer(text))
    start, end, first, last = _blank_until(text, 0), len(text.rstrip()), 0, len(tags)
    while first < last and tags[first].start() == start:
        start = _blank_until(text, tags[first].end())
        first += 1
    while first < last and tags[last - 1].end() == end:
        last -= 1
        end = len(text[: tags[last].start()].rstrip())
    before, after = tags[:first], tags[last:]
    return "".join(tag[0] for tag in before), text[start:end], "".join(tag[0] for tag in after)


def _blank_until(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _decoded(core: str, html: bool, encoding: str) -> str:
    """Return what the writer's program has encoded together with the braces, as it was typed."""
    if encoding == "%":
        core = unquote(unquote(core.replace("+", " ")))
    if html or encoding == "&":
        core = html_library.unescape(html_library.unescape(core))
    return re.sub(_UNSEEN, "", core).replace("\u00a0", " ").strip()


def _braced(template: str, start: int, end: int) -> bool:
    """Say whether other braces stand beside this, with nothing but space between."""
    before, behind = template[max(start - _NEAR, 0) : start], template[end : end + _NEAR]
    return before.rstrip().endswith("{") or behind.lstrip().startswith("}")
