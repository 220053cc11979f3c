"""Secrets that lie in the database: encrypted, so that who reads the database or a backup of it has not got them.

By Fernet (AES-128-CBC and HMAC-SHA-256, https://github.com/fernet/spec), with a key for each purpose that comes from
SECRET_KEY (HKDF, RFC 5869). What an older key of SECRET_KEY_FALLBACKS encrypted can be read, and encrypted again.
"""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(ValueError):
    """It was encrypted by a SECRET_KEY that is known no more, for something else, or is damaged."""


def encrypted(secret: bytes, purpose: str) -> bytes:
    """Return the secret as it may lie in the database."""
    return _fernet(settings.SECRET_KEY, purpose).encrypt(secret)


def decrypted(sealed: bytes, purpose: str) -> bytes:
    """Return what was encrypted for this purpose. Raises Unreadable."""
    try:
        return MultiFernet([_fernet(key, purpose) for key in _keys()]).decrypt(bytes(sealed))
    except InvalidToken:
        raise Unreadable(
            "SECRET_KEY is another than it was, and SECRET_KEY_FALLBACKS does not have the old one"
        ) from None


def is_of_old_key(sealed: bytes, purpose: str) -> bool:
    """Say whether the present SECRET_KEY cannot read it: it is to be encrypted again while the old one is known."""
    try:
        _fernet(settings.SECRET_KEY, purpose).decrypt(bytes(sealed))
    except InvalidToken:
        return True
    return False


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _fernet(key: str, purpose: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=f"vestnik.encryption.{purpose}".encode()).derive(key.encode())
    return Fernet(urlsafe_b64encode(derived))
