"""SMTP replies, from bytes (RFC 5321, 4.2)."""

from typing import NamedTuple

LONGEST_LINE = 4096
MOST_LINES = 100

_FIRST_CODE, _LAST_CODE = 200, 599


class Reply(NamedTuple):
    """One reply; the lines of a long one are joined by ` / `."""

    code: int
    text: str

    @property
    def positive(self) -> bool:
        """Whether the command is done: no intermediate reply, and no refusal (RFC 5321, 4.2.1)."""
        return self.code < 300


class BadReply(Exception):
    """What the service sent is no SMTP reply; `str(error)` says why. Nothing after it can be trusted."""


class ReplyReader:
    """Cuts what arrives into replies. Bytes may arrive in any portions."""

    __slots__ = ("_lines", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []

    @property
    def pending(self) -> bool:
        """Whether part of a reply is there."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies completed by this data. Raises BadReply; the reader cannot be used after that."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        replies = [reply for line in lines if (reply := self._line(line)) is not None]
        if len(self._rest) > LONGEST_LINE:
            raise BadReply(f"a reply line is longer than {LONGEST_LINE} bytes")
        return replies

    def _line(self, line: bytes) -> Reply | None:
        if len(line) > LONGEST_LINE:
            raise BadReply(f"a reply line is longer than {LONGEST_LINE} bytes")
        digits, separator = line[:3], line[3:4]
        if not (len(digits) == 3 and digits.isdigit() and separator in (b" ", b"-", b"", b"\r")):
            raise BadReply(f"not an SMTP reply: {_shown(line[:80])}")
        code = int(digits)
        if not _FIRST_CODE <= code <= _LAST_CODE:
            raise BadReply(f"not an SMTP reply code: {code}")
        if self._lines and self._lines[0][:3] != digits:
            raise BadReply(f"a reply began with {_shown(self._lines[0][:3])} and went on with {code}")
        if separator == b"-":
            self._lines.append(line)
            if len(self._lines) > MOST_LINES:
                raise BadReply(f"a reply has more than {MOST_LINES} lines")
            return None
        if not self._lines:
            return Reply(code, _shown(line[4:]))
        lines, self._lines = [*self._lines, line], []
        return Reply(code, " / ".join(_shown(each[4:]) for each in lines))


def _shown(line: bytes) -> str:
    return line.strip().decode("utf-8", "backslashreplace")
