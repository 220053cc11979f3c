"""Keys that sign letters (DKIM): made, loaded, published in the DNS (RFC 6376, 3.6; RFC 8463 for Ed25519)."""

import hashlib
import re
from base64 import b64encode
from binascii import a2b_base64
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

_BITS = 2048
"""Of a new RSA key."""
_FEWEST_BITS, _MOST_BITS = 1024, 4096
"""Of an RSA key that every verifier takes (RFC 8301, 3.2)."""
_LONGEST_KEY = 2500
"""Octets of a key that is looked at: of one with 4096 bits. The check of a larger one takes seconds."""
_LONGEST_RECORD = 4096
"""Characters of a record that are read at all; an RSA key of 4096 bits has some 740."""

_PADDING, _SHA256 = PKCS1v15(), hashes.SHA256()
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_NAME = 253
"""Characters of a name in the DNS."""
_TAG = re.compile(r"[ \t\r\n]*([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=([ \t\r\n\x21-\x3a\x3c-\x7e]*)")
_SPACE = re.compile(r"[ \t\r\n]+")


class Algorithm(StrEnum):
    """How a letter is signed, as the tag a= says it."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


_KINDS = {Algorithm.RSA: "rsa", Algorithm.ED25519: "ed25519"}
"""What the tag k= of a record calls the keys."""


class Published(StrEnum):
    """What a record in the DNS means for the letters that our key signs."""

    RIGHT = "right"
    TESTING = "testing"
    """Right, but it says that its domain only tries (t=y): verifiers may treat its letters as if nobody signed them."""
    REVOKED = "revoked"
    ANOTHER_KEY = "another_key"
    """A key that is not ours, or a record that does not let ours sign mail by SHA-256."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with the domain it signs for and the selector it is published under. Threads may share it."""

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)
    algorithm: Algorithm

    def sign(self, data: bytes) -> bytes:
        """Return the signature of the data's SHA-256 (RFC 6376, 3.3.1; RFC 8463, 3)."""
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.sign(hashlib.sha256(data).digest())
        return self.private.sign(data, _PADDING, _SHA256)


def new_private_key(algorithm: Algorithm) -> bytes:
    """Return a new private key, as PKCS#8 in DER."""
    made = Ed25519PrivateKey.generate() if algorithm is Algorithm.ED25519 else generate_private_key(65537, _BITS)
    return made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load_key(domain: str, selector: str, der: bytes) -> SigningKey:
    """Return the key, ready to sign. `domain` is in ASCII, `der` as `new_private_key` returns it.

    An RSA key is checked for some 30 ms: load it once, not for each letter.

    Raises ValueError for bytes that are no such key, an RSA key of a size that verifiers need not take, and a domain
    or selector that is none.
    """
    for name in (domain, selector):
        if not _NAME.fullmatch(name) or len(record_name(domain, selector)) > _LONGEST_NAME:
            raise ValueError(f"{name!r} cannot stand in a signature as a domain or selector")
    private = _loaded(der)
    return SigningKey(domain, selector, private, _algorithm(private))


def record_name(domain: str, selector: str) -> str:
    """Return the name of the TXT record that publishes a key (RFC 6376, 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def record_value(private: bytes) -> str:
    """Return the text of the TXT record that publishes the key. Raises ValueError as `load_key` does for the key.

    It is longer than the 255 octets that one string of a TXT record can have: RSA keys want two (RFC 6376, 3.6.2.2).
    """
    key = _loaded(private)
    return f"v=DKIM1; k={_KINDS[_algorithm(key)]}; p={b64encode(_public(key)).decode()}"


def judge(txt: str, private: bytes) -> Published:
    """Say what a published record (its strings joined) means for letters signed by the key.

    Raises ValueError as `load_key` does for the key, and nothing for any text. A record that is right by RFC 6376 is
    right: some verifiers are less exact.
    """
    key = _loaded(private)
    tags = _tags(txt) if len(txt) <= _LONGEST_RECORD else None
    if tags is None or "p" not in tags or tags.get("v", "DKIM1") != "DKIM1":
        return Published.UNREADABLE
    if not tags["p"]:
        return Published.REVOKED
    try:
        public = a2b_base64(_SPACE.sub("", tags["p"]), strict_mode=True)
    except ValueError:
        return Published.UNREADABLE
    ours = tags.get("k", "rsa") == _KINDS[_algorithm(key)] and public == _public(key)
    if not ours or not _lets_us_sign(tags):
        return Published.ANOTHER_KEY
    return Published.TESTING if "y" in _listed(tags.get("t", "")) else Published.RIGHT


def _loaded(der: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    if len(der) > _LONGEST_KEY:
        raise ValueError(f"a key of {len(der):,} octets is too large")
    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it wants a password
        raise ValueError("this is no private key") from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("letters are signed by RSA or Ed25519 keys only")
    if not _FEWEST_BITS <= key.key_size <= _MOST_BITS:
        raise ValueError(f"an RSA key has to have {_FEWEST_BITS} to {_MOST_BITS} bits, and this has {key.key_size}")
    return key


def _algorithm(key: RSAPrivateKey | Ed25519PrivateKey) -> Algorithm:
    return Algorithm.ED25519 if isinstance(key, Ed25519PrivateKey) else Algorithm.RSA


def _public(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    """Return the octets that p= has for the key.

    RSA: SubjectPublicKeyInfo, as everybody does; OpenDKIM does not take the RSAPublicKey that RFC 6376 names (3.6.1).
    """
    if isinstance(key, Ed25519PrivateKey):
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _tags(txt: str) -> dict[str, str] | None:
    """Return the tags of a record (RFC 6376, 3.2) without the space around their values; None for what is no such list.

    A tag that is there twice makes it none, and so does a version that is not the first tag (3.6.1).
    """
    specifications = txt.split(";")
    if not specifications[-1].strip(" \t\r\n"):
        specifications.pop()
    found: dict[str, str] = {}
    for specification in specifications:
        tag = _TAG.fullmatch(specification)
        if tag is None or tag[1] in found or (tag[1] == "v" and found):
            return None
        found[tag[1]] = tag[2].strip(" \t\r\n")
    return found


def _listed(value: str) -> set[str]:
    return {_SPACE.sub("", item) for item in value.split(":")}


def _lets_us_sign(tags: dict[str, str]) -> bool:
    """Say whether a record takes signatures by SHA-256, of mail (RFC 6376, 3.6.1: h=, s=)."""
    return "sha256" in _listed(tags.get("h", "sha256")) and bool({"*", "email"} & _listed(tags.get("s", "*")))
