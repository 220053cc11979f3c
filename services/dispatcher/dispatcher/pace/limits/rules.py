"""What the settings say of limits: "50/s, 2000/min, 100000/day", and for domains "gmail.com=20/s,1000/h; *=100/s"."""

import re
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured

from vestnik.addresses import InvalidAddress, domain, normalise

HIGHEST = 10_000_000
"""A greater number is a typing error, or no limit."""

EVERY_OTHER = "*"
"""Stands for the domains that are not named."""

LONG = 3600
"""Seconds: of windows at least so long a share (KEPT) is reserved for account mail, for which people wait."""
KEPT = 0.01

_UNITS = {
    1: ("s", "sec", "second", "seconds"),
    60: ("min", "minute", "minutes"),
    3600: ("h", "hour", "hours"),
    86400: ("d", "day", "days"),
}
_SECONDS = {name: seconds for seconds, names in _UNITS.items() for name in names}
_RATE = re.compile(r"([^/]*)/([^/]*)")


class Window(NamedTuple):
    """At most `limit` letters in any `seconds`."""

    limit: int
    seconds: int

    @property
    def ordinary(self) -> int:
        """How many of them letters of mailings may use."""
        return max(1, int(self.limit * (1 - KEPT))) if self.seconds >= LONG else self.limit


Windows = tuple[Window, ...]
"""Of different lengths, the shortest first."""


def windows(name: str, text: str) -> Windows:
    """Return the limits in the text of the variable `name`; none if it is empty. Raises ImproperlyConfigured."""
    found: dict[int, Window] = {}
    for part in text.split(",") if text.strip() else []:
        window = _window(name, part.strip())
        if window.seconds in found:
            raise ImproperlyConfigured(f"{name}: there are two limits for the same time: {text!r}.")
        found[window.seconds] = window
    return tuple(found[seconds] for seconds in sorted(found))


def domain_windows(name: str, text: str) -> dict[str, Windows]:
    """Return the limits of each domain in the text of the variable `name`. Raises ImproperlyConfigured."""
    found: dict[str, Windows] = {}
    for part in text.split(";") if text.strip() else []:
        written, equals, limits = part.partition("=")
        if not equals or not limits.strip():
            raise ImproperlyConfigured(f"{name}: {part.strip()!r} is not of the form domain=limits.")
        key = _domain(name, written.strip())
        if key in found:
            raise ImproperlyConfigured(f"{name}: {key} is there twice.")
        found[key] = windows(name, limits)
    return found


def _window(name: str, text: str) -> Window:
    rate = _RATE.fullmatch(text)
    if not rate:
        raise ImproperlyConfigured(f"{name}: {text!r} is not of the form 50/s.")
    number, unit = rate[1].strip(), rate[2].strip().lower()
    if unit not in _SECONDS:
        raise ImproperlyConfigured(f"{name}: {text!r} is not per s, min, h or day.")
    if not re.fullmatch("[0-9]{1,20}", number) or not 0 < int(number) <= HIGHEST:
        raise ImproperlyConfigured(f"{name}: {text!r}: a whole number of letters from 1 to {HIGHEST} is wanted.")
    return Window(int(number), _SECONDS[unit])


def _domain(name: str, text: str) -> str:
    if text == EVERY_OTHER:
        return text
    try:
        return domain(normalise(f"postmaster@{text}"))
    except InvalidAddress:
        raise ImproperlyConfigured(f"{name}: {text!r} is neither a domain nor *.") from None
