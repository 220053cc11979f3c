"""Files that people upload instead of a CSV file: recognised by how they begin, whatever they are called."""

import re

from django.utils.translation import gettext_lazy

_BEGINNINGS = (
    (rb"PK\x03\x04", gettext_lazy("a workbook (.xlsx, .ods) or another packed file")),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", gettext_lazy("an Excel workbook (.xls)")),
    (rb"\x09\x08\x10\x00|\x09[\x00\x02\x04]\x06\x00", gettext_lazy("an Excel workbook (.xls)")),
    (rb"%PDF-", gettext_lazy("a PDF document")),
    (rb"\{\\rtf", gettext_lazy("an RTF document")),
    (rb"\x1f\x8b|BZh\d|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\xfd7zXZ\x00", gettext_lazy("a packed file")),
    (rb"(?i:begin:vcard\b)", gettext_lazy("a file of contacts (vCard)")),
    (rb"(?i:dn: \S+=)|(?i:version: 1\s+dn:)", gettext_lazy("a file of contacts (LDIF)")),
    (rb"(?i:mime-version:\s*1\.0\b)", gettext_lazy("a web archive (MHTML)")),
    (rb"(?i:<(?:!doctype html|html|head|body|meta|table|style|div)\b|<!--)", gettext_lazy("a web page (HTML)")),
    (rb"(?i:<\?xml\b|<workbook\b)", gettext_lazy("an XML document")),
    (rb"\{\s*\"[^\"\r\n]*\"\s*:|\[\s*[\[{]|\[\s*\]\s*$|\{\s*\}\s*$", gettext_lazy("a JSON document")),
)
_KINDS = [(re.compile(pattern), kind) for pattern, kind in _BEGINNINGS]
_LOOKED_AT = 2_000


def kind_of(start: bytes) -> str:
    """Return the kind of a file that begins so, in the reader's language; "" where it may be CSV."""
    start = start[:_LOOKED_AT]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start[2:].decode("utf-16-le" if start[0] == 0xFF else "utf-16-be", "replace").encode()
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((str(kind) for pattern, kind in _KINDS if pattern.match(start) or pattern.match(text)), "")
