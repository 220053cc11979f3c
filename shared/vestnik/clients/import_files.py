"""From a file to clients on a list, and to a file of the rows that were refused: what every import does."""

from collections.abc import Callable
from typing import IO, BinaryIO

from django.db import transaction

from vestnik.accounts.models import User
from vestnik.clients import csv_files, verbs
from vestnik.clients.importing import ImportReport, import_clients
from vestnik.clients.models import ClientList
from vestnik.spreadsheets import Writer


class Rejected:
    """Writes refused rows with their lines and reasons, to be mended and imported again.

    `open_file` is called with the first of them; where no row is refused, there is no file.
    """

    def __init__(self, open_file: Callable[[], IO[bytes]]) -> None:
        self.file: IO[bytes] | None = None
        self._open_file = open_file
        self._header: list[str] = []
        self._delimiter = ","

    def begin(self, header: list[str], delimiter: str) -> None:
        """What the columns of the imported file are called, and what stands between them."""
        self._header, self._delimiter = header, delimiter

    def add(self, line: int, cells: list[str], reason: str) -> None:
        """One refused row."""
        if self.file is None:
            self.file = self._open_file()
            self._writer = Writer(self._delimiter)
            self.file.write(self._writer.line([csv_files.REFUSED_LINE, csv_files.REFUSED_BECAUSE, *self._header]))
        self.file.write(self._writer.line([str(line), reason, *cells]))


@transaction.atomic
def import_file(
    owner: User,
    source: BinaryIO,
    rejected: Rejected,
    client_list: ClientList | None = None,
    list_name: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[ImportReport, ClientList | None]:
    """Import the seekable CSV file `source`, onto `client_list` or the owner's list called `list_name`.

    Returns what it did, and the list. That list is made if there is none, unless no row is good. Raises ImportRefused,
    and ValidationError for a name that no list can have.
    """
    given = client_list
    if list_name is not None:
        client_list = ClientList.objects.filter(owner=owner, name=list_name.strip()).first()
        client_list = client_list or verbs.create_list(owner, list_name)
    report = import_clients(owner, source, client_list, rejected.add, on_progress, rejected.begin)
    if report.clients:
        return report, client_list
    transaction.set_rollback(True)  # and no empty list is left
    return report, given
