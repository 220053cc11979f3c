"""What people should know about how a file of clients is understood, in sentences."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from vestnik.clients.headers import Columns, listed
from vestnik.clients.statuses import Statuses


def remarks(
    header: list[str],
    columns: Columns,
    addresses_elsewhere: int | None = None,
    statuses: Statuses | None = None,
    suppressed: int = 0,
) -> tuple[str, ...]:
    """Return what the columns' names alone do not say, and what is not done with a column.

    `addresses_elsewhere`: for how many rows the address was taken from another column of addresses, where that is
    known. `statuses` has read as many rows as were read; by it so many addresses were `suppressed`.
    """
    said = tuple(_remarks(header, columns, addresses_elsewhere, statuses))
    if suppressed:
        said += (_("Addresses new on the suppression list: %(number)d.") % {"number": suppressed},)
    return said


def _remarks(
    header: list[str], columns: Columns, addresses_elsewhere: int | None, statuses: Statuses | None
) -> Iterator[str]:
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
        yield from _of_statuses(listed([header[index] for index in columns.statuses]), statuses)


def _of_statuses(columns: str, statuses: Statuses | None) -> Iterator[str]:
    """Tell what the values mean, as far as they were read."""
    if statuses is None or not (statuses.stopping or statuses.others):
        yield _("Who is marked in %(columns)s as unsubscribed, bounced or the like comes on the suppression list.") % {
            "columns": columns
        }
        return
    if statuses.stopping:
        said = _(
            "Who has one of these in %(columns)s comes on the suppression list, and is not written to: %(values)s."
        )
        yield said % {"columns": columns, "values": listed(list(statuses.stopping))}
    if statuses.others:
        said = _("These in %(columns)s are not taken for unsubscribing: %(values)s.")
        yield said % {"columns": columns, "values": listed(list(statuses.others))}
