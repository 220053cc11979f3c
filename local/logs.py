"""The log of several processes on one stream: a line each, with the name of who said it."""

import os
import sys
from collections.abc import Callable
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
CONTROLS = dict.fromkeys((*range(9), *range(10, 32), 127))
LINE_LIMIT = 64 * 1024  # bytes


class Log:
    """Writes prefixed lines; coloured on a terminal, unless NO_COLOR is set. `on_closed` hears that nobody reads."""

    def __init__(self, names: list[str], stream: TextIO | None = None) -> None:
        self.on_closed: Callable[[], None] = lambda: None
        self._stream = stream or sys.stdout
        self._width = max(map(len, names))
        coloured = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)} if coloured else {}
        self._open = True

    def write(self, name: str, text: str) -> None:
        """Write each line of `text` as said by `name`."""
        prefix = f"{name:<{self._width}} |"
        if name in self._colours:
            prefix = f"\033[{self._colours[name]}m{prefix}\033[0m"
        lines = (line.translate(CONTROLS) for line in text.split("\n"))
        self.block("".join(f"{prefix} {line}\n" for line in lines))

    def block(self, text: str) -> None:
        """Write `text` as it is."""
        if not self._open:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            self.block(text.encode("ascii", "backslashreplace").decode())
        except OSError:
            self._open = False
            self.on_closed()


class LineSplitter:
    """Cuts a stream of bytes into lines of text, whatever the bytes are."""

    def __init__(self, said: Callable[[str], None]) -> None:
        self._said = said
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes and pass on the lines they complete."""
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if len(self._pending) > LINE_LIMIT:
            lines.append(self._pending)
            self._pending = b""
        for line in lines:
            self._said(line.decode(errors="replace"))

    def close(self) -> None:
        """Pass on what came after the last line break."""
        if self._pending:
            self.feed(b"\n")
