"""Imports in the background: taken and confirmed here, done by the dispatcher, one at a time for each owner.

What is to be done is in PostgreSQL; the job is a hint. An import is one transaction: whatever dies in the middle leaves
the clients as they were, and the tick begins it again.
"""

from __future__ import annotations

import io
import logging
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import IO, Any, BinaryIO

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.files import File
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext as _
from dramatiq.middleware import Shutdown

from vestnik import access, jobs, locks
from vestnik.accounts.models import User
from vestnik.clients import csv_files, encodings, uploads
from vestnik.clients.csv_files import ImportRefused, Look
from vestnik.clients.import_files import Rejected, import_file
from vestnik.clients.importing import learn_names
from vestnik.clients.models import ClientList
from vestnik.clients.uploads import UNFINISHED, ClientImport, ImportPiece, ImportState, PieceKind

logger = logging.getLogger(__name__)

AT_ONCE = 2
"""Imports that run at once in the whole installation: they must leave threads to launches."""

TRIES = 3
"""How often an import is begun: one that kills its worker every time would hold up everything else."""

DAY = timedelta(days=1)
KEEP_REFUSED_ROWS = timedelta(days=7)
KEEP_UNCONFIRMED = timedelta(days=1)

_PROGRESS_LIVES = 600  # seconds


def take_file(
    owner: User,
    uploaded: Iterable[bytes] | File[bytes],
    file_name: str,
    list_name: str = "",
    client_list: ClientList | None = None,
) -> ClientImport:
    """Take a file of the owner's clients, to be put onto `client_list` or the list called `list_name`.

    Nothing is imported before `begin_import` says how the file is to be read; how it would be read is found out here
    and stored with it. `uploaded` is Django's UploadedFile, or chunks of bytes. Raises ValidationError for `file`,
    `list_name` and `client_list`.
    """
    if client_list is not None and client_list.owner_id != owner.pk:
        raise ValidationError({"client_list": _("The list is not the owner's.")})
    if list_name := list_name.strip():
        _check_list_name(list_name, client_list)
    name = "".join(filter(str.isprintable, file_name))[-uploads.NAME_LENGTH :]
    with transaction.atomic():
        _refuse_too_many(owner)
        work = ClientImport.objects.create(
            owner=owner,
            client_list=client_list,
            list_name=list_name,
            file_name=name,
            reason="",
            state=ImportState.ASKED,
        )
        size = uploads.store(work, PieceKind.SOURCE, _within_the_limit(uploaded))
        if not size:
            raise ValidationError({"file": _("The file is empty.")})
        try:
            encoding, delimiter, in_doubt = _found(work)
        except ImportRefused as refusal:
            raise ValidationError({"file": refusal}) from None
        ClientImport.objects.filter(pk=work.pk).update(
            size=size, encoding=encoding, delimiter=delimiter, in_doubt=in_doubt
        )
    work.refresh_from_db()
    return work


def first_look(work: ClientImport, encoding: str, delimiter: str) -> Look:
    """Return what the file's beginning says if it is read so. Raises ValidationError for `encoding` and `delimiter`."""
    if encoding not in encodings.ENCODINGS:
        raise ValidationError({"encoding": _("Choose an encoding.")})
    if delimiter and delimiter not in csv_files.SEPARATORS:
        raise ValidationError({"delimiter": _("Choose a separator.")})
    beginning = io.BytesIO(uploads.beginning(work, PieceKind.SOURCE))
    try:
        return csv_files.look(beginning, delimiter=delimiter, found=encodings.Found(encoding, True, True))
    except ImportRefused as refusal:
        raise ValidationError({"encoding": refusal}) from None


@transaction.atomic
def begin_import(work: ClientImport, encoding: str, delimiter: str) -> None:
    """Have a file that was taken imported soon, read as given. A second call changes nothing.

    Raises ValidationError for `encoding` and `delimiter`, where nothing could be read so.
    """
    asked = ClientImport.objects.select_for_update().filter(pk=work.pk, state=ImportState.ASKED).first()
    if asked is None:
        return
    seen = first_look(asked, encoding, delimiter)
    ClientImport.objects.filter(pk=work.pk).update(
        state=ImportState.QUEUED, encoding=encoding, delimiter=seen.delimiter, in_doubt=False
    )
    jobs.import_clients(work.pk)


def drop_file(work: ClientImport) -> None:
    """Delete a file that was taken; a second call changes nothing.

    Raises ValidationError where its import has begun.
    """
    ClientImport.objects.filter(pk=work.pk, state=ImportState.ASKED).delete()
    if ClientImport.objects.filter(pk=work.pk).exists():
        raise ValidationError(_("Somebody has pressed “Import” already: the file is not forgotten."))


def run_import(import_id: int) -> None:
    """Run an import, unless somebody runs it or another one of its owner, or AT_ONCE are running. Idempotent.

    Whoever ends an import hints at those that wait, so nobody needs to ask repeatedly.
    """
    works = ClientImport.objects.filter(pk=import_id, state__in=UNFINISHED)
    owner_id = works.values_list("owner_id", flat=True).first()
    if owner_id is None:
        return
    with ExitStack() as held:  # while they are, others are told that the import is running
        if not held.enter_context(locks.held(locks.IMPORT, owner_id)):
            return
        if not any(held.enter_context(locks.held(locks.IMPORT_SLOT, slot)) for slot in range(AT_ONCE)):
            return
        if not works.update(state=ImportState.RUNNING, tries=F("tries") + 1):
            return
        try:
            _do(ClientImport.objects.select_related("owner", "client_list").get(pk=import_id))
        except Shutdown:
            works.update(tries=F("tries") - 1)  # interrupted from outside: that was no try
            raise
    for waiting in to_do():
        jobs.import_clients(waiting)


def to_do(older_than: timedelta = timedelta()) -> list[int]:
    """Return the ids of the oldest unfinished import of each owner, of those uploaded so long ago, the oldest first."""
    waiting = ClientImport.objects.filter(state__in=UNFINISHED, created_at__lte=Now() - older_than)
    return sorted(waiting.order_by("owner_id", "pk").distinct("owner_id").values_list("pk", flat=True))


def prune_files() -> None:
    """Delete the refused rows of imports that ended a week ago, and files that nobody confirmed for a day.

    The record of what an import did stays.
    """
    ImportPiece.objects.filter(client_import__finished_at__lt=Now() - KEEP_REFUSED_ROWS).delete()
    ClientImport.objects.filter(state=ImportState.ASKED, created_at__lt=Now() - KEEP_UNCONFIRMED).delete()


def progress(import_id: int) -> int | None:
    """Return how many rows of an import were read so far; None where that is not known. A hint, kept in the cache."""
    rows: int | None = cache.get(_progress_key(import_id))
    return rows


def _refuse_too_many(owner: User) -> None:
    """Refuse a file by a ValidationError for `file` if the owner has too many: they are stored in the database.

    Of two files that come at once each is counted for the other. Call it in a transaction.
    """
    locks.wait(locks.OWNERS_FILES, owner.pk)
    own = ClientImport.objects.filter(owner=owner)
    limit = settings.IMPORTS_AT_ONCE
    if own.filter(finished_at=None).count() >= limit:  # unconfirmed files are stored, too
        said = _("%(limit)d of your imports are not done yet, as many as may wait; upload this file when one is.")
        raise ValidationError({"file": said % {"limit": limit}})
    limit = settings.IMPORTS_PER_DAY
    if own.filter(created_at__gt=Now() - DAY).count() >= limit:
        said = _("You have imported %(limit)d files within a day, as many as one may; go on tomorrow.")
        raise ValidationError({"file": said % {"limit": limit}})


def _found(work: ClientImport) -> tuple[str, str, bool]:
    """Return how the file is best read: encoding, separator ("" if no column of addresses is found), whether in
    doubt.
    """
    with uploads.opened(work, PieceKind.SOURCE) as source:
        found = encodings.find(source)
        try:
            delimiter = csv_files.look(source, found=found).delimiter
        except csv_files.NoHeader:
            delimiter = ""
    return found.encoding, delimiter, not found.is_certain


def _check_list_name(name: str, client_list: ClientList | None) -> None:
    if client_list is not None:
        raise ValidationError({"list_name": _("Choose a list or name a new one, not both.")})
    try:
        ClientList._meta.get_field("name").clean(name, None)
    except ValidationError as refusal:
        raise ValidationError({"list_name": refusal}) from None


def _within_the_limit(uploaded: Iterable[bytes] | File[bytes]) -> Iterator[bytes]:
    """Yield the file's chunks. Raises ValidationError if it is larger than can be imported."""
    limit, chunks = settings.IMPORT_LIMIT_BYTES, uploaded
    said = {"limit": limit >> 20}
    if isinstance(uploaded, File):
        if uploaded.size > limit:
            refusal = _("The file has %(size)d MB; at most %(limit)d MB can be imported at once.")
            raise ValidationError({"file": refusal % {**said, "size": math.ceil(uploaded.size / (1 << 20))}})
        chunks = uploaded.chunks(uploads.PIECE)
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            refusal = _("The file is too large; at most %(limit)d MB can be imported at once.")
            raise ValidationError({"file": refusal % said})
        yield chunk


def _do(work: ClientImport) -> None:
    with translation.override(work.owner.language):
        try:
            if work.tries > TRIES:
                raise ImportRefused(_("The import was broken off %(count)d times.") % {"count": TRIES})
            if not access.may_own(work.owner):
                raise ImportRefused(_("The account may own nothing: it is blocked, not confirmed, or a manager's."))
            _import(work)
        except ValidationError as refusal:
            _end(work, ImportState.REFUSED, reason=" ".join(refusal.messages))
            logger.info("import %d was refused: %s", work.pk, " ".join(refusal.messages))


def _import(work: ClientImport) -> None:
    """Run the whole import in a transaction, after one that learns the attributes' names."""
    with ExitStack() as stack:
        with transaction.atomic():  # else the server would keep the pieces once more for a cursor of its own
            source = stack.enter_context(uploads.opened(work, PieceKind.SOURCE))
        learn_names(work.owner, source, work.encoding, work.delimiter)
        file = stack.enter_context(tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR))
        _import_from(work, source, file)


@transaction.atomic
def _import_from(work: ClientImport, source: BinaryIO, file: IO[bytes]) -> None:
    """Import, with refused rows in `file` on the disk, for the connection is busy with the COPY of the good ones."""
    report, client_list = import_file(
        work.owner,
        source,
        Rejected(lambda: file),
        work.client_list,
        work.list_name or None,
        _progress(work.pk),
        work.encoding,
        work.delimiter,
    )
    file.seek(0)
    uploads.store(work, PieceKind.REFUSED, iter(lambda: file.read(uploads.PIECE), b""))
    _end(
        work,
        ImportState.DONE,
        client_list=client_list,
        created=report.created,
        updated=report.updated,
        unchanged=report.unchanged,
        refused=report.refused,
        listed=report.listed,
        repeated=report.repeated,
        remarks="\n".join(report.remarks),
    )
    logger.info("import %d: %s", work.pk, report)


@transaction.atomic
def _end(work: ClientImport, state: ImportState, **facts: Any) -> None:
    ClientImport.objects.filter(pk=work.pk).update(state=state, finished_at=Now(), **facts)
    work.pieces.filter(kind=PieceKind.SOURCE).delete()


def _progress_key(import_id: int) -> str:
    return f"vestnik:import:{import_id}"


def _progress(import_id: int) -> Callable[[int], None]:
    """Return a function that writes to the cache how many rows were read."""
    return lambda rows: cache.set(_progress_key(import_id), rows, _PROGRESS_LIVES)
