"""The pages of imports: taking a file, what became of it, and the rows that were refused."""

import csv
import io
from contextlib import suppress
from itertools import islice
from typing import Any

from django.conf import settings
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _

from vestnik.clients import background, uploads
from vestnik.clients.csv_files import REFUSED_BECAUSE
from vestnik.clients.models import ClientImport
from vestnik.clients.uploads import UNFINISHED, PieceKind
from vestnik.spreadsheets import as_written
from web.clients.forms import ImportForm
from web.htmx import wants_fragment
from web.pages import CreatePage, ListPage, ThingPage
from web.tables import csv_file

SHOWN = 50
"""How many of the refused rows stand on the page."""


class Imports(ListPage):
    model = ClientImport
    template_name = "clients/imports.html"
    table_template = "clients/_imports.html"
    sorts = {"-added": ("-pk",), "added": ("pk",)}

    def search(self, things: Any, text: str) -> Any:
        return things.filter(file_name__icontains=text)

    def narrow(self, things: Any) -> Any:
        return things.filter(owner=self.request.user)


class NewImport(CreatePage):
    form_class = ImportForm
    template_name = "clients/import.html"

    def get_initial(self) -> dict[str, Any]:
        return {"client_list": self.request.GET.get("list")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(limit=settings.IMPORT_LIMIT_BYTES >> 20, **kwargs)

    def get_success_url(self) -> str:
        return reverse("clients:import-thing", args=[self.object.pk])

    def success(self, thing: ClientImport) -> str:
        return _("The file is uploaded. You may leave this page: the import goes on.")


class ImportPage(ThingPage):
    """What became of a file. While it is worked on, the page asks for its fragment every second."""

    model = ClientImport
    template_name = "clients/import_thing.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("client_list")

    def get_template_names(self) -> list[str]:
        return ["clients/_import.html"] if wants_fragment(self.request) else super().get_template_names()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        work = self.object
        unfinished = work.state in UNFINISHED
        return super().get_context_data(
            unfinished=unfinished,
            read=background.progress(work.pk) if unfinished else None,
            refused_rows=_first_refused_rows(work) if work.refused else [],
            **kwargs,
        )


class RefusedRows(ThingPage):
    """The rows that were refused, to be mended and imported again."""

    model = ClientImport

    def render_to_response(self, context: Any, **_kwargs: Any) -> Any:
        work = self.object
        if not work.pieces.filter(kind=PieceKind.REFUSED).exists():
            raise Http404
        return csv_file(f"refused-rows-{work.pk}", uploads.read(work, PieceKind.REFUSED))


def _first_refused_rows(work: ClientImport) -> list[tuple[str, str, str]]:
    """The first refused rows, as far as they lie in the file's first piece: their lines, reasons and cells."""
    piece = work.pieces.filter(kind=PieceKind.REFUSED).order_by("number").first()
    if piece is None:
        return []
    text = bytes(piece.data).decode("utf-8-sig", "ignore")  # its end may be cut
    delimiter = text.partition(REFUSED_BECAUSE)[0].rstrip('"')[-1]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    with suppress(csv.Error):  # a cell too long to be read is among the reasons to refuse a row
        for line, reason, *cells in islice(table, 1, SHOWN + 1):
            rows.append((line, reason, delimiter.join(map(as_written, cells))))
    return rows
