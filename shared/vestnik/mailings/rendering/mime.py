"""A text of a letter with its MIME headers (RFC 2045, 2046): 7-bit where it can be, else base64."""

import struct
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from functools import lru_cache

from vestnik.mail.texts import MAX_LINE, longest_line
from vestnik.mailings.rendering.templates import Template

_BASE64_LINE = 76
_CUT_AT_ONCE = 4096
"""Lines that one cutter cuts. Larger cutters would be faster, too, but they are cached."""


class Part:
    """One text, encoded beforehand if it is the same for everybody."""

    def __init__(self, subtype: str, template: Template, boundary: str) -> None:
        self.template = template
        self._boundary = boundary
        content_type = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: "
        self._seven_bit = f"{content_type}7bit\r\n\r\n"
        self._base64 = f"{content_type}base64\r\n\r\n".encode()
        literal = "".join(template.literals)
        self._literal_length = len(literal)
        self._longest_line = longest_line(literal)
        self._octets = len(literal.encode())
        self._fixed = None if template.names else self._encode(literal)

    @property
    def least_octets(self) -> int:
        """How many bytes it has at least, whatever the values say."""
        if self._fixed is not None:
            return len(self._fixed)
        if self._octets == self._literal_length:  # ASCII alone
            return len(self._seven_bit) + self._octets
        return len(self._base64) + -(-self._octets // 3) * 4

    def encode(self, values: Mapping[str, str], room: int) -> bytes:
        """Return the text for a client with these values, as it goes over the wire.

        Raises TooLong as `Template.fill` does.
        """
        if self._fixed is not None and self._octets <= room:
            return self._fixed
        return self._encode(self.template.fill(values, room))

    def _encode(self, text: str) -> bytes:
        if text.isascii() and self._lines_fit(text) and self._boundary not in text:
            return (self._seven_bit + text).encode()
        return self._base64 + _base64_lines(text.encode())

    def _lines_fit(self, text: str) -> bool:
        at_most = self._longest_line + len(text) - self._literal_length
        return at_most <= MAX_LINE or longest_line(text) <= MAX_LINE


def _base64_lines(octets: bytes) -> bytes:
    encoded = b2a_base64(octets, newline=False)
    full = len(encoded) // _BASE64_LINE
    if full > _CUT_AT_ONCE:
        lines: Sequence[bytes] = [encoded[at : at + _BASE64_LINE] for at in range(0, full * _BASE64_LINE, _BASE64_LINE)]
    else:
        lines = _cutter(full).unpack_from(encoded)
    return b"\r\n".join((*lines, encoded[full * _BASE64_LINE :]))


@lru_cache(maxsize=32)
def _cutter(lines: int) -> struct.Struct:
    return struct.Struct(f"{_BASE64_LINE}s" * lines)
