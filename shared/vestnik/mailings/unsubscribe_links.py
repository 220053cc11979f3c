"""The links by which people unsubscribe, and the addresses that do the same: each stands for one letter, and cannot be
made up (letter_tokens.py). In links a token is written in base64url.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from django.conf import settings

from vestnik.mailings import letter_tokens
from vestnik.mailings.letter_tokens import OF_NO_LETTER, Purpose, Token

MOST_CHARACTERS = 40
EXAMPLE = "example"
"""Stands in previews for the token of a letter that is not there yet."""
PATH = "/u/"


def signer() -> Callable[[int], str]:
    """Return a function that makes the whole link of a letter, by its number, with the newest key.

    The first call of an installation makes the key.
    """
    version, key = letter_tokens.newest_key()
    begin = f"{settings.SITE_URL}{PATH}"

    def link(delivery_id: int) -> str:
        return begin + _written(letter_tokens.made(Purpose.UNSUBSCRIBE, version, key, delivery_id))

    return link


def example() -> str:
    """Return the link for previews."""
    return f"{settings.SITE_URL}{PATH}{EXAMPLE}"


def trial() -> str:
    """Return a link that is right, and stops nothing: by it the product tries its own way of one click."""
    return signer()(OF_NO_LETTER)


def taken_apart(token: str) -> Token | None:
    """Return what the token says; None if it cannot be one. Its signature is yet to be looked at."""
    if len(token) > MOST_CHARACTERS or not token.isascii():
        return None
    try:
        octets = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    return letter_tokens.taken_apart(octets) if _written(octets) == token else None


def read(token: str) -> int | None:
    """Return the number of the letter that the token stands for; None if it is no token of ours."""
    said = taken_apart(token)
    return said.delivery_id if said is not None and letter_tokens.is_right(said, Purpose.UNSUBSCRIBE) else None


def _written(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")
