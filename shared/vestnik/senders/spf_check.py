"""What receivers make of a policy of SPF (RFC 7208, 4): for one server, and for whom it lets send at all.

Both ask by a callable that never raises, such as that of `dns.Check`, and stop at RFC 7208's limits.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from vestnik.senders.answers import Answer, Ask, Kind, Trouble
from vestnik.senders.findings import Why
from vestnik.senders.spf import Malformed, Mechanism, Policy, Result, Term, parse, published

MOST_LOOKUPS = 10
MOST_VOIDS = 2
MOST_SERVERS = 10
"""Of one `mx`."""
_COUNTED = 2 * MOST_LOOKUPS
"""Lookups after which nothing more is asked: how many there are beyond is nobody's concern."""

Address = IPv4Address | IPv6Address


@dataclass(slots=True)
class Survey:
    """What a policy says altogether, with those that it includes and redirects to, whichever server is asked about."""

    lookups: int = 0
    """Terms that ask the DNS; not all of them where there are very many."""
    voids: int = 0
    """Of these, how many find nothing. What depends on macros or on a server's name is not counted."""
    included: set[str] = field(default_factory=set)
    """Domains whose servers pass, for they are included, or redirected to, all the way."""
    passes_all: bool = False
    has_macros: bool = False
    """Some of it depends on the letter or on the server's name."""
    fault: Why | None = None
    """The first reason for a permerror, limits aside."""
    trouble: Trouble | None = None
    """Something could not be asked: the rest was not looked at."""


def survey(domain: str, policy: Policy, ask: Ask) -> Survey:
    """Go through a domain's policy."""
    found = Survey()
    _go_through(found, policy, (domain,), ask, passing=True)
    return found


def _go_through(found: Survey, policy: Policy, domains: tuple[str, ...], ask: Ask, *, passing: bool) -> None:
    """Add a policy to what is found. `domains` are those whose policies lead to it, its own last."""
    for term in policy.terms:
        if found.trouble or found.lookups > _COUNTED:
            return
        passes = passing and term.result is Result.PASS
        if term.mechanism.asks:
            found.lookups += 1
            found.has_macros |= term.has_macros or term.mechanism is Mechanism.PTR
        if term.mechanism is Mechanism.ALL or (term.network is not None and not term.network.prefixlen):
            found.passes_all |= passes
        elif term.mechanism is Mechanism.INCLUDE:
            _go_into(found, term.target, domains, ask, passing=passes)
        elif term.mechanism.asks and not term.has_macros:
            _count_void(found, term, term.target or domains[-1], ask)
    if policy.redirect and not found.trouble:
        found.lookups += 1
        found.has_macros |= "%" in policy.redirect
        _go_into(found, policy.redirect, domains, ask, passing=passing)


def _go_into(found: Survey, domain: str, domains: tuple[str, ...], ask: Ask, *, passing: bool) -> None:
    if "%" in domain:
        return
    if passing:
        found.included.add(domain)
    if domain in domains:  # goes on until the limit
        found.lookups = max(found.lookups, _COUNTED + 1)
        return
    policy = _policy(answer := ask(domain, Kind.TXT))
    found.trouble = found.trouble or answer.trouble
    if isinstance(policy, Policy):
        _go_through(found, policy, (*domains, domain), ask, passing=passing)
    elif not answer.trouble:
        found.fault = found.fault or Why.INCLUDE_UNREADABLE


def _count_void(found: Survey, term: Term, target: str, ask: Ask) -> None:
    """Count a term that finds nothing, whichever kind of address it is asked about."""
    kinds = {Mechanism.A: (Kind.A, Kind.AAAA), Mechanism.MX: (Kind.MX,), Mechanism.EXISTS: (Kind.A,)}
    answer = Answer(("",))
    for kind in kinds.get(term.mechanism, ()):
        answer = ask(target, kind)
        if answer.trouble or answer.values:
            break
    found.trouble = answer.trouble
    found.voids += not (answer.values or answer.trouble)


def _policy(answer: Answer) -> Policy | Result:
    """Return the policy among a name's texts, or what a receiver answers without one (RFC 7208, 4.4 to 4.6)."""
    if answer.trouble:
        return Result.TEMPERROR
    texts = published(answer.values)
    if len(texts) != 1:
        return Result.PERMERROR if texts else Result.NONE
    try:
        return parse(texts[0])
    except Malformed:
        return Result.PERMERROR


def check_host(address: str, domain: str, ask: Ask) -> Result:
    """Return what a receiver makes of a letter from a server at this IP address, in the name of this domain."""
    found = ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return _Evaluation(mapped or found, ask).of(domain)


class _Over(Exception):
    """The whole evaluation is over, with this result."""

    def __init__(self, result: Result) -> None:
        self.result = result


class _Evaluation:
    """RFC 7208's check_host() for one address; its limits are those of all policies together."""

    def __init__(self, address: Address, ask: Ask) -> None:
        self._address, self._ask = address, ask
        self._lookups = self._voids = 0

    def of(self, domain: str) -> Result:
        """Return the result for a domain."""
        try:
            return self._of(domain)
        except _Over as over:
            return over.result

    def _of(self, domain: str) -> Result:
        policy = _policy(self._ask(domain, Kind.TXT))
        return self._go_on(policy, policy.terms, domain) if isinstance(policy, Policy) else policy

    def _go_on(self, policy: Policy, terms: tuple[Term, ...], domain: str) -> Result:
        """Return the result of the terms that are left, and of where they redirect to."""
        for place, term in enumerate(terms):
            matches = self._matches(term, domain)
            if matches:
                return term.result
            if matches is None:  # either it matches, or what follows counts
                rest = self._go_on(policy, terms[place + 1 :], domain)
                return rest if rest is term.result else Result.UNKNOWN
        if not policy.redirect:
            return Result.NEUTRAL
        self._count_lookup()
        if "%" in policy.redirect:
            return Result.UNKNOWN
        result = self._of(policy.redirect)
        return Result.PERMERROR if result is Result.NONE else result

    def _matches(self, term: Term, domain: str) -> bool | None:
        """Say whether a term tells of the address; None where only a receiver can say. Raises _Over."""
        if term.mechanism.asks:
            self._count_lookup()
        if term.has_macros:
            return None
        target = term.target or domain
        match term.mechanism:
            case Mechanism.ALL:
                return True
            case Mechanism.IP4 | Mechanism.IP6:
                return term.network is not None and self._address in term.network
            case Mechanism.INCLUDE:
                return self._includes(target)
            case Mechanism.A:
                return self._is_of(target, term)
            case Mechanism.MX:
                servers = self._values(target, Kind.MX)
                if len(servers) > MOST_SERVERS:
                    raise _Over(Result.PERMERROR)
                hosts = [server.partition(" ")[2] for server in servers]
                return any(self._is_of(host, term, counts=False) for host in hosts if host != ".")
            case Mechanism.EXISTS:
                return bool(self._values(target, Kind.A))
            case Mechanism.PTR:
                return None

    def _includes(self, domain: str) -> bool | None:
        match self._of(domain):
            case Result.PASS:
                return True
            case Result.UNKNOWN:
                return None
            case Result.TEMPERROR:
                raise _Over(Result.TEMPERROR)
            case Result.PERMERROR | Result.NONE:
                raise _Over(Result.PERMERROR)
            case _:
                return False

    def _is_of(self, host: str, term: Term, *, counts: bool = True) -> bool:
        """Say whether a host has the address, or one that begins alike."""
        kind, prefix = (Kind.A, term.prefixes[0]) if self._address.version == 4 else (Kind.AAAA, term.prefixes[1])
        found = self._values(host, kind, counts=counts)
        return any(self._address in ip_network(f"{each}/{prefix}", strict=False) for each in found)

    def _values(self, name: str, kind: Kind, *, counts: bool = True) -> tuple[str, ...]:
        answer = self._ask(name, kind)
        if answer.trouble:
            raise _Over(Result.TEMPERROR)
        if counts and not answer.values:
            self._voids += 1
            if self._voids > MOST_VOIDS:
                raise _Over(Result.PERMERROR)
        return answer.values

    def _count_lookup(self) -> None:
        self._lookups += 1
        if self._lookups > MOST_LOOKUPS:
            raise _Over(Result.PERMERROR)
