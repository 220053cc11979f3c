"""SPF's policies as RFC 7208 writes them: which text is one, and what its terms are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

_VERSION = "v=spf1"
_LITERAL = "[!-$&-~]"
_EXPAND = r"%(?:\{[slodiphv]\d*r?[.+,/_=-]*\}|[%_-])"
_EXPAND_ANY = _EXPAND.replace("[slodiphv]", "[slodiphcrtv]")
_LAST_LABEL = r"\.(?:[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])\.?"
_DOMAIN = re.compile(rf"(?:{_LITERAL}|{_EXPAND})*?(?:{_LAST_LABEL}|{_EXPAND})", re.IGNORECASE)
_MACRO_STRING = re.compile(rf"(?:{_LITERAL}|{_EXPAND_ANY})*", re.IGNORECASE)
_MECHANISM = re.compile(r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)((?:[:/].*)?)", re.IGNORECASE)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)")
_NUMBER = r"(0|[1-9]\d{0,2})"
_TARGET = re.compile(rf"(?::(.*?))?(?:/{_NUMBER})?(?://{_NUMBER})?", re.ASCII)
_IP = re.compile(rf":([0-9A-Fa-f:.]+)(?:/{_NUMBER})?", re.ASCII)


class Result(StrEnum):
    """What a receiver makes of a policy for one server (RFC 7208, 2.6)."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"
    UNKNOWN = "unknown"
    """Only a receiver can say, who knows the letter, or the name of the server."""


_QUALIFIERS = {"": Result.PASS, "+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}


class Mechanism(StrEnum):
    """What servers are told by (RFC 7208, 5)."""

    ALL = "all"
    INCLUDE = "include"
    A = "a"
    MX = "mx"
    PTR = "ptr"
    IP4 = "ip4"
    IP6 = "ip6"
    EXISTS = "exists"

    @property
    def asks(self) -> bool:
        """Whether it counts as one that asks the DNS (RFC 7208, 4.6.4)."""
        return self not in (Mechanism.ALL, Mechanism.IP4, Mechanism.IP6)


@dataclass(frozen=True, slots=True)
class Term:
    """What is said of the servers that a mechanism tells.

    `target` is the domain in lower case without its last dot, empty where it is the policy's own; `prefixes` are the
    bits of IPv4 and IPv6 addresses that count.
    """

    mechanism: Mechanism
    result: Result = Result.PASS
    target: str = ""
    network: IPv4Network | IPv6Network | None = None
    prefixes: tuple[int, int] = (32, 128)

    @property
    def has_macros(self) -> bool:
        """Whether the domain follows from the letter."""
        return "%" in self.target


@dataclass(frozen=True, slots=True)
class Policy:
    """The terms, as far as receivers get: to the first `all`; and where they go on after the last."""

    terms: tuple[Term, ...] = ()
    redirect: str = ""
    """Empty where there is none, or an `all` before it (RFC 7208, 6.1)."""


class Malformed(ValueError):
    """A text is no policy: receivers answer it with permerror. Its argument is the term that is none."""


def published(values: Iterable[str]) -> tuple[str, ...]:
    """Return those of a name's texts that are meant for SPF (RFC 7208, 4.5)."""
    return tuple(value for value in values if value.lower() == _VERSION or value.lower().startswith(f"{_VERSION} "))


def parse(text: str) -> Policy:
    """Return the policy that a text is. Raises Malformed."""
    if not published([text]):
        raise Malformed(text)
    terms: list[Term] = []
    modifiers: dict[str, str] = {}
    for written in filter(None, text[len(_VERSION) :].split(" ")):
        if mechanism := _MECHANISM.fullmatch(written):
            terms.append(_term(written, *mechanism.groups()))
        elif modifier := _MODIFIER.fullmatch(written):
            name, value = modifier[1].lower(), modifier[2]
            is_ours = name in ("redirect", "exp")
            if not (_DOMAIN if is_ours else _MACRO_STRING).fullmatch(value) or (is_ours and name in modifiers):
                raise Malformed(written)
            modifiers[name] = value
        else:
            raise Malformed(written)
    last = next((place for place, term in enumerate(terms) if term.mechanism is Mechanism.ALL), None)
    if last is not None:
        return Policy(tuple(terms[: last + 1]))
    return Policy(tuple(terms), _name(modifiers.get("redirect", "")))


def _term(written: str, qualifier: str, name: str, rest: str) -> Term:
    mechanism, result = Mechanism(name.lower()), _QUALIFIERS[qualifier]
    match mechanism:
        case Mechanism.ALL:
            if not rest:
                return Term(mechanism, result)
        case Mechanism.IP4 | Mechanism.IP6:
            if parts := _IP.fullmatch(rest):
                return Term(mechanism, result, network=_network(written, mechanism, *parts.groups()))
        case _:
            parts = _TARGET.fullmatch(rest)
            may_be_own = mechanism in (Mechanism.A, Mechanism.MX, Mechanism.PTR)
            if parts and (may_be_own if parts[1] is None else _DOMAIN.fullmatch(parts[1])):
                prefixes = _prefixes(written, parts[2], parts[3])
                if mechanism in (Mechanism.A, Mechanism.MX) or parts[2] is parts[3] is None:
                    return Term(mechanism, result, _name(parts[1] or ""), prefixes=prefixes)
    raise Malformed(written)


def _prefixes(written: str, four: str | None, six: str | None) -> tuple[int, int]:
    prefixes = (32 if four is None else int(four), 128 if six is None else int(six))
    if prefixes[0] > 32 or prefixes[1] > 128:
        raise Malformed(written)
    return prefixes


def _network(written: str, mechanism: Mechanism, address: str, prefix: str | None) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(f"{address}/{prefix}" if prefix else address, strict=False)
    except ValueError:
        raise Malformed(written) from None
    if network.version != (4 if mechanism is Mechanism.IP4 else 6):
        raise Malformed(written)
    return network


def _name(domain: str) -> str:
    """Return a domain as it is asked for; what has macros stays as it is, for their case counts."""
    return domain if "%" in domain else domain.lower().removesuffix(".")
