"""Keeps the letters, in a SQLite file; the newest, up to a number."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.inbox.letters import summarise
from local.inbox.text import storable

KEPT = 20_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    header_sender TEXT NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    addressees TEXT NOT NULL,  -- ",a@b.c,d@e.f,", folded
    sought TEXT NOT NULL       -- what a search looks through, folded
);
-- apart, so that going through the letters does not go through their sources
CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, source BLOB NOT NULL);
"""
COLUMNS = "id, received_at, sender, recipient, header_sender, subject, message_id, size"
MATCHES = "instr(sought, :search) > 0 AND instr(addressees, :to) > 0"


@dataclass(frozen=True)
class Received:
    """A letter as it came over SMTP."""

    sender: str
    recipients: tuple[str, ...]
    source: bytes


@dataclass(frozen=True)
class Letter:
    """A stored letter, without its source."""

    id: int
    received_at: str
    sender: str
    recipient: str
    header_sender: str
    subject: str
    message_id: str
    size: int

    @property
    def received(self) -> datetime:
        """When it came, in this machine's time zone."""
        return datetime.fromisoformat(self.received_at).astimezone()


class Store:
    """The letters in one folder. Its methods may be called from any thread."""

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._kept = kept
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(folder / "letters.sqlite3", check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def add(self, letters: Iterable[Received]) -> None:
        """Keep letters, all in one commit, and let go of the oldest above the limit."""
        summarised = [(letter, summarise(letter.source)) for letter in letters]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._transaction() as connection:
            last = 0
            for letter, summary in summarised:
                recipients = [storable(recipient) for recipient in letter.recipients]
                words = (summary.sender, storable(letter.sender), *recipients, summary.subject)
                row = (
                    now,
                    storable(letter.sender),
                    ", ".join(recipients),
                    summary.sender,
                    summary.subject,
                    summary.message_id,
                    len(letter.source),
                    f",{','.join(recipients)},".casefold(),
                    "\n".join(words).casefold(),
                )
                cursor = connection.execute(
                    "INSERT INTO letters (received_at, sender, recipient, header_sender, subject, message_id, size,"
                    " addressees, sought) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
                last = cursor.lastrowid or last
                connection.execute("INSERT INTO sources (id, source) VALUES (?, ?)", (last, letter.source))
            for table in ("letters", "sources"):
                connection.execute(f"DELETE FROM {table} WHERE id <= ?", (last - self._kept,))

    def newest(self, *, search: str = "", to: str = "", limit: int = 50, offset: int = 0) -> list[Letter]:
        """Return letters, newest first, that contain `search` in address or subject and are addressed to `to`."""
        rows = self._read(
            f"SELECT {COLUMNS} FROM letters WHERE {MATCHES} ORDER BY id DESC LIMIT :limit OFFSET :offset",
            **_terms(search, to),
            limit=limit,
            offset=offset,
        )
        return [Letter(*row) for row in rows]

    def count(self, *, search: str = "", to: str = "") -> int:
        """Count the letters that `newest` would give without a limit."""
        if not search and not to:
            return int(self._read("SELECT count(*) FROM letters")[0][0])
        return int(self._read(f"SELECT count(*) FROM letters WHERE {MATCHES}", **_terms(search, to))[0][0])

    def get(self, identifier: int) -> tuple[Letter, bytes] | None:
        """Return one letter and its source; None if there is none."""
        rows = self._read(
            f"SELECT {COLUMNS}, source FROM letters JOIN sources USING (id) WHERE id = :id", id=identifier
        )
        return (Letter(*rows[0][:-1]), rows[0][-1]) if rows else None

    def clear(self) -> None:
        """Let go of all letters, and of the space they took."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM letters")
            connection.execute("DELETE FROM sources")
        with self._lock:
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _read(self, statement: str, **values: object) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _terms(search: str, to: str) -> dict[str, object]:
    return {"search": storable(search).casefold(), "to": f",{storable(to)},".casefold() if to else ""}
