"""What people upload that is no CSV file: refused as what it is, with what to do."""

import io
import zipfile

import pytest

from vestnik.clients import encodings
from vestnik.clients.csv_files import ImportRefused
from vestnik.clients.importing import import_clients


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


OTHERS = {
    "xlsx": (zipped(), "workbook"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "Excel"),
    "an old xls": (b"\x09\x08\x10\x00\x00\x06\x05\x00", "Excel"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF"),
    "rtf": (b"{\\rtf1\\ansi email\\par}", "RTF"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "packed"),
    "vcf": (b"BEGIN:VCARD\r\nVERSION:3.0\r\nEMAIL:ann@example.org\r\nEND:VCARD\r\n", "vCard"),
    "ldif": (b"dn: cn=Ann,mail=ann@example.org\nmail: ann@example.org\n", "LDIF"),
    "mhtml": (b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n", "MHTML"),
    "html": (b"\xef\xbb\xbf\n <html><table><tr><td>email</td></tr><tr><td>ann@example.org</td></tr></table>", "HTML"),
    "a table": (b"<table border=1>\n<tr><th>email</th></tr>\n", "HTML"),
    "a document type": (b"<!DOCTYPE html>\n<html>\n<p>email\n", "HTML"),
    "html in UTF-16": ("\ufeff<html><table><tr><td>email".encode("utf-16-le"), "HTML"),
    "xml": (b'<?xml version="1.0"?>\n<Workbook><Cell>email</Cell></Workbook>', "XML"),
    "json": (b'[{"email": "ann@example.org", "name": "Ann"}]', "JSON"),
    "json of many lines": (b'{\n  "clients": [\n    {"email": "ann@example.org"}\n  ]\n}\n', "JSON"),
}


@pytest.mark.parametrize("kind", list(OTHERS))
@pytest.mark.parametrize("encoding", ["", "cp1251"])
def test_a_file_that_is_no_csv_is_called_what_it_is(alice, kind, encoding):
    content, name = OTHERS[kind]
    with pytest.raises(ImportRefused) as refusal:
        import_clients(alice, io.BytesIO(content), encoding=encoding)
    [said] = refusal.value.messages
    assert name in said
    assert "save it as CSV" in said


@pytest.mark.parametrize(
    "text",
    [
        "[Email];[Name]\na@example.org;Ann\n",
        "<email>;name\na@example.org;Ann\n",
        "{email},name\na@example.org,Ann\n",
        '"email","name"\n"a@example.org","Ann"\n',
        "dn;email\nx;a@example.org\n",
        "version: email\na@example.org\n",
        "PKW,email\n1,a@example.org\n",
    ],
)
def test_a_csv_file_that_begins_strangely_is_read(alice, text):
    assert encodings.find(io.BytesIO(text.encode())).is_certain
    assert import_clients(alice, io.BytesIO(text.encode())).created == 1
