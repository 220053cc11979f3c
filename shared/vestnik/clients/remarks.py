"""What people should know about how a file of clients is understood, in sentences."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from vestnik.clients.headers import Columns, listed


def remarks(header: list[str], columns: Columns, addresses_elsewhere: int | None = None) -> tuple[str, ...]:
    """Return what the columns' names alone do not say, and what is not done with a column.

    `addresses_elsewhere`: for how many rows the address was taken from another column of addresses, where that is
    known.
    """
    return tuple(_remarks(header, columns, addresses_elsewhere))


def _remarks(header: list[str], columns: Columns, addresses_elsewhere: int | None) -> Iterator[str]:
    number, first = columns.above
    if number:
        yield _("Lines passed over above the names of the columns: %(number)d. The first of them says: %(first)s.") % {
            "number": number,
            "first": listed([first]),
        }
    email = listed([header[columns.email]])
    if columns.by_content:
        yield _(
            "No column is called “email” or the like; the addresses are taken from %(column)s, where nearly every cell"
            " is one."
        ) % {"column": email}
    if columns.other_emails:
        said = {"column": email, "others": listed([header[index] for index in columns.other_emails])}
        if addresses_elsewhere is None:
            yield _("Where %(column)s holds no address, the first one of these is taken: %(others)s.") % said
        elif addresses_elsewhere:
            yield _(
                "Rows without an address in %(column)s, whose address was taken from the next column that has one"
                " (%(others)s): %(number)d."
            ) % {**said, "number": addresses_elsewhere}
    if columns.statuses:
        yield _(
            "Not understood as unsubscribing yet: %(columns)s. It becomes an attribute only, so whoever is marked there"
            " as unsubscribed or bounced is a client like the others and would be written to. Take them out of the file"
            " before you import it."
        ) % {"columns": listed([header[index] for index in columns.statuses])}
