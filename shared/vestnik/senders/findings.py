"""What is found out about something in the DNS: codes, of which pages make sentences."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands."""

    RIGHT = "right"
    MISSING = "missing"
    """Certainly not there."""
    WRONG = "wrong"
    """Something is there, and it does not do."""
    UNKNOWN = "unknown"
    """The DNS could not be asked, or nobody but a receiver can say."""


class Why(StrEnum):
    """What is the matter."""

    UNREACHABLE = "unreachable"
    """The DNS could not be asked."""
    BROKEN = "broken"
    """The DNS answered, and not what can be understood."""
    NAME_TWICE = "name_twice"
    """It is at a name that has the domain twice, as the panel appended it to what was a whole name."""
    TARGET_EXTENDED = "target_extended"
    """It points to the right name with the domain appended: a last dot is wanting."""
    QUOTED = "quoted"
    """Quotes are a part of its value."""
    CUT = "cut"
    """Only a part of the value is there."""
    ANOTHER_VALUE = "another_value"
    SEVERAL = "several"
    """More than one, where receivers then take none (RFC 7208, 3.2; RFC 7489, 6.6.3; RFC 6376, 3.6.2.2)."""
    POLICY_UNREADABLE = "policy_unreadable"
    """Receivers do not understand it: SPF's permerror, or no DMARC."""
    INCLUDE_UNREADABLE = "include_unreadable"
    """What it includes or redirects to has no policy, several, or none that can be understood (permerror)."""
    TOO_MANY_LOOKUPS = "too_many_lookups"
    """More than 10 terms that ask the DNS (RFC 7208, 4.6.4), or a circle of them."""
    TOO_MANY_VOIDS = "too_many_voids"
    """More than 2 of them find nothing (RFC 7208, 4.6.4)."""
    ALL_PASS = "all_pass"  # noqa: S105 - no password
    """It lets everybody send."""
    DOES_NOT_INCLUDE = "does_not_include"
    """It does not let send who is to send."""
    HAS_MACROS = "has_macros"
    """What it says depends on the letter (RFC 7208, 7), or on names of servers."""
    NO_ALIAS = "no_alias"
    """Addresses or servers for mail instead of a CNAME."""
    NO_ADDRESS = "no_address"
    """The server for mail has no address."""
    NO_NAME = "no_name"
    """The address has no name (PTR)."""
    NOT_CONFIRMED = "not_confirmed"
    """The address has a name that does not lead back to it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How it stands, why, and what the DNS says now. `why` may also be a code of whoever judged, as of DKIM keys."""

    state: State
    why: StrEnum | None = None
    found: tuple[str, ...] = ()
