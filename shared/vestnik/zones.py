"""The time zones there are, and those that people choose from. The machine's files are looked through once."""

import zoneinfo
from functools import cache


@cache
def known() -> frozenset[str]:
    """Return every IANA name that this machine has a zone for."""
    return frozenset(zoneinfo.available_timezones())


@cache
def names() -> list[str]:
    """Return the IANA names that stand for a place, and UTC, sorted but for UTC, which is first."""
    return ["UTC", *sorted(name for name in known() if _is_place(name))]


def choices(chosen: str = "") -> list[tuple[str, str]]:
    """Return the same as a form's choices, (value, label), with the zone that is `chosen` already, if it is another."""
    listed = names() if chosen in ("", *names()) else [chosen, *names()]
    return [(name, name.replace("_", " ")) for name in listed]


def _is_place(name: str) -> bool:
    return "/" in name and not name.startswith(("Etc/", "SystemV/", "US/", "posix/", "right/", "Mexico/", "Chile/"))
