"""The addresses that what comes back of letters comes to: at BOUNCE_DOMAIN, or at a domain that leads there.

Each letter has an envelope sender of its own (VERP), so that a bounce says which letter it is about, whatever else it
says; and an address by which its reader unsubscribes (RFC 2369). What is before the @ proves itself, whatever comes
after: a token (letter_tokens.py), in hexadecimal digits, for not every mail server keeps the case of an address.
Reports of complaints come to one address.
"""

from collections.abc import Callable
from typing import NamedTuple

from vestnik.mailings import letter_tokens
from vestnik.mailings.letter_tokens import Purpose, Token

COMPLAINTS = "complaints"
BEGINS = {Purpose.RETURN: "return-", Purpose.UNSUBSCRIBE: "stop-"}
MOST_CHARACTERS = 64
"""Of what stands before the @ (RFC 5321, 4.5.3.1.1)."""


class Addresses(NamedTuple):
    """What a letter says of where answers go."""

    envelope_sender: str
    unsubscribe: str


def writer(domain: str) -> Callable[[int], Addresses]:
    """Return a function that makes the addresses of a letter, by its number, with the newest key."""
    version, key = letter_tokens.newest_key()

    def written(purpose: Purpose, delivery_id: int) -> str:
        octets = letter_tokens.made(purpose, version, key, delivery_id)
        return f"{BEGINS[purpose]}{octets.hex()}@{domain}"

    def addresses(delivery_id: int) -> Addresses:
        return Addresses(written(Purpose.RETURN, delivery_id), written(Purpose.UNSUBSCRIBE, delivery_id))

    return addresses


def read(address: str, purpose: Purpose) -> int | None:
    """Return the number of the letter whose address this is; None if it is none of ours, or for something else."""
    said = taken_apart(address, purpose)
    return said.delivery_id if said is not None and letter_tokens.is_right(said, purpose) else None


def taken_apart(address: str, purpose: Purpose) -> Token | None:
    """Return what the address says; None if it cannot be one for this. Its signature is yet to be looked at."""
    local, at, _domain = address.lower().rpartition("@")
    begin = BEGINS[purpose]
    if not at or not local.startswith(begin) or len(local) > MOST_CHARACTERS or not local.isascii():
        return None
    text = local.removeprefix(begin)
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        return None
    return letter_tokens.taken_apart(octets) if octets.hex() == text else None
