"""How records stand by what the DNS says."""

import dataclasses

import pytest

from tests.scripted_servers.dns import DnsServer, How
from tests.senders.conftest import HASTY, PATIENT, known
from tests.senders.test_records import KEY, OURS, THEIRS
from vestnik.senders import dns
from vestnik.senders.answers import Answer, Kind
from vestnik.senders.findings import Finding, State, Why
from vestnik.senders.judging import judge
from vestnik.senders.records import Purpose, Record, Setup, questions, wanted

LONG = "v=DKIM1; k=rsa; p=" + "ABCDEFGH" * 40
TOKEN = "vestnik-verification=t0"
HOST = {"mail.vestnik.test": {"AAAA": ["2001:db8::25"]}}
ESP = {"spf.esp.test": {"TXT": ["v=spf1 ip4:198.51.100.0/24 -all"]}}


def record_of(kind: Purpose, setup: Setup) -> Record:
    return next(record for record in wanted(setup) if record.kind is kind)


OWNERSHIP, ALIAS, DMARC = (record_of(kind, THEIRS) for kind in (Purpose.OWNERSHIP, Purpose.RETURN_PATH, Purpose.DMARC))
DKIM = record_of(Purpose.DKIM, dataclasses.replace(THEIRS, dkim=(("k1", LONG),)))
MX = record_of(Purpose.MX, OURS)
SPF = record_of(Purpose.SPF, dataclasses.replace(OURS, addresses=()))
SERVERS = record_of(Purpose.SPF, dataclasses.replace(OURS, spf_include=""))
BELOW = record_of(Purpose.OWNERSHIP, dataclasses.replace(THEIRS, domain="news.d.test"))

RIGHT, MISSING, WRONG, UNKNOWN = State.RIGHT, State.MISSING, State.WRONG, State.UNKNOWN


@pytest.mark.parametrize(
    ("record", "values", "state", "why"),
    [
        (OWNERSHIP, [TOKEN], RIGHT, None),
        (OWNERSHIP, ["v=spf1 -all", "vestnik-verification=other", f"{TOKEN} "], RIGHT, None),
        (OWNERSHIP, [], MISSING, None),
        (OWNERSHIP, ["v=spf1 -all"], MISSING, None),
        (OWNERSHIP, [f'"{TOKEN}"'], WRONG, Why.QUOTED),
        (OWNERSHIP, [f'\\"{TOKEN}\\"'], WRONG, Why.QUOTED),
        (OWNERSHIP, ["vestnik-verification=other"], WRONG, Why.ANOTHER_VALUE),
        (OWNERSHIP, ["vestnik-verification="], WRONG, Why.CUT),
        (DKIM, [LONG], RIGHT, None),
        (DKIM, [LONG.replace("; ", ";") + ";"], RIGHT, None),
        (DKIM, ["v=spf1 -all", LONG], RIGHT, None),
        (DKIM, [], MISSING, None),
        (DKIM, ["v=spf1 -all"], MISSING, None),
        (DKIM, [f'"{LONG[:250]}" "{LONG[250:]}"'], WRONG, Why.QUOTED),
        (DKIM, [LONG[:255]], WRONG, Why.CUT),
        (DKIM, [LONG[255:]], WRONG, Why.CUT),
        (DKIM, ["p="], WRONG, Why.ANOTHER_VALUE),
        (DKIM, [KEY], WRONG, Why.ANOTHER_VALUE),
        (DKIM, [LONG, KEY], WRONG, Why.SEVERAL),
        (ALIAS, ["b.vestnik.test"], RIGHT, None),
        (ALIAS, ["other.test"], WRONG, Why.ANOTHER_VALUE),
        (ALIAS, ["b.vestnik.test.d.test"], WRONG, Why.TARGET_EXTENDED),
        (MX, ["10 mail.vestnik.test"], RIGHT, None),
        (MX, ["1 mail.vestnik.test", "20 other.test"], RIGHT, None),
        (MX, ["10 mail.vestnik.test", "5 other.test"], WRONG, Why.ANOTHER_VALUE),
        (MX, ["10 mail.vestnik.test", "10 other.test"], WRONG, Why.ANOTHER_VALUE),
        (MX, ["0 ."], WRONG, Why.ANOTHER_VALUE),
        (MX, ["10 mail.vestnik.test.b.vestnik.test"], WRONG, Why.TARGET_EXTENDED),
        (MX, ["10 mail.vestnik.test.vestnik.test"], WRONG, Why.TARGET_EXTENDED),
        (MX, [], MISSING, None),
        (SPF, ["v=spf1 include:spf.esp.test ~all"], RIGHT, None),
        (SPF, ["x", "v=spf1 a mx:b.vestnik.test include:other.test -all"], RIGHT, None),
        (SPF, ["v=spf1 redirect=spf.esp.test"], RIGHT, None),
        (SPF, ["v=spf1 include:spf.esp.test a:g.test exists:g.test -all"], RIGHT, None),
        (SPF, ["v=spf1 include:spf.esp.test" + " exists:mail.test" * 9], RIGHT, None),
        (SPF, ["x"], MISSING, None),
        (SPF, ['"v=spf1 include:spf.esp.test ~all"'], WRONG, Why.QUOTED),
        (SPF, ["v=spf1 -all", "v=spf1 include:spf.esp.test -all"], WRONG, Why.SEVERAL),
        (SPF, ["v=spf1 inlude:spf.esp.test -all"], WRONG, Why.POLICY_UNREADABLE),
        (SPF, ["v=spf1 -all"], WRONG, Why.DOES_NOT_INCLUDE),
        (SPF, ["v=spf1 -all include:spf.esp.test"], WRONG, Why.DOES_NOT_INCLUDE),
        (SPF, ["v=spf1 ?include:spf.esp.test -all"], WRONG, Why.DOES_NOT_INCLUDE),
        (SPF, ["v=spf1 include:spf.esp.test +all"], WRONG, Why.ALL_PASS),
        (SPF, ["v=spf1 include:spf.esp.test include:gone.test -all"], WRONG, Why.INCLUDE_UNREADABLE),
        (SPF, ["v=spf1 include:spf.esp.test a:g.test mx:g.test exists:g.test"], WRONG, Why.TOO_MANY_VOIDS),
        (SPF, ["v=spf1 include:spf.esp.test" + " exists:mail.test" * 10], WRONG, Why.TOO_MANY_LOOKUPS),
        (SPF, ["v=spf1 include:%{d}.esp.test -all"], UNKNOWN, Why.HAS_MACROS),
        (SPF, ["v=spf1 include:away.test include:spf.esp.test -all"], UNKNOWN, Why.UNREACHABLE),
        (SERVERS, ["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"], RIGHT, None),
        (SERVERS, ["v=spf1 a:both.test -all"], RIGHT, None),
        (SERVERS, ["v=spf1 ip4:192.0.2.1 ~all"], WRONG, Why.DOES_NOT_INCLUDE),
        (SERVERS, ["v=spf1 exists:%{i}.test -all"], UNKNOWN, Why.HAS_MACROS),
        (DMARC, ["v=DMARC1; p=none"], RIGHT, None),
        (DMARC, ["x", "v=DMARC1; p=reject; adkim=s"], RIGHT, None),
        (DMARC, ["v=DMARC1; p=none", "v=DMARC1; p=reject"], WRONG, Why.SEVERAL),
        (DMARC, ["v=DMARC1; p=please"], WRONG, Why.POLICY_UNREADABLE),
        (DMARC, ["v=dmarc1; p=none"], WRONG, Why.POLICY_UNREADABLE),
        (DMARC, ['"v=DMARC1; p=none"'], WRONG, Why.QUOTED),
        (DMARC, ["v=spf1 -all"], MISSING, None),
    ],
)
def test_a_record_stands_as_what_is_published_says(record: Record, values: list, state: State, why: Why | None) -> None:
    both = {"both.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}, "mail.test": {"A": ["192.0.2.5"]}}
    other = {"other.test": {"TXT": ["v=spf1 include:spf.esp.test -all"]}}
    zones = HOST | ESP | both | other | {record.name: {record.type: values, "A": ["192.0.2.5"]}}
    if record is MX or record.kind is Purpose.SPF:
        zones[record.name]["MX"] = values if record is MX else ["10 mail.vestnik.test"]
    finding = judge(record, known(zones, away=("away.test",)))
    assert (finding.state, finding.why) == (state, why)
    assert finding.found == () if state is MISSING else set(finding.found) <= set(values)


@pytest.mark.parametrize("record", [OWNERSHIP, DKIM, ALIAS, MX, SPF, SERVERS, DMARC])
def test_what_cannot_be_asked_is_not_known(record: Record) -> None:
    assert judge(record, known({}, away=(record.name,))) == Finding(UNKNOWN, Why.UNREACHABLE)


@pytest.mark.parametrize("record", [OWNERSHIP, DKIM, ALIAS, MX, SPF, SERVERS, DMARC])
def test_a_record_as_it_is_wanted_is_right_and_none_is_missing(record: Record) -> None:
    zones = HOST | ESP | {record.name: {record.type: [record.value]}}
    assert judge(record, known(zones)) == Finding(RIGHT, None, (record.value,))
    assert judge(record, known({})) == Finding(MISSING)


@pytest.mark.parametrize("record", [OWNERSHIP, DKIM, ALIAS, MX, SPF, SERVERS, DMARC, BELOW])
def test_a_name_that_has_the_domain_twice_is_found(record: Record) -> None:
    for zone in {record.domain, ".".join(record.domain.split(".")[-2:])}:
        name = f"{record.name}.{zone}"
        zones = HOST | ESP | {name: {record.type: [record.value]}}
        assert judge(record, known(zones)) == Finding(WRONG, Why.NAME_TWICE, (record.value,))
        assert judge(record, known({}, away=(name,))) == Finding(MISSING)


def test_addresses_that_cannot_be_asked_for_are_not_known() -> None:
    zones = {SERVERS.name: {"TXT": ["v=spf1 a:half.test -all"]}, "half.test": {"A": ["192.0.2.1"]}}

    def ask(name: str, kind: Kind) -> Answer:
        return known(zones, away=("half.test",) if kind is Kind.AAAA else ())(name, kind)

    assert judge(SERVERS, ask) == Finding(UNKNOWN, Why.UNREACHABLE, ("v=spf1 a:half.test -all",))


def test_the_policy_of_the_organisation_is_enough() -> None:
    record = record_of(Purpose.DMARC, Setup("news.d.test"))
    text = "v=DMARC1; p=reject"
    assert judge(record, known({"_dmarc.d.test": {"TXT": [text]}})) == Finding(RIGHT, None, (text,))
    assert judge(record, known({}, away=("_dmarc.d.test",))) == Finding(UNKNOWN, Why.UNREACHABLE)


def test_something_else_where_an_alias_should_be_is_said() -> None:
    assert judge(ALIAS, known({ALIAS.name: {"A": ["192.0.2.1"]}})) == Finding(WRONG, Why.NO_ALIAS, ("192.0.2.1",))
    assert judge(ALIAS, known({ALIAS.name: {"MX": ["10 d.test"]}})) == Finding(WRONG, Why.NO_ALIAS, ("10 d.test",))


def test_a_server_for_mail_has_to_have_an_address() -> None:
    zones = {MX.name: {"MX": [MX.value]}}
    assert judge(MX, known(zones)) == Finding(WRONG, Why.NO_ADDRESS, (MX.value,))
    assert judge(MX, known(zones, away=("mail.vestnik.test",))) == Finding(UNKNOWN, Why.UNREACHABLE, (MX.value,))


def test_a_key_is_judged_by_whoever_knows_keys() -> None:
    asked = []

    def judge_key(text: str) -> tuple[State, Why | None]:
        asked.append(text)
        return (RIGHT, None) if text == "p=AAAA; t=s" else (WRONG, Why.POLICY_UNREADABLE)

    def found(value: str) -> Finding:
        return judge(DKIM, known({DKIM.name: {"TXT": [value]}}), judge_key)

    assert found("p=AAAA; t=s") == Finding(RIGHT, None, ("p=AAAA; t=s",))
    assert found('"p=AAAA; t=s"') == Finding(WRONG, Why.QUOTED, ('"p=AAAA; t=s"',))
    assert found("p=AAAA") == Finding(WRONG, Why.POLICY_UNREADABLE, ("p=AAAA",))
    assert asked[0] == "p=AAAA; t=s"


def test_all_records_of_a_domain_are_judged_over_the_wire(server: DnsServer) -> None:
    records = wanted(THEIRS)
    zones: dict[str, dict[str, list[str]]] = {record.name: {record.type: [record.value]} for record in records}
    del zones["k2._domainkey.d.test"]
    zones["k2._domainkey.d.test.d.test"] = {"TXT": [KEY]}
    server.know(zones)
    check = dns.Check(servers=[server.address], patience=PATIENT)
    check.ask_all(questions(records))
    states = [judge(record, check.ask).state for record in records]
    assert states == [RIGHT, RIGHT, WRONG, RIGHT, RIGHT]
    for record in records:
        server.misbehave(record.name, How.SERVFAIL)
    hasty = dns.Check(servers=[server.address], patience=HASTY)
    assert {judge(record, hasty.ask).state for record in records} == {UNKNOWN}
