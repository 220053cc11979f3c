"""Values inside links. What a client's attribute says can fill a place in an address, and never be another address."""

import html as html_library
import re
from collections.abc import Callable, Iterator

Encoder = Callable[[str], str]

SLOT = "\0"
"""Stands for a placeholder while the text around it is read; no text of a letter has it."""

ADDRESSES = frozenset(
    {"action", "background", "cite", "data", "formaction", "href", "poster", "src", "srcset", "xlink:href"}
)
"""Attributes of HTML whose value is an address."""
SCHEMES = frozenset({"http", "https", "mailto"})
"""What an address that is wholly a value may begin with."""

_TAG = re.compile(r"<[a-zA-Z][^\s/>]*")
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s=>/\0]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?""")
_BARE = re.compile(r"(?:https?://|www\.|mailto:)[^\s<>\"'`]*", re.IGNORECASE)
_HOST_IS_NEXT = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_NOT_IN_ADDRESSES = re.compile('[\x00-\x20\x7f-\xa0\u2028\u2029"<>\\\\^`{|}]')
_UNSEEN_BY_BROWSERS = re.compile("[\x00-\x1f\x7f-\x9f]")
_RESERVED = re.compile("[^A-Za-z0-9._~-]")
_NOT_IN_MAILBOXES = re.compile("[^A-Za-z0-9._~@-]")
_NOT_IN_NUMBERS = re.compile("[^A-Za-z0-9._~+-]")
_PERCENT = {chr(octet): f"%{octet:02X}" for octet in range(128)}


def component(value: str) -> str:
    """A piece of an address: whatever has a meaning there is percent-encoded (RFC 3986, 2.1)."""
    return _RESERVED.sub(_encoded, value)


def mailbox(value: str) -> str:
    """Whom a mailto: address is to (RFC 6068)."""
    return _NOT_IN_MAILBOXES.sub(_encoded, value)


def number(value: str) -> str:
    """What a tel: or sms: address calls (RFC 3966)."""
    return _NOT_IN_NUMBERS.sub(_encoded, value)


def rest(value: str) -> str:
    """All of an address behind its two slashes: it keeps its own slashes and question mark."""
    return _NOT_IN_ADDRESSES.sub(_encoded, value.strip())


def whole(value: str) -> str:
    """An address of its own: of the web or of mail, or nothing. No script runs from it, whatever the value says."""
    value = _UNSEEN_BY_BROWSERS.sub("", value).strip()
    scheme = _SCHEME.match(value)
    return rest(value) if scheme is None or scheme[1].lower() in SCHEMES else ""


PLAIN = frozenset({component, mailbox, number})
"""These write nothing that HTML would have escaped."""


def _encoded(found: re.Match[str]) -> str:
    return _PERCENT.get(found[0]) or "".join(f"%{octet:02X}" for octet in found[0].encode())


def encoders(literals: list[str], html: bool) -> dict[int, Encoder]:
    """How values are written at those places between the literals that are inside of links."""
    text = SLOT.join(literals)
    number_at = {place.start(): number for number, place in enumerate(re.finditer(SLOT, text))}
    found: dict[int, Encoder] = {}
    if not number_at:
        return found
    for start, address in (*_bare(text), *(_in_tags(text) if html else ())):
        for place in re.finditer(SLOT, address):
            before = address[: place.start()]
            found[number_at[start + place.start()]] = _encoder(html_library.unescape(before) if html else before)
    return found


def _encoder(before: str) -> Encoder:
    """For a value in an address that begins so."""
    before = before.lstrip()
    if not before:
        return whole
    if _HOST_IS_NEXT.fullmatch(before):
        return rest
    scheme = before.partition(":")[0].lower()
    if scheme == "mailto" and "?" not in before:
        return mailbox
    return number if scheme in ("tel", "sms") and "?" not in before else component


def _bare(text: str) -> Iterator[tuple[int, str]]:
    """Addresses of the web and of mail in a text, each with the place where it begins."""
    for found in _BARE.finditer(text):
        yield found.start(), found[0]


def _in_tags(text: str) -> Iterator[tuple[int, str]]:
    """The values of a text's tags that are addresses, each with the place where it begins. Never a long way back."""
    at = 0
    while tag := _TAG.search(text, at):
        at = tag.end()
        while attribute := _ATTRIBUTE.match(text, at):
            at = attribute.end()
            group = attribute.lastindex or 1
            if group > 1 and attribute[1].lower() in ADDRESSES:
                yield attribute.start(group), attribute[group]
