"""Tables that go out as files for spreadsheets, and the pages one comes back to."""

from collections.abc import Iterable
from itertools import islice

from django.http import QueryDict, StreamingHttpResponse
from django.utils.translation import get_language

from vestnik import spreadsheets

CHUNK = 500
"""Lines that are sent at once."""

DECIMAL_COMMA = ("ru",)
"""Languages in which a comma stands in numbers, so that spreadsheets split cells at semicolons."""

LONGEST_QUERY = 1_500
"""Characters; browsers and Django take addresses of about 2,000."""


def csv_table(name: str, rows: Iterable[Iterable[str]]) -> StreamingHttpResponse:
    """Stream the rows as a CSV file (RFC 4180) to be saved as NAME.csv, made while it is downloaded.

    Between cells stands what spreadsheets in the reader's language expect.
    """
    lines = spreadsheets.lines(rows, ";" if get_language() in DECIMAL_COMMA else ",")
    return csv_file(name, iter(lambda: b"".join(islice(lines, CHUNK)), b""))


def csv_file(name: str, pieces: Iterable[bytes]) -> StreamingHttpResponse:
    """Stream the pieces of such a file that are made already."""
    return StreamingHttpResponse(
        pieces,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def back_to(table: str, query: str | None) -> str:
    """Return the address of a table, searched and sorted as its form says it was (`query`)."""
    asked = QueryDict(query).urlencode() if query and len(query) <= LONGEST_QUERY else ""
    return f"{table}?{asked}" if 0 < len(asked) <= LONGEST_QUERY else table
