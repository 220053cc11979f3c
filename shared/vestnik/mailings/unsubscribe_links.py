"""The links by which people unsubscribe: each stands for one letter, and cannot be made up.

A token is the key's version (one byte), the letter's number and a MAC of both (RFC 2104, HMAC-SHA-256, its first twelve
bytes), in base64url. The keys lie in the database, and are none of SECRET_KEY: a link is good as long as the ledger,
whatever secrets are changed meanwhile.
"""

import binascii
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Max

from vestnik.mailings.ledger.models import LinkKey

MAC_BYTES = 12
MOST_CHARACTERS = 40
"""Of a token: one byte of version, at most eight of the number."""
EXAMPLE = "example"
"""Stands in previews for the token of a letter that is not there yet."""
PATH = "/u/"
OF_NO_LETTER = 0
"""The number in the link by which the way of one click is tried."""


def signer() -> Callable[[int], str]:
    """Return a function that makes the whole link of a letter, by its number, with the newest key.

    The first call of an installation makes the key.
    """
    version, key = _newest()
    begin = f"{settings.SITE_URL}{PATH}"

    def link(delivery_id: int) -> str:
        return begin + _token(version, key, delivery_id)

    return link


def example() -> str:
    """Return the link for previews."""
    return f"{settings.SITE_URL}{PATH}{EXAMPLE}"


def trial() -> str:
    """Return a link that is right, and stops nothing: by it the product tries its own way of one click."""
    return signer()(OF_NO_LETTER)


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says, whoever made it."""

    text: str
    version: int
    delivery_id: int

    def is_signed_by(self, key: bytes) -> bool:
        """Say whether it was made with the key of its version."""
        return hmac.compare_digest(_token(self.version, key, self.delivery_id), self.text)


def taken_apart(token: str) -> Token | None:
    """Return what the token says; None if it cannot be one. Its signature is yet to be looked at."""
    if len(token) > MOST_CHARACTERS or not token.isascii():
        return None
    try:
        octets = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    if not MAC_BYTES + 2 <= len(octets) <= MAC_BYTES + 9:
        return None
    delivery_id = int.from_bytes(octets[1:-MAC_BYTES])
    return Token(token, octets[0], delivery_id) if delivery_id < 1 << 63 else None


def read(token: str) -> int | None:
    """Return the number of the letter that the token stands for; None if it is no token of ours."""
    said = taken_apart(token)
    if said is None:
        return None
    key = LinkKey.objects.filter(pk=said.version).values_list("key", flat=True).first()
    return said.delivery_id if key is not None and said.is_signed_by(bytes(key)) else None


def renew() -> int:
    """Make a new key, by which letters are signed from the next slice on; return its version."""
    version = (LinkKey.objects.aggregate(newest=Max("pk"))["newest"] or 0) + 1
    if version > 255:
        raise ValueError("There have been as many keys as a token can tell apart.")
    LinkKey.objects.create(pk=version, key=secrets.token_bytes(32))
    return version


def _newest() -> tuple[int, bytes]:
    found = LinkKey.objects.order_by("-pk").values_list("pk", "key").first()
    if found is None:
        LinkKey.objects.bulk_create([LinkKey(pk=1, key=secrets.token_bytes(32))], ignore_conflicts=True)
        found = LinkKey.objects.order_by("-pk").values_list("pk", "key")[0]
    return found[0], bytes(found[1])


def _token(version: int, key: bytes, delivery_id: int) -> str:
    said = bytes((version,)) + delivery_id.to_bytes((delivery_id.bit_length() + 7) // 8 or 1)
    mac = hmac.digest(key, b"unsubscribe" + said, "sha256")[:MAC_BYTES]
    return urlsafe_b64encode(said + mac).decode().rstrip("=")
