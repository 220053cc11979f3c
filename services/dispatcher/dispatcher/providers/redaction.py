"""Secrets that a service repeats in its words are hidden there: those words are kept, shown and logged."""

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote

SHORTEST = 5
"""Shorter secrets are hidden only where they are encoded: as they are, much that is none would look like them."""


def redactor(*secrets: str, encoded: str = "") -> Callable[[str], str]:
    """What hides these secrets in words: as they are, in base64, and either of them escaped for an address, JSON, HTML
    or Python. `encoded` is hidden in base64 only. To be asked before the words are cut, for half a secret is not found.

    >>> redactor("a/b c=d")("no a/b c=d, a%2Fb%20c%3Dd, a\\\\/b c=d, YS9iIGM9ZA==")
    'no ***, ***, ***, ***'
    """
    forms = {secret for secret in secrets if len(secret) >= SHORTEST}
    for text in filter(None, (*secrets, encoded)):
        forms |= {encode(text.encode()).decode().rstrip("=") for encode in _BASE64}
    if not forms:
        return str
    longest_first = sorted(forms, key=len, reverse=True)
    patterns = ["".join(map(_escaped, form)) for form in longest_first]
    padding = f"{_escaped('=')}{{0,2}}"
    found = re.compile(f"(?:{'|'.join(patterns)}){padding}")
    return lambda words: found.sub("***", words)


_BASE64 = (base64.b64encode, base64.urlsafe_b64encode)


def _escaped(character: str) -> str:
    """A pattern for every way in which the character is written."""
    if character.isascii() and character.isalnum():
        return character
    ways = {character, "\\" + character, json.dumps(character)[1:-1], html.escape(character), repr(character)[1:-1]}
    for way in (
        quote(character, safe=""),
        f"\\u{ord(character):04x}",
        f"&#{ord(character)};",
        f"&#x{ord(character):x};",
    ):
        ways |= {way, way.lower(), way.upper().replace("\\U", "\\u").replace("&#X", "&#x")}
    return f"(?:{'|'.join(map(re.escape, sorted(ways, key=len, reverse=True)))})"
