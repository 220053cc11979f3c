"""Placeholders of other programs, and ours as other programs spoil them: *|FNAME|*, [[city]], \\{\\{email\\}\\}.

They are sent as they stand. If letters know the name inside, the message's writer is told.
"""

import re
from collections.abc import Callable, Mapping

from vestnik.clients import attributes
from vestnik.mailings.rendering.braces import ENOUGH, canonical
from vestnik.mailings.rendering.faults import Fault, Kind, at
from vestnik.names import same

_NAME = r"\s{0,9}([^\s{}\[\]()<>%|*«»\"';:,&=#@][^{}\[\]()<>%|*«»\"\r\n;:,&=#@]{0,110}?)\s{0,9}"
_AROUND = (
    (r"\\\{\s?\\\{", r"\\\}\s?\\\}"),
    (r"=7[bB]=7[bB]", r"=7[dD]=7[dD]"),
    (r"\\u007[bB]\\u007[bB]", r"\\u007[dD]\\u007[dD]"),
    (r"\\x7[bB]\\x7[bB]", r"\\x7[dD]\\x7[dD]"),
    (r"\{\(", r"\)\}"),
    (r"\{\[", r"\]\}"),
    (r"\{%", r"%\}"),
    (r"[$#%@]\{", r"\}"),
    (r"(?<!\{)\{", r"\}(?!\})"),
    (r"\[\[?", r"\]"),
    (r"\(\(", r"\)\)"),
    (r"\$\(", r"\)"),
    (r"\*\|", r"\|\*"),
    (r"%%?", r"%"),
    (r"##", r"##"),
    (r"@@", r"@@"),
    (r"<%=?", r"%>"),
    (r"&lt;%=?", r"%&gt;"),
    (r"<<?", r">"),
    (r"&lt;(?:&lt;)?", r"&gt;"),
    (r"«", r"»"),
)
_FOREIGN = re.compile("|".join(f"(?:{begins}){_NAME}(?:{ends})" for begins, ends in _AROUND))
_OTHERS = {
    "fname": "full_name",
    "fullname": "full_name",
    "full name": "full_name",
    "first_name": "full_name",
    "firstname": "full_name",
    "имя": "full_name",
    "e-mail": "email",
}
"""Names of other programs, and ours for the same."""


MOST_LOOKED_AT = 2_000
"""Different names of one text that are looked up."""


def find(template: str, html: bool, spellings: Callable[[], Mapping[str, str]]) -> list[Fault]:
    """Return the foreign placeholders of a text that name what our letters have, or an attribute of the owner's
    clients.

    `spellings` are asked for only where there is a name to look up.
    """
    found: list[Fault] = []
    seen: set[str] = set()
    for written in _FOREIGN.finditer(template):
        name = written[written.lastindex or 0].replace("\\", "")
        if name in seen or (html and written[0] == f"<{name}>"):  # a tag
            continue
        seen.add(name)
        ours = canonical(name) or _OTHERS.get(same(name), "")
        if not ours and (spelled := spellings().get(attributes.key(name))):
            ours = f"attributes.{spelled}"
        braced = written[0].lstrip("$#%@")
        single = braced[0] == "{" and braced[1:-1].strip() == name
        if ours and not (single and canonical(name) in ("full_name", "email")):  # of these, braces tell
            found.append(at(template, *written.span(), Kind.SINGLE, ours))
        if len(found) >= ENOUGH or len(seen) >= MOST_LOOKED_AT:
            break
    return found
