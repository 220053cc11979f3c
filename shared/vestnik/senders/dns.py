"""Asks the DNS, and tells exactly what it said: values, certainly none, or that it could not be asked.

An answer without values and without trouble is one that a server gave: there is no such name, or it has no such record
(RFC 2308). A server that is away, refuses or refers to others says nothing of the kind. Nothing is kept from one call
to the next, for people change their records and ask again; a `Check` keeps answers while it lasts.
"""

import socket
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
from django.conf import settings

from vestnik.senders.answers import Answer, Kind, Question, Trouble

MOST_VALUES = 50
MOST_CHARACTERS = 4096
"""Of one value."""
MOST_ALIASES = 10
"""CNAMEs one after the other."""
_THREADS = 8
_EDNS_PAYLOAD = 1232
"""Bytes of an answer by UDP that no network has to cut up (DNS flag day 2020)."""
_BLANKS = "\t\r\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that are waited at most, and how often each server is asked."""

    query: float = 3.0
    tries: int = 2
    name: float = 10.0
    together: float = 20.0


PATIENCE = Patience()
Server = tuple[str, int]
"""IP address and port."""


class _Failed(Exception):
    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble


def ask(
    name: str,
    kind: Kind,
    *,
    servers: Sequence[Server] | None = None,
    patience: Patience = PATIENCE,
    until: float = float("inf"),
) -> Answer:
    """Return what the servers (DNS_RESOLVER's, or this machine's) say of a name; never raise.

    `until` is the time.monotonic() at which it has to be over, where that is earlier than by `patience`.
    """
    until = min(until, time.monotonic() + patience.name)
    try:
        sought = dns.name.from_text(name) if name.isascii() else dns.name.root
    except (dns.exception.DNSException, ValueError):
        sought = dns.name.root
    if sought == dns.name.root:  # what is no name has no records, but was not asked for either
        return Answer(trouble=Trouble.BROKEN)
    try:
        return Answer(_followed(sought, kind, _of_settings() if servers is None else servers, patience, until))
    except _Failed as failed:
        return Answer(trouble=failed.trouble)


def ask_all(
    questions: Iterable[Question],
    *,
    servers: Sequence[Server] | None = None,
    patience: Patience = PATIENCE,
    until: float = float("inf"),
) -> dict[Question, Answer]:
    """Return what is answered to each question, asked side by side; what comes too late is UNREACHABLE."""
    until = min(until, time.monotonic() + patience.together)
    asked = list(dict.fromkeys(questions))

    def answered(question: Question) -> Answer:
        return ask(*question, servers=servers, patience=patience, until=until)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="dns") as pool:
        return dict(zip(asked, pool.map(answered, asked), strict=True))


class Check:
    """One look at a domain: each question is asked once, and all of it is over in the time for all together."""

    def __init__(self, *, servers: Sequence[Server] | None = None, patience: Patience = PATIENCE) -> None:
        self._servers, self._patience = servers, patience
        self._until = time.monotonic() + patience.together
        self._known: dict[Question, Answer] = {}

    def ask(self, name: str, kind: Kind) -> Answer:
        """Return what is known of a name, or ask for it."""
        question = Question(name, kind)
        if question not in self._known:
            self._known[question] = ask(name, kind, servers=self._servers, patience=self._patience, until=self._until)
        return self._known[question]

    def ask_all(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """Ask what is not known yet, side by side, and return what is answered to each question."""
        asked = list(questions)
        unknown = [question for question in asked if question not in self._known]
        self._known |= ask_all(unknown, servers=self._servers, patience=self._patience, until=self._until)
        return {question: self._known[question] for question in asked}


def _of_settings() -> Sequence[Server]:
    """Return the servers to be asked: those of the settings, else of this machine; none where there are none."""
    if settings.DNS_RESOLVER:
        return [(host, port) for host, port in settings.DNS_RESOLVER]
    try:
        found = dns.resolver.Resolver(configure=True)
    except (dns.exception.DNSException, ValueError, OSError):
        return []
    return [(host, found.port) for host in found.nameservers if isinstance(host, str)]


def _followed(
    name: dns.name.Name, kind: Kind, servers: Sequence[Server], patience: Patience, until: float
) -> tuple[str, ...]:
    """Return the values of a name, or of the one that its CNAMEs end at. Raises _Failed."""
    rdtype = dns.rdatatype.from_text(kind)
    seen = {name}
    while True:
        answer = _answered(dns.message.make_query(name, rdtype), servers, patience, until)
        end = name
        while not (found := _records(answer, end, rdtype)) and (aliases := _records(answer, end, dns.rdatatype.CNAME)):
            end = aliases[0].target
            if len(aliases) > 1 or end in seen or len(seen) > MOST_ALIASES:
                raise _Failed(Trouble.BROKEN)
            seen.add(end)
        if found or end == name or answer.rcode() == dns.rcode.NXDOMAIN:
            return _texts(found)
        name = end


def _records(answer: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[Any]:
    """Return what the answer has of this name and type, each once."""
    wanted = (name, dns.rdataclass.IN, rdtype)
    matching = (each for each in answer.answer if (each.name, each.rdclass, each.rdtype) == wanted)
    return list(dict.fromkeys(rdata for rrset in matching for rdata in rrset))


def _answered(
    query: dns.message.Message, servers: Sequence[Server], patience: Patience, until: float
) -> dns.message.Message:
    """Return the first answer that says something of the name, if only that there is nothing. Raises _Failed.

    The second try goes without EDNS, which some firewalls do not let through.
    """
    trouble = Trouble.UNREACHABLE
    for attempt in range(patience.tries):
        query.use_edns(False if attempt else 0, payload=_EDNS_PAYLOAD)
        for server in servers:
            if time.monotonic() >= until:
                raise _Failed(trouble)
            try:
                return _told(query, server, min(patience.query, until - time.monotonic()), until)
            except _Failed as failed:
                trouble = failed.trouble if trouble is Trouble.UNREACHABLE else trouble
    raise _Failed(trouble)


def _told(query: dns.message.Message, server: Server, seconds: float, until: float) -> dns.message.Message:
    """Return what one server says of the name; what is too long for UDP is asked for by TCP. Raises _Failed."""
    host, port = server
    try:
        try:
            wire = _by_udp(query, server, time.monotonic() + seconds)
            answer = dns.message.from_wire(wire, one_rr_per_rrset=True, raise_on_truncation=True)
        except dns.message.Truncated:
            left = min(seconds, max(0.0, until - time.monotonic()))
            answer = dns.query.tcp(query, host, timeout=left, port=port, one_rr_per_rrset=True)
    except (OSError, EOFError, dns.exception.Timeout):
        raise _Failed(Trouble.UNREACHABLE) from None
    except (dns.exception.DNSException, ValueError):
        raise _Failed(Trouble.BROKEN) from None
    if not query.is_response(answer):
        raise _Failed(Trouble.BROKEN)
    _require_knowledge(query, answer)
    return answer


def _by_udp(query: dns.message.Message, server: Server, until: float) -> bytes:
    """Return the datagram that answers. Raises OSError, as soon as it is known that nobody listens there.

    Others' datagrams do not come through a connected socket; those with another id are of an earlier question, or
    somebody guesses.
    """
    family, _type, _protocol, _name, address = socket.getaddrinfo(
        *server, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.send(query.to_wire())
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            wire = sock.recv(0xFFFF)
            if int.from_bytes(wire[:2]) == query.id:
                return wire
    raise TimeoutError


def _require_knowledge(query: dns.message.Message, answer: dns.message.Message) -> None:
    """Raise _Failed unless the answer is about the name, or says for certain that there is nothing.

    Servers that are not resolvers refer to others: they name those, and no zone of their own (RFC 2308, 2.2).
    """
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise _Failed(Trouble.UNREACHABLE)
    (question,) = query.question
    sought = (question.rdtype, dns.rdatatype.CNAME)
    if answer.answer and not any(_records(answer, question.name, rdtype) for rdtype in sought):
        raise _Failed(Trouble.BROKEN)
    types = {rrset.rdtype for rrset in answer.authority}
    if not answer.answer and dns.rdatatype.NS in types and dns.rdatatype.SOA not in types:
        raise _Failed(Trouble.UNREACHABLE)


def _texts(found: list[Any]) -> tuple[str, ...]:
    """Return the values as texts, in order: servers for mail by their preference. Raises _Failed where there are too
    many, or one is too long.
    """
    if found and found[0].rdtype == dns.rdatatype.MX:
        found = sorted(found, key=lambda rdata: (rdata.preference, _host(rdata.exchange)))
        values = tuple(f"{rdata.preference} {_host(rdata.exchange)}" for rdata in found)
    else:
        values = tuple(sorted(map(_text, found)))
    if len(values) > MOST_VALUES or any(len(value) > MOST_CHARACTERS for value in values):
        raise _Failed(Trouble.BROKEN)
    return values


def _text(rdata: Any) -> str:
    match rdata.rdtype:
        case dns.rdatatype.TXT:
            return _printable(b"".join(rdata.strings).decode("utf-8", "backslashreplace"))
        case dns.rdatatype.A | dns.rdatatype.AAAA:
            return str(rdata.address)
        case _:
            return _host(rdata.target)


def _host(name: dns.name.Name) -> str:
    """Return a name in lower case without its last dot; "." for the root."""
    return name.to_text(omit_final_dot=True).lower()


def _printable(text: str) -> str:
    """Return the text with what cannot be seen escaped, but for blanks and line ends."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _BLANKS else char.encode("unicode_escape").decode() for char in text
    )
