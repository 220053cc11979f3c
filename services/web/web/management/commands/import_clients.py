"""Import clients from a CSV file: a door to the core's verb."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.core.management.base import OutputWrapper

from vestnik.clients import csv_files, encodings, headers, import_files, importing
from vestnik.clients.importing import ImportReport
from vestnik.command_line import bad_usage, find_owner, refusals

CHUNK = 1 << 20
SHOWN = 40
"""Characters of a cell that are shown."""


class Command(BaseCommand):
    help = (
        "Import clients from a CSV file in which a line names the columns: e-mail, full name, comment; every other one"
        " becomes an attribute. Encoding and separator are found out, and what was read is said; where the encoding is"
        " not certain, nothing is imported until --encoding says it. Clients who are there already are updated; an"
        " empty cell keeps what is there. Bad rows are written, with their reasons, to a file beside the input:"
        " clients.csv gives clients.rejected.csv; where the file is -, standard input is read and they go to standard"
        " error. Exit code 0: done, 1: every row was refused, 2: nothing could be imported."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.csv", type=Path, help="- reads standard input")
        parser.add_argument("--owner", metavar="EMAIL", required=True, help="whose clients they become")
        parser.add_argument("--list", metavar="NAME", help="a list to put them on; it is made if there is none")
        parser.add_argument("--encoding", metavar="NAME", default="", help="utf-8, cp1251, cp1250, koi8-r …")
        parser.add_argument("--separator", default="", help="what stands between cells: , ; | or tab")

    def handle(
        self,
        *_args: Any,
        file: Path,
        owner: str,
        list: str | None,  # noqa: A002
        encoding: str,
        separator: str,
        **_options: Any,
    ) -> None:
        user = find_owner(owner)
        is_stdin = str(file) == "-"
        if not is_stdin and not file.is_file():
            raise bad_usage(f"There is no file {file}.")
        rejected = RejectedFromStdin(self.stderr) if is_stdin else Rejected(file)
        try:
            with refusals({"name": "--list"}), standard_input() if is_stdin else file.open("rb") as source:
                progress = self._progress if self.stderr.isatty() else None
                look = self._look(source, encoding, separator, self.stdout if is_stdin else self.stderr)
                importing.learn_names(user, source, look.found.encoding, look.delimiter)
                report, _list = import_files.import_file(
                    user,
                    source,
                    rejected,
                    list_name=list,
                    on_progress=progress,
                    encoding=look.found.encoding,
                    delimiter=look.delimiter,
                )
            rejected.keep()
        except OSError as error:
            raise bad_usage(f"{error.filename or file}: {error.strerror}.") from None
        finally:
            rejected.discard()
        self._tell(report, rejected, list)

    def _look(self, source: BinaryIO, encoding: str, separator: str, to: OutputWrapper) -> csv_files.Look:
        """Say what is read in the file, and in doubt refuse to go on."""
        known = encodings.known(encoding)
        if encoding and not known:
            names = ", ".join(encodings.ENCODINGS)
            raise bad_usage(f"No encoding {encoding[:40]!r} is known; known are {names}.", "--encoding")
        separator = "\t" if separator in ("tab", "\\t") else separator
        if separator and separator not in csv_files.SEPARATORS:
            raise bad_usage("a comma, a semicolon, | or tab is wanted.", "--separator")
        look = csv_files.look(source, known, separator)
        between = "tab" if look.delimiter == "\t" else look.delimiter
        to.write(f"Read as {look.found.encoding}, separated by {between}")
        for name, meaning in headers.meanings(look.header, look.columns):
            to.write(f"  {_cut(name) or '(no name)'}: {meaning}")
        for row in look.rows:
            to.write(f"  {row.line}: {row.fault or ' | '.join(map(_cut, row.cells))}")
        if not look.found.is_certain:
            raise bad_usage(
                f"It is not certain in which encoding the file is written. If the names above are right, say"
                f" --encoding {look.found.encoding}; else say another, such as cp1251, cp1252, cp1250 or koi8-r."
                " Nothing was imported.",
                "--encoding",
            )
        return look

    def _progress(self, rows: int) -> None:
        self.stderr.write(f"\r{rows:,} rows read", ending="")

    def _tell(self, report: ImportReport, rejected: Rejected | RejectedFromStdin, name: str | None) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r\033[K", ending="")
        if report.refused and not report.clients:
            raise CommandError(f"Every row was refused ({report.refused}); see {rejected.where}.", returncode=1)
        self.stdout.write(f"{report.created} created, {report.updated} updated, {report.unchanged} unchanged.")
        if name is not None and report.clients:
            self.stdout.write(f"{report.listed} put on the list “{name.strip()}”.")
        if report.repeated:
            self.stdout.write(f"Rows whose address another row has, too: {report.repeated}.")
        if report.refused:
            self.stdout.write(f"Rows refused: {report.refused}; see {rejected.where}.")
        for remark in report.remarks:
            self.stdout.write(remark)


def _cut(cell: str) -> str:
    """Return a cell on one line, as far as there is room."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in cell[:200]).split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


@contextmanager
def standard_input() -> Iterator[BinaryIO]:
    """Open what standard input holds as a file that can be read twice.

    Raises `bad_usage` for more bytes than a browser may upload.
    """
    with TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
        left = settings.IMPORT_LIMIT_BYTES
        while piece := sys.stdin.buffer.read(min(CHUNK, left + 1)):
            left -= len(piece)
            if left < 0:
                raise bad_usage(
                    f"Standard input is larger than {settings.IMPORT_LIMIT_BYTES >> 20} MB (IMPORT_LIMIT_MB)."
                )
            file.write(piece)
        file.seek(0)
        yield file


class Rejected(import_files.Rejected):
    """The file of refused rows: begun with the first of them, put in its place when the import is done."""

    def __init__(self, imported: Path) -> None:
        self.where = imported.with_suffix(".rejected.csv")
        self._unfinished = self.where.with_name(f".{self.where.name}.{os.getpid()}")
        super().__init__(lambda: self._unfinished.open("wb"))

    def keep(self) -> None:
        """Put the file in its place; an older one goes, whether or not there is a new one."""
        if self.file is None:
            self.where.unlink(missing_ok=True)
        else:
            self.file.close()
            self._unfinished.replace(self.where)

    def discard(self) -> None:
        """Remove what was not kept."""
        if self.file is not None:
            self.file.close()
            self._unfinished.unlink(missing_ok=True)


class RejectedFromStdin(import_files.Rejected):
    """The refused rows of what has no place of its own: written to standard error when the import is done."""

    where = "standard error"

    def __init__(self, stderr: OutputWrapper) -> None:
        self._stderr = stderr
        super().__init__(lambda: TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR))  # noqa: SIM115

    def keep(self) -> None:
        """Write them out."""
        if self.file is not None:
            self.file.seek(0)
            for line in TextIOWrapper(self.file, "utf-8-sig", newline=""):
                self._stderr.write(line, style_func=str, ending="")

    def discard(self) -> None:
        """Forget them."""
        if self.file is not None:
            self.file.close()
