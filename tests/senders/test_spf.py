"""SPF's policies: read, counted, and evaluated as receivers do; beside checkdmarc, which asks a server of ours."""

from collections.abc import Iterator

import checkdmarc.spf
import checkdmarc.utils
import dns.resolver
import pytest
from checkdmarc.spf import (
    SPFError,
    SPFIncludeLoop,
    SPFRedirectLoop,
    SPFTooManyDNSLookups,
    SPFTooManyVoidDNSLookups,
    parse_spf_record,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.scripted_servers.dns import DnsServer
from tests.senders.conftest import known
from vestnik.senders import spf
from vestnik.senders.answers import Kind, Trouble
from vestnik.senders.findings import Why
from vestnik.senders.spf import Malformed, Mechanism, Policy, Result, Term
from vestnik.senders.spf_check import MOST_LOOKUPS, MOST_VOIDS, check_host, survey


@pytest.fixture(scope="module")
def resolver() -> Iterator[tuple[DnsServer, dns.resolver.Resolver]]:
    with DnsServer({}) as server:
        asking = dns.resolver.Resolver(configure=False)
        asking.nameservers, asking.port = [server.host], server.port
        yield server, asking


# What the grammar says


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("v=spf1", ()),
        ("V=SPF1  -ALL ", (Term(Mechanism.ALL, Result.FAIL),)),
        ("v=spf1 a:Mail.Example.ORG./24//64", (Term(Mechanism.A, target="mail.example.org", prefixes=(24, 64)),)),
        ("v=spf1 ?mx//48", (Term(Mechanism.MX, Result.NEUTRAL, prefixes=(32, 48)),)),
        ("v=spf1 ptr", (Term(Mechanism.PTR),)),
        ("v=spf1 ~include:_spf.example.org", (Term(Mechanism.INCLUDE, Result.SOFTFAIL, "_spf.example.org"),)),
        ("v=spf1 exists:%{ir}.%{v}._spf.%{d2}", (Term(Mechanism.EXISTS, target="%{ir}.%{v}._spf.%{d2}"),)),
        ("v=spf1 x-Unknown=%{c}%%. a=b -all include:late.test", (Term(Mechanism.ALL, Result.FAIL),)),
    ],
)
def test_terms_are_read_as_they_are_written(text: str, terms: tuple[Term, ...]) -> None:
    assert spf.parse(text) == Policy(terms)


def test_networks_are_read() -> None:
    networks = [
        str(term.network) for term in spf.parse("v=spf1 ip4:192.0.2.77/24 ip6:2001:DB8::/32 ip4:192.0.2.1").terms
    ]
    assert networks == ["192.0.2.0/24", "2001:db8::/32", "192.0.2.1/32"]


def test_a_redirect_counts_only_without_an_all() -> None:
    assert spf.parse("v=spf1 redirect=Other.test exp=%{i}.why.test").redirect == "other.test"
    assert spf.parse("v=spf1 redirect=other.test -all").redirect == ""


MALFORMED = (
    *("all", "+all:x.test", "-all/24"),
    *("include", "include:", "include:test/24", "include:a.test/32", "include:.", "include:a.123", "include:%{c}.test"),
    *("ip4", "ip4:", "ip4:192.0.2", "ip4:192.0.2.256", "ip4:192.0.2.0/33", "ip4:192.0.2.0/08", "ip4:2001:db8::1"),
    *("ip4:192.0.2.0//24", "ip4:192.0.2.0/255.255.255.0"),
    *("ip6:192.0.2.1", "ip6:2001:db8::/129", "ip6:2001:db8::1::2", "ip6:fe80::1%eth0"),
    *(
        "a:",
        "a/33",
        "a//129",
        "a/024",
        "a:x.test/",
        "mx/64/64",
        "ptr/24",
        "exists",
        "exists:%{x}.test",
        "exists:%d.test",
    ),
    *("redirect=", "redirect=a.test redirect=b.test", "exp=a.test exp=b.test", "-redirect=a.test", "redirect=%"),
    *("~", "аll", "include;a.test", "a,mx", "ipv4:192.0.2.1", "\tall", "x=é"),
)


@pytest.mark.parametrize("text", ["", "v=spf10 -all", "v=spf1;-all", " v=spf1", "spf1 -all", *MALFORMED[:1]])
def test_what_does_not_begin_like_one_is_no_policy(text: str) -> None:
    assert not spf.published([text])
    with pytest.raises(Malformed):
        spf.parse(text)


@pytest.mark.parametrize("terms", MALFORMED[1:])
def test_a_wrong_term_anywhere_is_none(terms: str) -> None:
    with pytest.raises(Malformed):
        spf.parse(f"v=spf1 {terms}")
    with pytest.raises(Malformed):  # RFC 7208, 4.6: anywhere, so also where evaluation would not get to
        spf.parse(f"v=spf1 -all {terms}")


LENIENT = {"include:.", "include:a.123", "\tall", "аll", "x=é", "exp=a.test exp=b.test", "include:test/24"}
"""What checkdmarc takes: a domain without a last label that can be one (it warns, for RFC 7208 leaves open in 4.8 what
becomes of it, and has it malformed in 12), blanks of other kinds, values of modifiers that it does not know. For two
`exp` it would ask others' servers.
"""


@pytest.mark.parametrize("terms", [terms for terms in MALFORMED[1:] if terms not in LENIENT])
def test_checkdmarc_takes_it_for_wrong_too(resolver: tuple[DnsServer, dns.resolver.Resolver], terms: str) -> None:
    with pytest.raises(SPFError):
        parse_spf_record(f"v=spf1 {terms}", "d0.test", resolver=resolver[1])


@given(st.text(alphabet='v=spf1 +-~?alincudemxptr46:/.%{}_0123459=\té"', max_size=60))
def test_any_text_is_a_policy_or_malformed(text: str) -> None:
    for each in (text, f"v=spf1 {text}"):
        try:
            spf.parse(each)
        except Malformed:
            continue


# How many lookups there are

HOSTS: dict[str, dict[str, list[str]]] = {
    "host.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "MX": ["10 host.test", "20 six.test"]},
    "six.test": {"AAAA": ["2001:db8::6"]},
    "d0.test": {"A": ["192.0.2.10"]},
    "d1.test": {"MX": ["10 host.test"]},
    "texts.test": {"TXT": ["no policy"]},
    "twice.test": {"TXT": ["v=spf1 -all", "v=spf1 ~all"]},
    "wrong.test": {"TXT": ["v=spf1 nonsense"]},
}
DOMAINS = [f"d{number}.test" for number in range(4)]

NAMES = st.sampled_from(["host.test", "six.test", "gone.test", *DOMAINS])
INCLUDED = st.sampled_from([*DOMAINS, *DOMAINS, "gone.test", "texts.test", "twice.test", "wrong.test"])
TERMS = st.one_of(
    st.sampled_from(["ip4:192.0.2.0/28", "ip6:2001:db8::/64", "ptr:host.test", "a", "mx", "exists:%{i}.test", "x=y"]),
    st.builds("{}:{}{}".format, st.sampled_from(["a", "mx"]), NAMES, st.sampled_from(["", "", "/24", "//64"])),
    st.builds("include:{}".format, INCLUDED),
)
QUALIFIED = st.builds(
    lambda sign, term: term if "=" in term else f"{sign}{term}", st.sampled_from(["", "", "-", "~", "?"]), TERMS
)
POLICIES = st.builds(
    lambda terms, end: " ".join(["v=spf1", *terms, *end]),
    st.lists(QUALIFIED, max_size=4),
    st.one_of(
        st.sampled_from([[], ["-all"], ["~all"], ["+all"]]), st.builds(lambda name: [f"redirect={name}"], INCLUDED)
    ),
)


def zones_of(policies: list[str]) -> dict[str, dict[str, list[str]]]:
    return HOSTS | {name: HOSTS.get(name, {}) | {"TXT": [text]} for name, text in zip(DOMAINS, policies, strict=True)}


@pytest.mark.parametrize(
    ("policies", "lookups", "voids"),
    [
        (["v=spf1 include:d1.test a mx:host.test -all", "v=spf1 include:d2.test ~all", "v=spf1 a", "v=spf1"], 5, 1),
        (["v=spf1 include:d1.test include:d1.test", "v=spf1 exists:host.test ptr:host.test", "v=spf1", "v=spf1"], 6, 0),
        (
            ["v=spf1 redirect=d1.test", "v=spf1 a:gone.test mx:gone.test -all redirect=d2.test", "v=spf1", "v=spf1"],
            3,
            2,
        ),
        (["v=spf1 ip4:192.0.2.1 ~all", "v=spf1", "v=spf1", "v=spf1"], 0, 0),
    ],
)
def test_lookups_are_counted(
    resolver: tuple[DnsServer, dns.resolver.Resolver], policies: list[str], lookups: int, voids: int
) -> None:
    zones = zones_of(policies)
    found = survey("d0.test", spf.parse(policies[0]), known(zones))
    assert (found.lookups, found.voids, found.fault) == (lookups, voids, None)
    server, asking = resolver
    server.know(zones)
    checkdmarc.utils.DNS_CACHE.clear()
    theirs = parse_spf_record(policies[0], "d0.test", resolver=asking)
    assert (theirs["dns_lookups"], theirs["void_dns_lookups"]) == (lookups, voids)


@settings(max_examples=150, deadline=None)
@given(policies=st.lists(POLICIES, min_size=4, max_size=4))
def test_lookups_are_counted_as_checkdmarc_does(
    resolver: tuple[DnsServer, dns.resolver.Resolver], policies: list[str]
) -> None:
    """It stops at the first fault, in the order of the terms, and we go on: what it found is among what we found."""
    zones = zones_of(policies)
    found = survey("d0.test", spf.parse(policies[0]), known(zones))
    assert found.trouble is None
    server, asking = resolver
    server.know(zones)
    checkdmarc.utils.DNS_CACHE.clear()
    try:
        theirs = parse_spf_record(policies[0], "d0.test", resolver=asking)
    except (SPFTooManyDNSLookups, SPFIncludeLoop, SPFRedirectLoop):
        assert found.lookups > MOST_LOOKUPS
    except SPFTooManyVoidDNSLookups:
        # an include of nothing is void for it, and for us a fault; and we stop asking where there are very many
        assert found.voids > MOST_VOIDS or found.fault or found.lookups > MOST_LOOKUPS
    except SPFError:
        assert found.fault is Why.INCLUDE_UNREADABLE or found.lookups > MOST_LOOKUPS
    else:
        assert (found.lookups, found.voids) == (theirs["dns_lookups"], theirs["void_dns_lookups"])
        assert found.fault is None


@settings(max_examples=200, deadline=None)
@example(
    ["v=spf1 include:d1.test ptr:host.test", "v=spf1 -ip4:192.0.2.0/28 redirect=d0.test", "v=spf1", "v=spf1"],
    "192.0.2.1",
)
@given(policies=st.lists(POLICIES, min_size=4, max_size=4), address=st.sampled_from(["192.0.2.1", "198.51.100.9"]))
def test_what_a_policy_says_altogether_explains_what_a_server_is_told(policies: list[str], address: str) -> None:
    """Each host has an address of IPv4 here: one with others only is void for this server, and not altogether."""
    ask = known(zones_of(policies) | {"six.test": {"A": ["192.0.2.6"]}})
    found = survey("d0.test", spf.parse(policies[0]), ask)
    result = check_host(address, "d0.test", ask)
    assert result not in (Result.TEMPERROR, Result.NONE)
    if result is Result.PERMERROR:
        assert found.fault or found.lookups > MOST_LOOKUPS or found.voids > MOST_VOIDS
    if result is Result.UNKNOWN:  # where there are very many lookups, not all is looked at
        assert found.has_macros or found.lookups > MOST_LOOKUPS


def test_a_circle_and_a_row_without_end_are_too_many() -> None:
    circle = known({"a.test": {"TXT": ["v=spf1 include:b.test"]}, "b.test": {"TXT": ["v=spf1 include:a.test"]}})
    assert survey("a.test", spf.parse("v=spf1 include:b.test"), circle).lookups > MOST_LOOKUPS
    asked = []

    def endless(name: str, kind: Kind):
        asked.append(name)
        return known({name: {"TXT": [f"v=spf1 include:x{name} include:y{name}"]}})(name, kind)

    assert survey("a.test", spf.parse("v=spf1 include:b.test"), endless).lookups > MOST_LOOKUPS
    assert len(asked) < 40


def test_what_could_not_be_asked_is_trouble_and_no_fault() -> None:
    ask = known({"a.test": {"TXT": ["v=spf1 -all"]}}, away=("away.test",))
    for text in ("v=spf1 include:away.test include:gone.test", "v=spf1 redirect=away.test", "v=spf1 mx:away.test"):
        found = survey("a.test", spf.parse(text), ask)
        assert (found.trouble, found.fault, found.voids) == (Trouble.UNREACHABLE, None, 0)


def test_only_what_passes_all_the_way_is_included() -> None:
    zones = {
        "a.test": {"TXT": ["v=spf1 include:deep.test -include:never.test -all"]},
        **{name: {"TXT": ["v=spf1 ip4:192.0.2.1"]} for name in ("deep.test", "never.test", "soft.test", "late.test")},
        "open.test": {"TXT": ["v=spf1 +all"]},
    }
    found = survey("d.test", spf.parse("v=spf1 include:a.test ?include:soft.test ~all include:late.test"), known(zones))
    assert found.included == {"a.test", "deep.test"}
    assert not found.passes_all
    for text in (
        "v=spf1 all",
        "v=spf1 include:open.test -all",
        "v=spf1 redirect=open.test",
        "v=spf1 ip4:0.0.0.0/0 -all",
    ):
        assert survey("d.test", spf.parse(text), known(zones)).passes_all, text
    for text in ("v=spf1 ?all", "v=spf1 -include:open.test ~all"):
        assert not survey("d.test", spf.parse(text), known(zones)).passes_all, text


# What a receiver makes of it

WORLD = {
    "mail.test": {"A": ["192.0.2.10"], "AAAA": ["2001:db8::10"]},
    "d.test": {"A": ["192.0.2.20"], "MX": ["10 mail.test", "20 ."]},
    "yes.test": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
    "many.test": {"MX": [f"10 m{number}.test" for number in range(11)]},
    "empty.test": {"MX": ["10 g1.test", "10 g2.test", "10 g3.test"]},
    "loop.test": {"TXT": ["v=spf1 include:loop.test"]},
    "none.test": {"TXT": ["something else"]},
    "two.test": {"TXT": ["v=spf1 -all", "v=spf1 ~all"]},
    "bad.test": {"TXT": ["v=spf1 bad"]},
    "macro.test": {"TXT": ["v=spf1 exists:%{i}.test -all"]},
}


@pytest.mark.parametrize(
    ("terms", "address", "result"),
    [
        ("-all", "192.0.2.1", Result.FAIL),
        ("", "192.0.2.1", Result.NEUTRAL),
        ("?all", "192.0.2.1", Result.NEUTRAL),
        ("ip4:192.0.2.0/25 ~all", "192.0.2.127", Result.PASS),
        ("ip4:192.0.2.0/25 ~all", "192.0.2.128", Result.SOFTFAIL),
        ("ip4:192.0.2.0/25 ~all", "::ffff:192.0.2.1", Result.PASS),
        ("ip4:0.0.0.0/0 -all", "2001:db8::1", Result.FAIL),
        ("ip6:2001:db8::/32 -all", "2001:db8:9::1", Result.PASS),
        ("-ip6:2001:db8::/32 +all", "2001:db8:9::1", Result.FAIL),
        ("a -all", "192.0.2.20", Result.PASS),
        ("a/24 -all", "192.0.2.99", Result.PASS),
        ("a:mail.test//64 -all", "2001:db8::99", Result.PASS),
        ("a:mail.test//64 -all", "192.0.2.11", Result.FAIL),
        ("mx -all", "192.0.2.10", Result.PASS),
        ("mx -all", "192.0.2.20", Result.FAIL),
        ("mx:many.test -all", "192.0.2.1", Result.PERMERROR),
        ("mx:empty.test -all", "192.0.2.1", Result.FAIL),
        ("exists:mail.test -all", "2001:db8::1", Result.PASS),
        ("exists:gone.test -all", "2001:db8::1", Result.FAIL),
        ("include:yes.test ~all", "192.0.2.1", Result.PASS),
        ("include:yes.test ~all", "198.51.100.1", Result.SOFTFAIL),
        ("~include:yes.test -all", "192.0.2.1", Result.SOFTFAIL),
        ("include:none.test -all", "192.0.2.1", Result.PERMERROR),
        ("include:gone.test -all", "192.0.2.1", Result.PERMERROR),
        ("include:two.test -all", "192.0.2.1", Result.PERMERROR),
        ("include:bad.test -all", "192.0.2.1", Result.PERMERROR),
        ("include:loop.test -all", "192.0.2.1", Result.PERMERROR),
        ("include:away.test -all", "192.0.2.1", Result.TEMPERROR),
        ("a:away.test -all", "192.0.2.1", Result.TEMPERROR),
        ("ip4:192.0.2.1 a:away.test -all", "192.0.2.1", Result.PASS),
        ("redirect=yes.test", "192.0.2.1", Result.PASS),
        ("redirect=yes.test", "198.51.100.1", Result.FAIL),
        ("redirect=none.test", "198.51.100.1", Result.PERMERROR),
        ("redirect=%{d}.test", "198.51.100.1", Result.UNKNOWN),
        ("a:g1.test a:g2.test -all", "192.0.2.1", Result.FAIL),
        ("a:g1.test a:g2.test a:g3.test -all", "192.0.2.1", Result.PERMERROR),
        ("include:macro.test -all", "192.0.2.1", Result.UNKNOWN),
        ("ptr ip4:192.0.2.1 -all", "192.0.2.1", Result.PASS),
        ("-ptr ip4:192.0.2.1 -all", "192.0.2.1", Result.UNKNOWN),
        ("-exists:%{i}.test -all", "192.0.2.1", Result.FAIL),
        ("exists:%{i}.test -all", "192.0.2.1", Result.UNKNOWN),
        (" ".join(["exists:mail.gone.test"] * 2 + ["a:mail.test"] * 9), "198.51.100.1", Result.PERMERROR),
        (" ".join(["a:mail.test"] * 10) + " -all", "198.51.100.1", Result.FAIL),
        ("bad", "192.0.2.1", Result.PERMERROR),
    ],
)
def test_a_server_passes_as_rfc_7208_says(terms: str, address: str, result: Result) -> None:
    world = WORLD | {"d.test": WORLD["d.test"] | {"TXT": ["unrelated", f"v=spf1 {terms}".strip()]}}
    assert check_host(address, "d.test", known(world, away=("away.test",))) is result


def test_without_a_policy_or_an_answer_nothing_is_said_of_a_server() -> None:
    ask = known(WORLD, away=("away.test",))
    assert check_host("192.0.2.1", "none.test", ask) is Result.NONE
    assert check_host("192.0.2.1", "two.test", ask) is Result.PERMERROR
    assert check_host("192.0.2.1", "away.test", ask) is Result.TEMPERROR
