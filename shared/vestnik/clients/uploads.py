"""Imports that wait for the dispatcher or are over, and their files.

The files are stored in PostgreSQL in pieces, so that the services share no disk; whoever writes or reads one holds a
single piece in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from vestnik import access

PIECE = 1 << 20
"""Bytes of each piece but a file's last."""

NAME_LENGTH = 200


class ImportState(models.TextChoices):
    """How far an import is; done and refused are ends."""

    ASKED = "asked", _("to be confirmed")
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    REFUSED = "refused", _("refused")


UNFINISHED = (ImportState.QUEUED, ImportState.RUNNING)
"""States of imports that are to be run. A file that its owner has not confirmed yet is not."""
_NOT_OVER = (ImportState.ASKED, *UNFINISHED)


class PieceKind(models.TextChoices):
    """The file that a piece belongs to."""

    SOURCE = "source", _("uploaded file")
    REFUSED = "refused", _("refused rows")


class ClientImport(models.Model):
    """A file of clients that was uploaded, and what became of it."""

    State = ImportState

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="imports", db_index=False, verbose_name=_("owner")
    )
    client_list = models.ForeignKey(
        "clients.ClientList", models.SET_NULL, null=True, related_name="+", verbose_name=_("list")
    )
    list_name = models.CharField(_("list asked for"), max_length=200, blank=True)  # found or made when it is imported
    file_name = models.CharField(_("file"), max_length=NAME_LENGTH)
    size = models.BigIntegerField(_("bytes"), db_default=0)
    state = models.CharField(_("state"), max_length=7, choices=ImportState.choices, db_default="queued")
    encoding = models.CharField(_("encoding"), max_length=20, blank=True, db_default="")  # as was found or said
    delimiter = models.CharField(_("separator"), max_length=1, blank=True, db_default="")
    in_doubt = models.BooleanField(_("encoding not certain"), db_default=False)
    tries = models.SmallIntegerField(_("times begun"), db_default=0)
    reason = models.TextField(_("reason"), blank=True)  # why the whole file was refused, in the owner's language
    created = models.IntegerField(_("clients created"), db_default=0)
    updated = models.IntegerField(_("clients updated"), db_default=0)
    unchanged = models.IntegerField(_("clients unchanged"), db_default=0)
    refused = models.IntegerField(_("rows refused"), db_default=0)
    listed = models.IntegerField(_("clients new on the list"), db_default=0)
    repeated = models.IntegerField(_("rows with an address that another row has"), db_default=0)
    remarks = models.TextField(_("remarks"), blank=True, db_default="")  # a sentence a line, in the owner's language
    created_at = models.DateTimeField(_("uploaded at"), db_default=Now())
    finished_at = models.DateTimeField(_("over since"), null=True)

    objects = access.VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state"),
            models.CheckConstraint(
                condition=Q(state__in=_NOT_OVER, finished_at=None)
                | (~Q(state__in=_NOT_OVER) & Q(finished_at__isnull=False)),
                name="import_over_since",
            ),
        ]
        indexes = [
            # An owner's page of imports, the latest first.
            models.Index(fields=["owner", "id"], name="import_of_owner"),
            # Which import of each owner is to be worked on next; asked by the tick and after every import.
            models.Index(fields=["owner", "id"], name="import_unfinished", condition=Q(state__in=UNFINISHED)),
            # Files that nobody confirmed, for the tick to delete.
            models.Index(fields=["created_at"], name="import_unconfirmed", condition=Q(state=ImportState.ASKED)),
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportPiece(models.Model):
    """A piece of an import's file: of the one that was uploaded, or of the rows that were refused."""

    client_import = models.ForeignKey(ClientImport, models.CASCADE, related_name="pieces", db_index=False)
    kind = models.CharField(max_length=7, choices=PieceKind.choices)
    number = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        verbose_name = _("piece of a file")
        verbose_name_plural = _("pieces of files")
        constraints = [
            # Also serves reading a file in its order.
            models.UniqueConstraint(fields=["client_import", "kind", "number"], name="piece_once_per_file"),
        ]

    def __str__(self) -> str:
        return f"{self.client_import_id}/{self.kind}/{self.number}"


def store(client_import: ClientImport, kind: PieceKind, chunks: Iterable[bytes]) -> int:
    """Store a file, and return how many bytes it has.

    Call it in a transaction; `chunks` may not use the database meanwhile.
    """
    size = 0
    with connection.cursor() as cursor, cursor.copy(COPY_PIECES) as copy:
        for number, piece in enumerate(_in_pieces(chunks)):
            copy.write_row((client_import.pk, kind.value, number, piece))
            size += len(piece)
    return size


def read(client_import: ClientImport, kind: PieceKind) -> Iterator[bytes]:
    """Yield the file's bytes, piece by piece; nothing where none is stored."""
    pieces = client_import.pieces.filter(kind=kind).order_by("number")
    return (bytes(data) for data in pieces.values_list("data", flat=True).iterator(chunk_size=1))


def beginning(client_import: ClientImport, kind: PieceKind) -> bytes:
    """Return the file's first piece, up to its last whole line where there is more of the file."""
    first, *more = client_import.pieces.filter(kind=kind).order_by("number").values_list("data", flat=True)[:2] or [b""]
    data = bytes(first)
    return data[: data.rfind(b"\n") + 1] or data if more else data


@contextmanager
def opened(client_import: ClientImport, kind: PieceKind) -> Iterator[BinaryIO]:
    """Yield the file as a seekable one on the local disk, which is deleted afterwards."""
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
        for piece in read(client_import, kind):
            file.write(piece)
        file.seek(0)
        yield file


def _in_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= PIECE:
            yield bytes(waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield bytes(waiting)


COPY_PIECES = "COPY clients_importpiece (client_import_id, kind, number, data) FROM STDIN"
