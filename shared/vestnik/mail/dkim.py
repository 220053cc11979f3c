"""Letters signed with DKIM (RFC 6376): what stood in a letter is vouched for by its domain, whoever hands it on.

Header and body are signed in their relaxed form: a relay may fold lines in other places, and make one space of many.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from vestnik.mail.dkim_keys import SigningKey

SIGNED = (
    *("From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    # One click wants both of its lines signed (RFC 8058, 4), and Gmail reads no Feedback-ID that is not.
    *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "Auto-Submitted", "Precedence"),
)
"""The header fields that are signed where they are there, all of each name."""
OVERSIGNED = frozenset({"From", "Reply-To", "Subject", "Date", "To", "Message-ID"})
"""Those that are named once more than they are there: nobody can add another one (RFC 6376, 5.4)."""

_LINE = 78

_NAMES = tuple(name.lower().encode() for name in SIGNED)
_KNOWN = frozenset(_NAMES)


def signer(keys: Sequence[SigningKey]) -> Callable[[bytes, datetime], bytes]:
    """Return a function that signs whole letters with each of the keys; threads may share it.

    It takes a letter (RFC 5322, or RFC 6532 where it is not 7-bit; CRLF line ends only) and the moment, which knows its
    zone, and returns the letter with a DKIM-Signature line for each key on top, in the keys' order. It raises
    ValueError for a letter without From, which cannot be signed.
    """

    @lru_cache(maxsize=64)
    def beginnings(counts: tuple[int, ...]) -> list[tuple[SigningKey, bytes, bytes]]:
        return [(key, *_beginning(key, counts)) for key in keys]

    def sign(letter: bytes, moment: datetime) -> bytes:
        head, _, body = letter.partition(b"\r\n\r\n")
        fields = _fields(head)
        if b"from" not in fields:
            raise ValueError("a letter without From cannot be signed")
        hashed = b64encode(sha256(_relaxed(body)).digest())
        ending = b" t=%d; bh=%b;" % (int(moment.timestamp()), hashed)
        signed = b"".join([line for name in _NAMES if name in fields for line in fields[name]])
        lines = []
        for key, written, relaxed in beginnings(tuple([len(fields.get(name, ())) for name in _NAMES])):
            signature = key.sign(b"%b%b%b b=" % (signed, relaxed, ending))
            lines.append(b"%b\r\n%b\r\n%b\r\n" % (written, ending, _cut(b"b=" + b64encode(signature))))
        return b"".join([*lines, letter])

    return sign


def _beginning(key: SigningKey, counts: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Return what signatures by the key begin with: as it is written, and in its relaxed form.

    `counts` says how often each of SIGNED is in the letter.
    """
    named = [name for name, count in zip(SIGNED, counts, strict=True) for _ in range(count + (name in OVERSIGNED))]
    tags = [" v=1;", f" a={key.algorithm};", " c=relaxed/relaxed;", f" d={key.domain};", f" s={key.selector};"]
    names = [f" h={named[0]}:", *[f"{name}:" for name in named[1:-1]], f"{named[-1]};"]
    written = _folded(["DKIM-Signature:", *tags, *names]).encode()
    return written, written.replace(b"\r\n ", b" ").replace(b"DKIM-Signature: ", b"dkim-signature:")


def _folded(pieces: Iterable[str]) -> str:
    """Return the pieces one after the other, on lines of at most _LINE characters where a piece is not longer."""
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) <= _LINE:
            lines[-1] += piece
        else:
            lines.append(f" {piece.lstrip()}")
    return "\r\n".join(lines)


def _cut(tag: bytes) -> bytes:
    """Return a tag of any length on continued lines."""
    room = _LINE - 1
    return b"\r\n".join([b" " + tag[at : at + room] for at in range(0, len(tag), room)])


def _fields(head: bytes) -> dict[bytes, list[bytes]]:
    """Return the lines that are signed, in their relaxed form (RFC 6376, 3.4.2), by name; the last first (5.4.2)."""
    found: dict[bytes, list[bytes]] = {}
    unfolded = _single_spaces(head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" "))
    for line in reversed(unfolded.split(b"\r\n")):
        name, _, value = line.partition(b":")
        name = name.rstrip(b" ").lower()
        if name in _KNOWN:
            found.setdefault(name, []).append(b"%b:%b\r\n" % (name, value.strip(b" ")))
    return found


def _relaxed(body: bytes) -> bytes:
    """Return the body in its relaxed form (RFC 6376, 3.4.4)."""
    lines = (_single_spaces(body) + b"\r\n").replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return lines + b"\r\n" if lines else b""


def _single_spaces(text: bytes) -> bytes:
    """Return the text with one space for every run of spaces and tabs."""
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text
