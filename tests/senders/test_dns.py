"""What the DNS says, what it certainly does not have, and when it could not be asked."""

import socket
import time

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.scripted_servers.dns import DnsServer, How
from tests.senders.conftest import HASTY, PATIENT
from tests.timing import in_time
from vestnik.senders import dns
from vestnik.senders.answers import Answer, Ask, Kind, Question, Trouble

SILENT = Answer(trouble=Trouble.UNREACHABLE)
BROKEN = Answer(trouble=Trouble.BROKEN)
NOTHING = Answer()


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("TXT", ["v=spf1 -all"], ("v=spf1 -all",)),
        ("TXT", ["b", "a"], ("a", "b")),
        ("TXT", ["x" * 600], ("x" * 600,)),
        ("TXT", [b"caf\xe9 \xff"], ("caf\\xe9 \\xff",)),
        ("TXT", ["привет"], ("привет",)),
        ("TXT", ["zero\u200bwidth \x00 tab\t"], ("zero\\u200bwidth \\x00 tab\t",)),
        ("TXT", [""], ("",)),
        ("MX", ["20 B.example.org.", "5 a.Example.ORG."], ("5 a.example.org", "20 b.example.org")),
        ("MX", ["0 ."], ("0 .",)),
        ("CNAME", ["Target.Example.NET."], ("target.example.net",)),
        ("A", ["192.0.2.1"], ("192.0.2.1",)),
        ("AAAA", ["2001:DB8:0:0::1"], ("2001:db8::1",)),
        ("PTR", ["Mail.example.org."], ("mail.example.org",)),
    ],
)
def test_values_are_given_in_one_form(server: DnsServer, ask: Ask, kind: str, written: list, read: tuple) -> None:
    server.know({"example.org": {kind: written}})
    assert ask("Example.org.", Kind(kind)) == Answer(read)


def test_strings_of_a_text_are_joined_without_blanks(server: DnsServer, ask: Ask) -> None:
    long = "v=DKIM1; p=" + "A" * 400
    server.know({"k._domainkey.example.org": {"TXT": [long]}})
    assert ask("k._domainkey.example.org", Kind.TXT).values == (long,)


def test_what_is_certainly_not_there_is_no_trouble(server: DnsServer, ask: Ask) -> None:
    server.know({"a.b.example.org": {"TXT": ["x"]}, "alias.example.org": {"CNAME": ["gone.example.org."]}})
    assert ask("nobody.example.org", Kind.TXT) == NOTHING
    assert ask("b.example.org", Kind.TXT) == NOTHING
    assert ask("a.b.example.org", Kind.MX) == NOTHING
    assert ask("alias.example.org", Kind.TXT) == NOTHING


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (How.SILENT, SILENT),
        (How.SERVFAIL, SILENT),
        (How.REFUSED, SILENT),
        (How.WRONG_ID, SILENT),
        (How.REFERRAL, SILENT),
        (How.CLOSES_TCP, SILENT),
        (How.SILENT_TCP, SILENT),
        (How.ANOTHER_QUESTION, BROKEN),
        (How.ANOTHER_NAME, BROKEN),
        (How.NO_ANSWER_AT_ALL, BROKEN),
        (How.GARBAGE, BROKEN),
        (How.CUT, BROKEN),
        (How.ALIAS_LOOP, BROKEN),
        (How.TWO_ALIASES, BROKEN),
        (How.ENDLESS_ALIASES, BROKEN),
    ],
)
@pytest.mark.parametrize("zone", [{}, {"example.org": {"TXT": ["v=spf1 -all"]}}])
def test_a_bad_server_never_says_that_something_is_gone(server: DnsServer, how: How, said: Answer, zone: dict) -> None:
    if how in (How.ANOTHER_NAME, How.CUT) and not zone:
        zone = {"example.org": {"TXT": ["x" * 100]}}
    server.know(zone)
    server.misbehave("example.org", how)
    started = time.monotonic()
    patience = HASTY if said == SILENT else PATIENT
    assert dns.ask("example.org", Kind.TXT, servers=[server.address], patience=patience) == said
    in_time(time.monotonic() - started, HASTY.name + 0.5)


@pytest.mark.parametrize(
    "how", [How.SILENT_ONCE, How.SERVFAIL_ONCE, How.NOT_FOR_EDNS, How.TRUNCATED, How.WRONG_ID_FIRST]
)
def test_what_a_second_try_helps_is_tried_a_second_time(server: DnsServer, how: How) -> None:
    server.know({"example.org": {"TXT": ["v=spf1 -all"]}})
    server.misbehave("example.org", how)
    patience = dns.Patience(query=1.0 if how is How.SILENT_ONCE else 20.0, name=30)
    assert dns.ask("example.org", Kind.TXT, servers=[server.address], patience=patience).values == ("v=spf1 -all",)


def test_the_next_server_is_asked_where_one_does_not_answer(server: DnsServer) -> None:
    server.know({"example.org": {"TXT": ["v=spf1 -all"]}})
    with DnsServer({}) as bad:
        bad.misbehave("example.org", How.REFUSED)
        servers = [nobody(), bad.address, server.address]
        assert dns.ask("example.org", Kind.TXT, servers=servers, patience=PATIENT).values == ("v=spf1 -all",)
        assert dns.ask("nobody.example.org", Kind.TXT, servers=[bad.address], patience=PATIENT) == NOTHING


def test_nobody_is_waited_for_where_nobody_listens() -> None:
    started = time.monotonic()
    assert dns.ask("example.org", Kind.TXT, servers=[nobody()], patience=PATIENT) == SILENT
    in_time(time.monotonic() - started, 2)
    assert dns.ask("example.org", Kind.TXT, servers=[]) == SILENT


def nobody() -> tuple[str, int]:
    """An address at which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


def test_long_answers_come_by_tcp(server: DnsServer, ask: Ask) -> None:
    server.know({"example.org": {"TXT": [f"{number:03} {'x' * 3000}" for number in range(15)]}})
    assert len(ask("example.org", Kind.TXT).values) == 15
    assert [transport for *_question, transport in server.asked] == ["udp", "tcp"]


@pytest.mark.parametrize(
    "texts", [["x" * 60_000], ["x" * (dns.MOST_CHARACTERS + 1)], [str(number) for number in range(dns.MOST_VALUES + 1)]]
)
def test_more_than_anybody_needs_is_broken(server: DnsServer, ask: Ask, texts: list[str]) -> None:
    server.know({"example.org": {"TXT": texts}})
    assert ask("example.org", Kind.TXT) == BROKEN


def test_the_most_that_is_taken_is_taken(server: DnsServer, ask: Ask) -> None:
    server.know({"a.test": {"TXT": ["x" * dns.MOST_CHARACTERS]}})
    assert len(ask("a.test", Kind.TXT).values[0]) == dns.MOST_CHARACTERS
    server.know({"a.test": {"TXT": [str(number) for number in range(dns.MOST_VALUES)]}})
    assert len(ask("a.test", Kind.TXT).values) == dns.MOST_VALUES


def test_aliases_are_followed_as_far_as_anybody_needs(server: DnsServer, ask: Ask) -> None:
    chain = {f"{number}.test": {"CNAME": [f"{number + 1}.test."]} for number in range(1, dns.MOST_ALIASES + 1)}
    server.know({**chain, f"{dns.MOST_ALIASES + 1}.test": {"TXT": ["end"]}})
    assert ask("1.test", Kind.TXT).values == ("end",)
    assert ask("1.test", Kind.CNAME).values == ("2.test",)
    server.know({**chain, "0.test": {"CNAME": ["1.test."]}, f"{dns.MOST_ALIASES + 1}.test": {"TXT": ["end"]}})
    assert ask("0.test", Kind.TXT) == BROKEN


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64 + ".org", "пример.рф", ("x" * 60 + ".") * 5, "a\\999.org"])
def test_what_is_no_name_is_not_asked_for(server: DnsServer, ask: Ask, name: str) -> None:
    assert ask(name, Kind.TXT) == BROKEN
    assert not server.asked


ANSWER = (
    b"\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00\x07example\x03org\x00\x00\x10\x00\x01"
    b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01a\xc0\x0c\xc0\x29\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x04\x03abc"
)
"""Behind its id: example.org is an alias of a.example.org, which has a text."""


def changed(places: list[tuple[int, int]]) -> bytes:
    octets = bytearray(ANSWER)
    for place, value in places:
        octets[place % len(octets)] = value
    return bytes(octets)


def test_that_answer_is_right() -> None:
    assert answered([ANSWER], ours=True) == Answer(("abc",))


def test_records_of_another_class_or_type_are_no_answer() -> None:
    """Of CHAOS there are no addresses, and of these 16 octets nothing is known."""
    head = b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00\x00\x1c\x00\x01\xc0\x0c"
    address = b"\x00\x00\x00\x3c\x00\x10" + bytes(15) + b"\x01"
    assert answered([head + b"\x00\x1c\x00\x01" + address], ours=True, kind=Kind.AAAA) == Answer(("::1",))
    assert answered([head + b"\x00\x1c\x00\x03" + address], ours=True, kind=Kind.AAAA) == BROKEN
    assert answered([head + b"\xff\x1c\x00\x01" + address], ours=True, kind=Kind.AAAA) == BROKEN


NOT_LONG = dns.Patience(0.05, 1, 0.2)


def answered(pieces: list[bytes], *, ours: bool, kind: Kind = Kind.TXT, patience: dns.Patience = PATIENT) -> Answer:
    with Bytes({}) as server:
        server.pieces, server.ours = pieces, ours
        return dns.ask("example.org", kind, servers=[server.address], patience=patience)


class Bytes(DnsServer):
    """Answers with bytes, behind the right id or not."""

    pieces: list[bytes]
    ours: bool

    def answers(self, wire: bytes, transport: str) -> list[bytes]:
        return [wire[:2] * self.ours + piece for piece in self.pieces]


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=3), st.booleans())
@example([b""], True)
@example([ANSWER[:-4]], True)
def test_of_bytes_that_are_no_answer_nothing_follows(pieces: list[bytes], ours: bool) -> None:
    assert answered(pieces, ours=ours, patience=NOT_LONG) in (SILENT, BROKEN)


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4))
def test_an_answer_with_any_bytes_changed_is_an_answer_or_trouble(places: list[tuple[int, int]]) -> None:
    answer = answered([changed(places)], ours=True, patience=NOT_LONG)
    assert not (answer.values and answer.trouble)


def test_questions_are_asked_side_by_side(server: DnsServer) -> None:
    names = [f"{number}.test" for number in range(40)]
    server.know({name: {"TXT": [name]} for name in names})
    questions = [Question(name, Kind.TXT) for name in [*names, *names]]
    answers = dns.ask_all(questions, servers=[server.address], patience=PATIENT)
    assert answers == {Question(name, Kind.TXT): Answer((name,)) for name in names}
    assert len(server.asked) == len(names)
    assert dns.ask_all([], servers=[server.address]) == {}


def test_all_together_are_over_in_their_time(server: DnsServer) -> None:
    names = [f"{number}.test" for number in range(60)]
    for name in names[1:]:
        server.misbehave(name, How.SILENT)
    server.know({names[0]: {"TXT": ["x"]}})
    started = time.monotonic()
    answers = dns.ask_all([Question(name, Kind.TXT) for name in names], servers=[server.address], patience=HASTY)
    in_time(time.monotonic() - started, HASTY.together + 0.5)
    assert answers.pop(Question(names[0], Kind.TXT)) == Answer(("x",))
    assert set(answers.values()) == {SILENT}


def test_a_check_asks_once_and_a_new_one_again(server: DnsServer) -> None:
    question = Question("a.test", Kind.TXT)
    check = dns.Check(servers=[server.address], patience=PATIENT)
    assert check.ask(*question) == NOTHING
    server.know({"a.test": {"TXT": ["now"]}})
    assert check.ask(*question) == NOTHING
    assert check.ask_all([question, Question("b.test", Kind.A)]) == {
        question: NOTHING,
        Question("b.test", Kind.A): NOTHING,
    }
    assert len(server.asked) == 2
    assert dns.Check(servers=[server.address], patience=PATIENT).ask(*question).values == ("now",)
    over = dns.Check(servers=[server.address], patience=dns.Patience(together=0))
    assert over.ask(*question) == SILENT
    assert len(server.asked) == 3


def test_the_servers_of_the_settings_are_asked(server: DnsServer, settings) -> None:
    server.know({"a.test": {"TXT": ["x"]}})
    settings.DNS_RESOLVER = [nobody(), server.address]
    assert dns.ask("a.test", Kind.TXT).values == ("x",)
