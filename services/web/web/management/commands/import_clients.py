"""Import clients from a CSV file: a door to the core's verb."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from vestnik.clients import import_files
from vestnik.clients.importing import ImportReport
from vestnik.command_line import bad_usage, find_owner, refusals


class Command(BaseCommand):
    help = (
        "Import clients from a CSV file (UTF-8 or Windows-1251; comma, semicolon or tab) whose first line names the"
        " columns: e-mail, full name, comment; every other one becomes an attribute. Clients who are there already"
        " are updated; an empty cell keeps what is there. Bad rows are written, with their reasons, to a file beside"
        " the input: clients.csv gives clients.rejected.csv. Exit code 0: done, 1: every row was refused, 2: nothing"
        " could be imported."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.csv", type=Path)
        parser.add_argument("--owner", metavar="EMAIL", required=True, help="whose clients they become")
        parser.add_argument("--list", metavar="NAME", help="a list to put them on; it is made if there is none")

    def handle(self, *_args: Any, file: Path, owner: str, list: str | None, **_options: Any) -> None:  # noqa: A002
        user = find_owner(owner)
        if not file.is_file():
            raise bad_usage(f"There is no file {file}.")
        rejected = Rejected(file.with_suffix(".rejected.csv"))
        try:
            with refusals({"name": "--list"}), file.open("rb") as source:
                progress = self._progress if self.stderr.isatty() else None
                report, _list = import_files.import_file(user, source, rejected, list_name=list, on_progress=progress)
            rejected.keep()
        except OSError as error:
            raise bad_usage(f"{error.filename or file}: {error.strerror}.") from None
        finally:
            rejected.discard()
        self._tell(report, rejected, list)

    def _progress(self, rows: int) -> None:
        self.stderr.write(f"\r{rows:,} rows read", ending="")

    def _tell(self, report: ImportReport, rejected: Rejected, name: str | None) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r\033[K", ending="")
        if report.refused and not report.clients:
            raise CommandError(f"Every row was refused ({report.refused}); see {rejected.path}.", returncode=1)
        self.stdout.write(f"{report.created} created, {report.updated} updated, {report.unchanged} unchanged.")
        if name is not None and report.clients:
            self.stdout.write(f"{report.listed} put on the list “{name.strip()}”.")
        if report.refused:
            self.stdout.write(f"Rows refused: {report.refused}; see {rejected.path}.")


class Rejected(import_files.Rejected):
    """The file of refused rows: begun with the first of them, put in its place when the import is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        super().__init__(lambda: self._unfinished.open("wb"))

    def keep(self) -> None:
        """Put the file in its place; an older one goes, whether or not there is a new one."""
        if self.file is None:
            self.path.unlink(missing_ok=True)
        else:
            self.file.close()
            self._unfinished.replace(self.path)

    def discard(self) -> None:
        """Remove what was not kept."""
        if self.file is not None:
            self.file.close()
            self._unfinished.unlink(missing_ok=True)
