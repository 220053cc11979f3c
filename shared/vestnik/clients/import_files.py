"""From a file to clients on a list, and to a file of the refused rows: what every import does."""

from collections.abc import Callable
from functools import partial
from typing import IO, BinaryIO, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from vestnik.accounts.models import User
from vestnik.clients import headers, verbs
from vestnik.clients.importing import ImportRefused, ImportReport, import_clients
from vestnik.clients.models import ClientList
from vestnik.spreadsheets import Writer


class Imported(NamedTuple):
    """What an import did, and the list that the clients are on, if any."""

    report: ImportReport
    client_list: ClientList | None


class Rejected:
    """Writes refused rows with their lines and reasons, to be corrected and imported again.

    `open_file` is called with the first of them; where no row is refused, there is no file.
    """

    def __init__(self, open_file: Callable[[], IO[bytes]]) -> None:
        self.file: IO[bytes] | None = None
        self._open_file = open_file
        self._header: list[str] = []
        self._delimiter = ","

    def begin(self, header: list[str], delimiter: str) -> None:
        """Set the imported file's column names and separator."""
        self._header, self._delimiter = header, delimiter

    def add(self, line: int, cells: list[str], reason: str) -> None:
        """Write one refused row."""
        if self.file is None:
            self.file = self._open_file()
            self._writer = Writer(self._delimiter)
            self.file.write(self._writer.line([*headers.of_refused(), *self._header]))
        self.file.write(self._writer.line([str(line), reason, *cells]))


@transaction.atomic
def import_file(
    owner: User,
    source: BinaryIO,
    rejected: Rejected,
    client_list: ClientList | None = None,
    list_name: str | None = None,
    on_progress: Callable[[int], None] | None = None,
    encoding: str = "",
    delimiter: str = "",
) -> Imported:
    """Import the seekable CSV file `source`, onto `client_list` or the owner's list called `list_name`.

    Where `encoding` and `delimiter` are not given they are found out; an encoding that is not certain is refused. The
    list called `list_name` is created if there is none, unless no row is good. Raises ImportRefused, also where
    `client_list` is deleted meanwhile, and ValidationError for a name that no list can have.
    """
    find_list = None
    if client_list is not None:
        find_list = partial(_find_list, client_list)
    elif list_name is not None:
        new = ClientList(owner=owner, name=list_name.strip())
        new.clean_fields(exclude=["owner"])
        find_list = partial(_find_or_make_list, new)
    report = import_clients(owner, source, find_list, rejected.add, on_progress, rejected.begin, encoding, delimiter)
    if list_name is not None and report.clients:
        client_list = ClientList.objects.get(owner=owner, name=list_name.strip())
    return Imported(report, client_list)


def _find_list(client_list: ClientList) -> ClientList:
    """Return the list, locked against deletion until the transaction ends."""
    found = ClientList.objects.select_for_update(no_key=True).filter(pk=client_list.pk).first()
    if found is None:
        raise ImportRefused(_("The list was deleted while the file was being imported."))
    return found


def _find_or_make_list(new: ClientList) -> ClientList:
    lists = ClientList.objects.select_for_update(no_key=True)
    return lists.filter(owner=new.owner, name=new.name).first() or verbs.save_list(new)
