"""Whether servers' addresses have names that lead back to them, as receivers want it of whoever sends mail."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from vestnik.senders.answers import Ask, Kind, Trouble
from vestnik.senders.findings import State, Why

MOST_NAMES = 10
"""Of one address; receivers do not look at more (RFC 7208, 5.5)."""


@dataclass(frozen=True, slots=True)
class Named:
    """An address, how its name stands, and what names it has."""

    address: str
    state: State
    why: Why | None = None
    names: tuple[str, ...] = ()


def judge_ptr(addresses: Iterable[str], ask: Ask) -> tuple[Named, ...]:
    """Judge each IP address: RIGHT where one of its names (PTR) leads back to it."""
    return tuple(_judged(address, ask) for address in addresses)


def _judged(address: str, ask: Ask) -> Named:
    ip = ip_address(address)
    answer = ask(ip.reverse_pointer, Kind.PTR)
    if answer.trouble:
        return Named(address, State.UNKNOWN, _why(answer.trouble))
    if not answer.values:
        return Named(address, State.MISSING, Why.NO_NAME)
    trouble: Trouble | None = None
    for name in answer.values[:MOST_NAMES]:
        back = ask(name, Kind.A if ip.version == 4 else Kind.AAAA)
        if any(ip_address(value) == ip for value in back.values):
            return Named(address, State.RIGHT, names=answer.values)
        trouble = trouble or back.trouble
    if trouble:
        return Named(address, State.UNKNOWN, _why(trouble), answer.values)
    return Named(address, State.WRONG, Why.NOT_CONFIRMED, answer.values)


def _why(trouble: Trouble) -> Why:
    return Why(trouble.value)
