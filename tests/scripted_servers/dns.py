"""A resolver for tests, over UDP and TCP on one port: it knows some zones, and misbehaves on order.

with DnsServer({"example.org": {"TXT": ["v=spf1 -all"], "MX": ["10 mail.example.org"]}}) as server:
    server.misbehave("example.org", How.REFUSED)
    … ask `server.address` …
"""

import socketserver
import struct
import threading
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Zones = Mapping[str, Mapping[str, Iterable[str | bytes]]]
"""By name and type the values: names and MX as in a zone file, texts as they are."""

UDP_SIZE = 512
"""Bytes that go by UDP where the client does not say that it takes more (RFC 1035, 4.2.1)."""


class How(StrEnum):
    """Ways to misbehave."""

    SILENT = "no answer"
    SILENT_ONCE = "no answer to the first question"
    SERVFAIL = "SERVFAIL"
    SERVFAIL_ONCE = "SERVFAIL to the first question"
    REFUSED = "REFUSED"
    NOT_FOR_EDNS = "FORMERR to whoever speaks EDNS"
    WRONG_ID = "an answer with another id"
    WRONG_ID_FIRST = "an answer with another id, and then the right one"
    ANOTHER_QUESTION = "an answer to a question about another name"
    ANOTHER_NAME = "the question, and records of another name"
    NO_ANSWER_AT_ALL = "the question sent back"
    GARBAGE = "the right id, and then nonsense"
    CUT = "the datagram's second half is missing"
    TRUNCATED = "truncated; all of it by TCP"
    CLOSES_TCP = "truncated, and TCP closes in the middle"
    SILENT_TCP = "truncated, and no answer by TCP"
    ALIAS_LOOP = "two CNAMEs that lead to each other"
    ENDLESS_ALIASES = "CNAME after CNAME"
    TWO_ALIASES = "two CNAMEs of one name"
    REFERRAL = "no resolver: refers to others"
    EMPTY = "nothing at all, and no SOA"


class DnsServer:
    """The server in threads of its own. What is no name of its zones does not exist."""

    def __init__(self, zones: Zones, host: str = "127.0.0.1") -> None:
        self.asked: list[tuple[str, str, str]] = []
        """Name, type and transport of each question."""
        self.host = host
        self.over = threading.Event()
        self._ways: dict[str, How] = {}
        self._zones: dict[dns.name.Name, dict[str, list[Any]]] = {}
        self.know(zones)

    def know(self, zones: Zones) -> None:
        """Have these names instead of those that there were."""
        self._zones = {
            dns.name.from_text(name): {
                kind: [_rdata(kind, value) for value in values] for kind, values in kinds.items()
            }
            for name, kinds in zones.items()
        }

    def misbehave(self, name: str, how: How) -> None:
        """Do this whenever it is asked for this name."""
        self._ways[name] = how

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def __enter__(self) -> Self:
        while True:
            tcp = _Tcp((self.host, 0), _TcpHandler)
            try:
                udp = _Udp(tcp.server_address[:2], _UdpHandler)
            except OSError:  # somebody has the port by UDP
                tcp.server_close()
                continue
            break
        self.port = int(tcp.server_address[1])
        self._servers = (tcp, udp)
        for server in self._servers:
            server.ours = self  # type: ignore[attr-defined]
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def answers(self, wire: bytes, transport: str) -> list[bytes]:
        """What is sent, piece by piece."""
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        first = not any(each[:2] == (name, kind) for each in self.asked)
        self.asked.append((name, kind, transport))
        how = self._ways.get(name)
        answer = self._usual(query)
        limit = max(query.payload if query.edns >= 0 else 0, UDP_SIZE)
        usual = answer.to_wire(max_size=65535)
        truncated = _only(query, flags=dns.flags.TC)
        match how:
            case How.SILENT:
                return []
            case How.SILENT_ONCE if first:
                return []
            case How.SERVFAIL:
                return [_only(query, dns.rcode.SERVFAIL)]
            case How.SERVFAIL_ONCE if first:
                return [_only(query, dns.rcode.SERVFAIL)]
            case How.REFUSED:
                return [_only(query, dns.rcode.REFUSED)]
            case How.NOT_FOR_EDNS if query.edns >= 0:
                return [_only(query, dns.rcode.FORMERR)]
            case How.WRONG_ID:
                return [_another_id(usual)]
            case How.WRONG_ID_FIRST:
                return [_another_id(usual), usual]
            case How.ANOTHER_QUESTION:
                other = dns.message.make_query("elsewhere.example", question.rdtype, id=query.id)
                return [self._usual(other).to_wire()]
            case How.ANOTHER_NAME:
                for rrset in answer.answer:
                    rrset.name = dns.name.from_text("elsewhere.example")
                return [answer.to_wire()]
            case How.NO_ANSWER_AT_ALL:
                return [wire]
            case How.GARBAGE:
                return [wire[:2] + b"\xff" * 40]
            case How.CUT:
                return [usual[: len(usual) // 2]]
            case How.TRUNCATED:
                return [truncated if transport == "udp" else usual]
            case How.CLOSES_TCP:
                return [truncated] if transport == "udp" else [usual[: len(usual) // 2], b""]
            case How.SILENT_TCP:
                return [truncated] if transport == "udp" else []
            case How.ALIAS_LOOP:
                return [_aliases(query, [(name, f"a.{name}"), (f"a.{name}", name)])]
            case How.TWO_ALIASES:
                return [_aliases(query, [(name, f"a.{name}"), (name, f"b.{name}")])]
            case How.REFERRAL:
                answer = dns.message.make_response(query)
                answer.authority.append(dns.rrset.from_text("org.", 60, "IN", "NS", "ns.example.org."))
                return [answer.to_wire()]
            case How.EMPTY:
                return [_only(query)]
        if any(name.endswith(each) and way is How.ENDLESS_ALIASES for each, way in self._ways.items()):
            return [_aliases(query, [(name, f"{len(self.asked)}.{name[-40:].strip('.')}")])]
        return [truncated if transport == "udp" and len(usual) > limit else usual]

    def _usual(self, query: dns.message.Message) -> dns.message.Message:
        """The answer of a resolver that behaves."""
        answer = dns.message.make_response(query, recursion_available=True)
        (question,) = query.question
        name = question.name
        for _ in range(20):
            kinds = self._zones.get(name, {})
            if values := kinds.get(dns.rdatatype.to_text(question.rdtype)):
                answer.answer.append(dns.rrset.from_rdata_list(name, 60, values))
                return answer
            if not (alias := kinds.get("CNAME")):
                break
            answer.answer.append(dns.rrset.from_rdata_list(name, 60, alias))
            name = alias[0].target
        if not any(each.is_subdomain(name) for each in self._zones):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        soa = "ns.example. hostmaster.example. 1 3600 600 86400 60"
        answer.authority.append(dns.rrset.from_text(".", 60, "IN", "SOA", soa))
        return answer


def _rdata(kind: str, value: str | bytes) -> Any:
    rdtype = dns.rdatatype.from_text(kind)
    if isinstance(value, str) and kind != "TXT":
        whole = value if kind in ("A", "AAAA") or value.endswith(".") else f"{value}."
        return dns.rdata.from_text(dns.rdataclass.IN, rdtype, whole, relativize=False)
    octets = value if isinstance(value, bytes) else value.encode()
    strings = [octets[at : at + 255] for at in range(0, len(octets), 255)] or [b""]
    wire = b"".join(bytes([len(each)]) + each for each in strings)
    return dns.rdata.from_wire(dns.rdataclass.IN, rdtype, wire, 0, len(wire))


def _only(query: dns.message.Message, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, flags: int = 0) -> bytes:
    answer = dns.message.make_response(query)
    answer.set_rcode(rcode)
    answer.flags |= flags
    return answer.to_wire()


def _aliases(query: dns.message.Message, pairs: list[tuple[str, str]]) -> bytes:
    answer = dns.message.make_response(query)
    for name, target in pairs:
        answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"{target}."))
    return answer.to_wire()


def _another_id(wire: bytes) -> bytes:
    return bytes([wire[0] ^ 0xFF]) + wire[1:]


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 4096


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class _UdpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, sock = self.request
        for piece in _ours(self.server).answers(wire, "udp"):
            sock.sendto(piece, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self.rfile.read(2):
            pieces = _ours(self.server).answers(self.rfile.read(*struct.unpack("!H", head)), "tcp")
            if not pieces:
                _ours(self.server).over.wait(30)
            for piece in pieces:
                length = len(piece) * (2 if len(pieces) > 1 else 1)
                self.wfile.write(struct.pack("!H", length) + piece if piece else b"")
            if len(pieces) > 1:
                return


def _ours(server: Any) -> DnsServer:
    ours: DnsServer = server.ours
    return ours
