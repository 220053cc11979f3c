"""The pages of imports: taking a file, what was read in it, what became of it, and the rows that were refused."""

import csv
import io
from contextlib import suppress
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from vestnik.clients import import_jobs, uploads
from vestnik.clients.headers import meanings
from vestnik.clients.models import ClientImport
from vestnik.clients.remarks import remarks
from vestnik.clients.statuses import Statuses
from vestnik.clients.uploads import UNFINISHED, ImportState, PieceKind
from vestnik.spreadsheets import as_written
from web.clients.forms import ImportForm, ReadingForm
from web.pages import ActionPage, CreatePage, DetailPage, ListPage, OwnersPage
from web.responses import wants_fragment
from web.tables import csv_file

SHOWN = 50
"""How many of the refused rows stand on the page."""


class Imports(ListPage):
    """One's imports, waiting or over."""

    model = ClientImport
    template_name = "clients/imports.html"
    table_template = "clients/_imports.html"
    sorts = {"-added": ("-pk",), "added": ("pk",)}

    def search(self, queryset: Any, text: str) -> Any:
        return queryset.filter(file_name__icontains=text)

    def narrow(self, queryset: Any) -> Any:
        return queryset.filter(owner=self.request.user)


class NewImport(CreatePage):
    """Take a file to import."""

    form_class = ImportForm
    template_name = "clients/import.html"

    def get_initial(self) -> dict[str, Any]:
        return {"client_list": self.request.GET.get("list")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(limit=settings.IMPORT_LIMIT_BYTES >> 20, **kwargs)

    def get_success_url(self) -> str:
        return reverse("clients:import-detail", args=[self.object.pk])

    def success(self, obj: ClientImport) -> str:
        return _("The file is uploaded. Nothing is imported yet: look at what was read first.")


class ImportPage(DetailPage):
    """What was read in a file that is not confirmed yet; what became of one that is.

    While it is worked on, the page asks for its fragment every second.
    """

    model = ClientImport
    template_name = "clients/import_detail.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("client_list")

    def get_template_names(self) -> list[str]:
        if self.object.state == ImportState.ASKED:
            return ["clients/import_look.html"]
        return ["clients/_import.html"] if wants_fragment(self.request) else super().get_template_names()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        work = self.object
        if work.state == ImportState.ASKED:
            return super().get_context_data(**_looked_at(work, kwargs.pop("form", None) or self._form()), **kwargs)
        unfinished = work.state in UNFINISHED
        return super().get_context_data(
            unfinished=unfinished,
            read=import_jobs.progress(work.pk) if unfinished else None,
            refused_rows=_first_refused_rows(work) if work.refused else [],
            **kwargs,
        )

    def _form(self) -> ReadingForm:
        asked = {name: self.request.GET[name] for name in ("encoding", "delimiter") if name in self.request.GET}
        return ReadingForm({"encoding": self.object.encoding, "delimiter": self.object.delimiter} | asked)


class BeginImport(OwnersPage, ImportPage):
    """Has a file imported that was looked at, read as its form says; or shows again what is wrong with that. Where one
    only wants to look at how it would be read, `look`, that page has an address of its own.
    """

    def get(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
        return HttpResponseRedirect(reverse("clients:import-detail", args=[self.get_object().pk]))

    def post(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
        self.object = self.get_object()
        form = ReadingForm(request.POST)
        there = reverse("clients:import-detail", args=[self.object.pk])
        if form.is_valid():
            if "look" in request.POST:
                return HttpResponseRedirect(f"{there}?{urlencode(form.cleaned_data)}")
            try:
                import_jobs.begin_import(self.object, form.cleaned_data["encoding"], form.cleaned_data["delimiter"])
                return HttpResponseRedirect(there)
            except ValidationError:
                pass  # looked at again, it says so itself
        return self.render_to_response(self.get_context_data(form=form))


class DropFile(ActionPage):
    """Forgets a file that was looked at and is not to be imported."""

    model = ClientImport
    action = "view"  # whoever sees it is its owner

    def act(self, obj: ClientImport) -> str:
        import_jobs.drop_file(obj)
        return _("The file is forgotten. Nothing was imported.")

    def address_of(self, obj: ClientImport) -> str:
        return reverse("clients:imports")


class RefusedRows(DetailPage):
    """The rows that were refused, to be mended and imported again."""

    model = ClientImport

    def render_to_response(self, context: Any, **_kwargs: Any) -> Any:
        work = self.object
        if not work.pieces.filter(kind=PieceKind.REFUSED).exists():
            raise Http404
        return csv_file(f"refused-rows-{work.pk}", uploads.read(work, PieceKind.REFUSED))


def _looked_at(work: ClientImport, form: ReadingForm) -> dict[str, Any]:
    """Return what the page says of a file that is not confirmed yet; its form says how it is to be read."""
    context: dict[str, Any] = {"form": form, "look": None}
    if form.is_valid():
        try:
            look = import_jobs.first_look(work, form.cleaned_data["encoding"], form.cleaned_data["delimiter"])
        except ValidationError as refusal:
            form.add_error(None, refusal.messages)
        else:
            # What was found shows in the form, where nothing was chosen.
            form.data = {"encoding": look.found.encoding, "delimiter": look.delimiter}
            statuses = Statuses(look.header, look.columns.statuses)
            for row in look.rows:
                statuses.stops(row.cells)
            said = remarks(look.header, look.columns, statuses=statuses)
            context |= {"look": look, "meanings": meanings(look.header, look.columns), "remarks": said}
            context["in_doubt"] = work.in_doubt and look.found.encoding == work.encoding
    return context


def _first_refused_rows(work: ClientImport) -> list[tuple[str, str, str]]:
    """Return the first refused rows, as far as they lie in the file's first piece: their lines, reasons and cells."""
    piece = work.pieces.filter(kind=PieceKind.REFUSED).order_by("number").first()
    if piece is None:
        return []
    text = bytes(piece.data).decode("utf-8-sig", "ignore")  # its end may be cut
    delimiter = text[text.index('"', 1) + 1]  # behind the first column's name
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    with suppress(csv.Error):  # a cell too long to be read is among the reasons to refuse a row
        for line, reason, *cells in islice(table, 1, SHOWN + 1):
            rows.append((line, reason, delimiter.join(map(as_written, cells))))
    return rows
