"""Secrets that a service repeats in its answers are hidden there: those answers are stored, shown and logged."""

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote

SHORTEST = 5
"""Characters: shorter secrets are hidden only where they are encoded, for plain they look like ordinary words."""


def redactor(*secrets: str, encoded: str = "") -> Callable[[str], str]:
    """Return a function that hides these secrets in a text.

    They are hidden as they are and in base64, and either of them escaped for an address, JSON, HTML or Python;
    `encoded` is hidden in base64 only. Call it before a text is cut, for half a secret is not found.

    >>> redactor("a/b c=d")("no a/b c=d, a%2Fb%20c%3Dd, a\\/b c=d, YS9iIGM9ZA==")
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
    return lambda text: found.sub("***", text)


_BASE64 = (base64.b64encode, base64.urlsafe_b64encode)


def _escaped(character: str) -> str:
    """Return a pattern for every way in which the character is written."""
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
