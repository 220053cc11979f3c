"""Values inside addresses. A client's value fills a place in an address, and never becomes another address."""

import html as html_library
import re
import unicodedata
from collections.abc import Callable, Iterator

from vestnik.mailings.rendering.markup import SLOT

Encoder = Callable[[str], str]

_ANY = "\ufffd"
"""Stands for another value while the address around a value is read."""

ADDRESSES = frozenset(
    {
        "action",
        "background",
        "cite",
        "codebase",
        "data",
        "dynsrc",
        "formaction",
        "href",
        "imagesrcset",
        "longdesc",
        "lowsrc",
        "manifest",
        "ping",
        "poster",
        "src",
        "srcset",
        "xlink:href",
    }
)
"""Attributes of HTML whose value is an address."""
SCHEMES = frozenset({"http", "https", "mailto"})
"""Schemes that an address may have that is wholly a value."""
RUNNING = frozenset({"data", "javascript", "vbscript"})
"""Schemes of addresses that are programs or documents: in them no encoding keeps a value apart."""

_BARE = re.compile(
    r"(?<!\w)(?:https?://|www\.|mailto:)[^\s<>\"'`«»“”„‘’‹›…–—\u00ad\u200b-\u200f\u2060\ufeff]*", re.IGNORECASE
)
_NOT_IN_BARE = re.compile(r"[\s<>\"'`«»“”„‘’‹›…–—\u00ad\u200b-\u200f\u2060\ufeff]")
_REFERENCE = re.compile(
    r"&(?:#(?:[xX][0-9a-fA-F]{1,8}|[0-9]{1,8})|[a-zA-Z][a-zA-Z0-9]{1,31});|&(?:lt|gt|quot|nbsp)(?![\w=])"
)
_HOST_WRITTEN = re.compile(r"[^/?#,;!&|*()\[\]]*")
_BRACKET = re.compile(r"[()\[\]]")
_PUNCTUATION = ".,;:!?"
_AUTHORITY = re.compile(r"(?:https?:[/\\]*|[/\\]{2,})([^/\\?#]*)", re.IGNORECASE)
_TO_PATH = re.compile(r"[^/\\?#]*")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_NOT_IN_ADDRESSES = re.compile('[\x00-\x20\x7f-\xa0\u2028\u2029"<>\\\\^`{|}]')
_UNSEEN_BY_BROWSERS = re.compile("[\x00-\x1f\x7f-\x9f]")
_RESERVED = re.compile("[^A-Za-z0-9._~-]")
_NOT_IN_MAILBOXES = re.compile("[^A-Za-z0-9._~@-]")
_NOT_IN_NUMBERS = re.compile("[^A-Za-z0-9._~+-]")
_HOST = re.compile(r"[\w.-]{1,253}")
_PERCENT = {chr(octet): f"%{octet:02X}" for octet in range(128)}


def component(value: str) -> str:
    """Encode a piece of an address: whatever has a meaning there is percent-encoded (RFC 3986, 2.1)."""
    return _RESERVED.sub(_encoded, value)


def mailbox(value: str) -> str:
    """Encode the recipient of a mailto: address (RFC 6068)."""
    return _NOT_IN_MAILBOXES.sub(_encoded, value)


def number(value: str) -> str:
    """Encode the number of a tel: (RFC 3966) or sms: (RFC 5724) address."""
    return _NOT_IN_NUMBERS.sub(_encoded, value)


def rest(value: str) -> str:
    """Encode all of an address after its two slashes: it keeps its own slashes and question mark."""
    return _NOT_IN_ADDRESSES.sub(_encoded, value.strip())


def host(value: str) -> str:
    """Return the value if it is a host or a part of one, else nothing: what is written after it stays after it."""
    value = unicodedata.normalize("NFKC", value.strip())
    return value if _HOST.fullmatch(value) else ""


def scheme(value: str) -> str:
    """Return the value if it is a scheme of the web or of mail (SCHEMES), else nothing."""
    value = value.strip()
    return value if value.lower() in SCHEMES else ""


def nothing(_value: str) -> str:
    """Return nothing, for places where no value can stand."""
    return ""


def whole(value: str) -> str:
    """Encode an address of its own, of the web or of mail; anything else becomes nothing. No script runs from it."""
    value = _UNSEEN_BY_BROWSERS.sub("", value).strip()
    scheme = _SCHEME.match(value)
    return rest(value) if scheme is None or scheme[1].lower() in SCHEMES else ""


PLAIN = frozenset({component, mailbox, number, host, scheme, nothing})
"""Encoders that write nothing that HTML would escape."""


def _encoded(found: re.Match[str]) -> str:
    return _PERCENT.get(found[0]) or "".join(f"%{octet:02X}" for octet in found[0].encode())


def encoder(before: str, behind: str) -> Encoder:
    """Return the encoder for a value in an address with this text before it and after it."""
    before = _UNSEEN_BY_BROWSERS.sub("", before.replace(SLOT, _ANY)).lstrip()
    if not before:
        return scheme if ":" in _to_path(behind) else whole
    if authority := _AUTHORITY.match(before):
        if authority.end() < len(before):
            return component
        if not authority[1] and not behind.strip():
            return rest
        return component if "@" in _to_path(behind) else host
    named = _SCHEME.match(before)
    kind = named[1].lower() if named else ""
    if kind in RUNNING:
        return nothing
    if kind == "mailto" and "?" not in before:
        return mailbox
    return number if kind in ("tel", "sms") and "?" not in before else component


def _to_path(behind: str) -> str:
    to_path = _TO_PATH.match(behind)
    return to_path[0] if to_path else ""


def bare(text: str, html: bool) -> Iterator[tuple[int, str]]:
    """Yield the addresses of the web and of mail among a text's words, each with the place where it begins."""
    for found in _BARE.finditer(text):
        if SLOT in found[0]:
            yield found.start(), _cut(found[0], html)


def _cut(address: str, html: bool) -> str:
    """Return the address without what readers would not take for a part of it."""
    if html:
        for reference in _REFERENCE.finditer(address):
            if _NOT_IN_BARE.search(html_library.unescape(reference[0])):
                address = address[: reference.start()]
                break
    begins = 4 if address[:4].lower() == "www." else address.find("//") + 2
    named = None if address[:7].lower() == "mailto:" else _HOST_WRITTEN.match(address, begins)
    if named and address[named.end() : named.end() + 1] not in ("/", "?", "#"):
        address = address[: named.end()]
    opened = 0
    for bracket in _BRACKET.finditer(address):
        opened += 1 if bracket[0] in "([" else -1
        if opened < 0:
            address = address[: bracket.start()]
            break
    return address.rstrip(_PUNCTUATION)
