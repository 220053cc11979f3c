"""Tokens that stand for one letter, and cannot be made up: in links, and in addresses that answers come back to.

A token's octets are the key's version (one byte), the letter's number and a MAC of both (RFC 2104, HMAC-SHA-256, its
first twelve bytes); what it is for is in the MAC, so that none serves for anything else. The keys lie in the database,
and are none of SECRET_KEY: a token is good as long as the ledger, whatever secrets are changed meanwhile.
"""

import hmac
import secrets
from dataclasses import dataclass
from enum import Enum

from django.db.models import Max

from vestnik.mailings.ledger.models import LinkKey

MAC_BYTES = 12
LEAST_BYTES, MOST_BYTES = MAC_BYTES + 2, MAC_BYTES + 9
OF_NO_LETTER = 0
"""The number in a token that is right, and does nothing."""


class Purpose(Enum):
    """What a token is for; its value is part of what is signed."""

    UNSUBSCRIBE = b"unsubscribe"
    RETURN = b"return"


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says, whoever made it."""

    octets: bytes
    version: int
    delivery_id: int

    def is_signed_by(self, key: bytes, purpose: Purpose) -> bool:
        """Say whether it was made for this with the key of its version."""
        return hmac.compare_digest(made(purpose, self.version, key, self.delivery_id), self.octets)


def made(purpose: Purpose, version: int, key: bytes, delivery_id: int) -> bytes:
    """Return a letter's token. A few microseconds: each letter of each mailing has two."""
    said = bytes((version,)) + delivery_id.to_bytes((delivery_id.bit_length() + 7) // 8 or 1)
    return said + hmac.digest(key, purpose.value + said, "sha256")[:MAC_BYTES]


def taken_apart(octets: bytes) -> Token | None:
    """Return what the token says; None if it cannot be one. Its signature is yet to be looked at."""
    if not LEAST_BYTES <= len(octets) <= MOST_BYTES:
        return None
    delivery_id = int.from_bytes(octets[1:-MAC_BYTES])
    return Token(octets, octets[0], delivery_id) if delivery_id < 1 << 63 else None


def is_right(token: Token, purpose: Purpose) -> bool:
    """Say whether the token was made by us, for this."""
    key = LinkKey.objects.filter(pk=token.version).values_list("key", flat=True).first()
    return key is not None and token.is_signed_by(bytes(key), purpose)


def newest_key() -> tuple[int, bytes]:
    """Return the key that signs now, with its version. The first call of an installation makes it."""
    found = LinkKey.objects.order_by("-pk").values_list("pk", "key").first()
    if found is None:
        LinkKey.objects.bulk_create([LinkKey(pk=1, key=secrets.token_bytes(32))], ignore_conflicts=True)
        found = LinkKey.objects.order_by("-pk").values_list("pk", "key")[0]
    return found[0], bytes(found[1])


def renew_key() -> int:
    """Make a new key, by which letters are signed from the next slice on; return its version.

    Raises ValueError where there have been as many as tokens can tell apart.
    """
    version = (LinkKey.objects.aggregate(newest=Max("pk"))["newest"] or 0) + 1
    if version > 255:
        raise ValueError("There have been as many keys as a token can tell apart.")
    LinkKey.objects.create(pk=version, key=secrets.token_bytes(32))
    return version
