"""From an uploaded file to a picture of the blog: checked, encoded again, stored in several widths.

A file's kind is told by its content, not by its name. Only what can be seen is stored: the pixels are encoded again, so
that neither places and names in metadata nor anything else hidden in a file reaches anybody.
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import PurePath
from typing import IO, Any, Protocol

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from PIL import ExifTags, Image, ImageCms, ImageOps

from vestnik import locks
from vestnik.blog.models import WIDTHS, Picture, file_name, widths

MOST_BYTES = 20 << 20
MOST_PIXELS = 40_000_000
MOST_TIMES_LONGER = 8
"""How many times longer one side may be than the other: WebP holds only 16,383 pixels a side."""

MOST_MARKERS = 500
"""Markers in a JPEG. Photographs have dozens. Each may take a pass over all pixels: many of them take hours."""

MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # none of those that stand among pixels
END_OF_JPEG = b"\xd9"

FORMATS = ["JPEG", "PNG", "WEBP"]
QUALITY = 82

FOREIGN = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF", b"PK\x03\x04": "ZIP"}
"""Beginnings of files that people may take for pictures, but that cannot be shown here."""

BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"avif": "AVIF"}
"""Formats of telephones, by what follows "ftyp"."""

# What Pillow raises where a file is damaged, or made to do damage.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

SRGB = ImageCms.createProfile("sRGB")

PATIENCE_SECONDS = 5
"""How long an upload waits for others: it occupies a thread of the web meanwhile."""

_one_at_a_time = threading.Lock()  # forty million pixels are hundreds of megabytes while they are decoded


class Upload(Protocol):
    """The part of Django's uploaded files that is used here."""

    size: int | None

    def seek(self, offset: int, /) -> Any: ...
    def read(self, size: int = -1, /) -> bytes: ...


def store(upload: Upload | IO[bytes]) -> Picture:
    """Return the picture made of the file; the same one if it is stored already. Raises ValidationError with one
    sentence.

    An image that lies on its side by its EXIF data is turned upright. It is stored in sRGB, without metadata.
    """
    if not _one_at_a_time.acquire(timeout=PATIENCE_SECONDS):
        raise ValidationError(_("Other pictures are being made ready; try again in a moment."), code="busy")
    try:
        image = _opened(upload)
        files = _encoded(image)
    finally:
        _one_at_a_time.release()
    return _kept(files, image.width, image.height)


@transaction.atomic
def _kept(files: dict[tuple[int, str], bytes], width: int, height: int) -> Picture:
    """Store the picture with its files; neither is stored if one file cannot be written."""
    key = hashlib.sha256(files[width, "webp"]).hexdigest()[:32]
    locks.wait(locks.PICTURE + key)
    picture, new = Picture.objects.get_or_create(key=key, defaults={"width": width, "height": height})
    if new:
        remove_files(picture)  # of an upload that was interrupted
        try:
            for (each, kind), content in files.items():
                default_storage.save(file_name(key, each, kind), ContentFile(content))
        except BaseException:
            remove_files(picture)
            raise
    return picture


def remove_files_unless_kept(picture: Picture) -> None:
    """Remove the files of a picture that was deleted, unless it was uploaded again meanwhile."""
    with transaction.atomic():
        locks.wait(locks.PICTURE + picture.key)
        if not Picture.objects.filter(key=picture.key).exists():
            remove_files(picture)


def remove_files(picture: Picture) -> None:
    """Remove the files of a picture from the storage."""
    for width in picture.widths:
        for kind in ("webp", "jpg"):
            default_storage.delete(file_name(picture.key, width, kind))
    with suppress(OSError, NotImplementedError):  # the folder; not every storage has any
        default_storage.delete(str(PurePath(file_name(picture.key, 0, "jpg")).parent))


def _opened(upload: Any) -> Image.Image:
    """Return the image upright in sRGB, at most as wide as is kept, without metadata."""
    content = _content(upload)
    if _has_too_many_markers(content.getvalue()):
        raise _damaged()
    try:
        image = Image.open(content, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    except BROKEN:
        raise _no_picture(content) from None
    _check_size(image)
    try:
        return _upright(image)
    except BROKEN:
        raise _damaged() from None


def _content(upload: Any) -> BytesIO:
    upload.seek(0)
    content = upload.read(MOST_BYTES + 1)
    if not content:
        raise ValidationError(_("The file is empty."), code="empty")
    if len(content) > MOST_BYTES:
        raise ValidationError(
            _("A picture may have at most %(most)s; make it smaller first."),
            code="too_big",
            params={"most": filesizeformat(MOST_BYTES)},
        )
    return BytesIO(content)


def _has_too_many_markers(content: bytes) -> bool:
    """Say whether it is a JPEG of more parts than any camera or program makes. What follows its end does not count."""
    markers, at = 0, 2
    while content.startswith(b"\xff\xd8") and (marker := MARKER.search(content, at)) and marker[1] != END_OF_JPEG:
        markers, at = markers + 1, marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
        if markers > MOST_MARKERS:
            return True
    return False


def _check_size(image: Image.Image) -> None:
    """Refuse an image that is too large, by what its header says: nothing is decoded yet."""
    if image.width < 1 or image.height < 1:
        raise ValidationError(_("The picture is empty: it has no width or no height."), code="no_pixels")
    if image.width * image.height > MOST_PIXELS:
        raise _too_many_pixels()
    if max(image.size) > MOST_TIMES_LONGER * min(image.size) and max(image.size) > WIDTHS[0]:
        raise ValidationError(
            _("The picture is too long and thin: one side may be at most %(times)s times as long as the other."),
            code="too_long",
            params={"times": MOST_TIMES_LONGER},
        )
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise ValidationError(_("The picture moves; only still pictures can be shown here."), code="animated")


def _too_many_pixels() -> ValidationError:
    return ValidationError(
        _("The picture has more than %(most)s megapixels; make it smaller first."),
        code="too_many_pixels",
        params={"most": number_format(MOST_PIXELS // 1_000_000)},
    )


def _damaged() -> ValidationError:
    return ValidationError(
        _("The picture is damaged or cut off; export or save it anew, and try again."), code="damaged"
    )


def _no_picture(content: BytesIO) -> ValidationError:
    head = content.getvalue()[:1024]
    kind = next((name for beginning, name in FOREIGN.items() if head.startswith(beginning)), None)
    if head[4:8] == b"ftyp":
        kind = BRANDS.get(head[8:12])
    elif b"<svg" in head.lower():
        kind = "SVG"
    if kind:
        return ValidationError(
            _("This is a file of type %(kind)s, whatever it is called; JPEG, PNG or WebP is wanted."),
            code="kind",
            params={"kind": kind},
        )
    return ValidationError(
        _("This is no picture, whatever it is called; JPEG, PNG or WebP is wanted."), code="no_picture"
    )


def _upright(image: Image.Image) -> Image.Image:
    orientation = _orientation(image)
    width = image.height if orientation in (5, 6, 7, 8) else image.width
    scale = min(1.0, WIDTHS[-1] / width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image.draft(None, size)  # a large JPEG is decoded at half its size, or less, if that is enough
    image.load()
    profile = image.info.get("icc_profile")
    plain = _plain(image)
    if plain.size != size:
        plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    plain = _srgb(plain, profile)
    plain.info = {}
    if orientation > 1:
        plain.getexif()[ExifTags.Base.Orientation] = orientation
        plain = ImageOps.exif_transpose(plain)
    bare = Image.new(plain.mode, plain.size)
    bare.paste(plain)
    return bare


def _orientation(image: Image.Image) -> int:
    """Return the image's orientation as EXIF has it (1 to 8); 1 where there is none that makes sense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except BROKEN:
        return 1
    return orientation if orientation in range(1, 9) else 1


def _plain(image: Image.Image) -> Image.Image:
    """Return the image in one of the four modes that can be scaled: RGB, RGBA, L or CMYK."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode.startswith("I;16"):  # Pillow's own conversion takes all above 255 for white
        return image.point(lambda value: value / 256, "L")
    return image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image in sRGB, converted from its profile: RGB, or RGBA where it is transparent."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    if profile:
        try:
            given = ImageCms.ImageCmsProfile(BytesIO(profile))
            colours = ImageCms.profileToProfile(colours, given, SRGB, outputMode="RGB") or colours
        except (ImageCms.PyCMSError, *BROKEN):  # a profile of other colours than the image has
            colours = colours.convert("RGB")
    colours = colours.convert("RGB")
    if alpha and alpha.getextrema() != (255, 255):
        colours.putalpha(alpha)
    return colours


def _encoded(image: Image.Image) -> dict[tuple[int, str], bytes]:
    """Return the image in each width that is kept, as WebP and, on white where it is transparent, as JPEG."""
    files = {}
    for width in widths(image.width):
        height = max(1, round(image.height * width / image.width))
        scaled = image.resize((width, height), Image.Resampling.LANCZOS) if width != image.width else image
        files[width, "webp"] = _saved(scaled, "WEBP", quality=QUALITY, method=4)
        files[width, "jpg"] = _saved(_on_white(scaled), "JPEG", quality=QUALITY, progressive=True, optimize=True)
    return files


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    content = BytesIO()
    image.save(content, kind, **how)
    return content.getvalue()
