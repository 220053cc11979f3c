"""The time zones people choose from."""

import zoneinfo
from functools import cache


@cache
def names() -> list[str]:
    """The IANA names that stand for a place, and UTC."""
    return ["UTC", *sorted(name for name in zoneinfo.available_timezones() if _is_place(name))]


def choices(chosen: str = "") -> list[tuple[str, str]]:
    """The same as a form's choices, with the one that is `chosen` already."""
    listed = names() if chosen in ("", *names()) else [chosen, *names()]
    return [(name, name.replace("_", " ")) for name in listed]


def _is_place(name: str) -> bool:
    return "/" in name and not name.startswith(("Etc/", "SystemV/", "US/", "posix/", "right/", "Mexico/", "Chile/"))
