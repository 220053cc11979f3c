"""DMARC's policies: found and read as receivers do, beside checkdmarc; and whose names count as one."""

from collections.abc import Iterator

import checkdmarc.utils
import dns.resolver
import pytest
from checkdmarc.dmarc import DMARCError, parse_dmarc_record
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scripted_servers.dns import DnsServer
from tests.senders.conftest import known
from vestnik.senders import dmarc
from vestnik.senders.dmarc import Alignment, Found, Malformed, Policy, Wish, aligned, alignment, organisational
from vestnik.senders.findings import Why


@pytest.fixture(scope="module")
def resolver() -> Iterator[dns.resolver.Resolver]:
    """A resolver that knows what checkdmarc asks for: that reports are taken."""
    with DnsServer({"d.test": {"MX": ["10 d.test"], "A": ["192.0.2.1"]}}) as server:
        asking = dns.resolver.Resolver(configure=False)
        asking.nameservers, asking.port = [server.host], server.port
        yield asking


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("v=DMARC1; p=none", Policy()),
        ("v=DMARC1;p=reject", Policy(Wish.REJECT, Wish.REJECT)),
        ("v = DMARC1 ; P = Quarantine ; SP=none;", Policy(Wish.QUARANTINE, Wish.NONE)),
        ("v=DMARC1; p=none; adkim=s; aspf=S; pct=50", Policy(strict_dkim=True, strict_spf=True, percent=50)),
        (
            "v=DMARC1; p=none; rua=mailto:a@d.test!10m, https://d.test/x",
            Policy(reports=("mailto:a@d.test!10m", "https://d.test/x")),
        ),
        ("v=DMARC1; x=y; p=none; x=z; fo=1", Policy()),
        ("v=DMARC1; p=none; adkim=x; aspf=relaxed; pct=101", Policy(wrong=("adkim", "aspf", "pct"))),
        ("v=DMARC1; p=none; rua=a@d.test", Policy(wrong=("rua",))),
        ("v=DMARC1; p=none; nonsense", Policy(wrong=("nonsense",))),
        ("v=DMARC1; p=rejected; rua=mailto:a@d.test", Policy(reports=("mailto:a@d.test",), wrong=("p", "sp"))),
        ("v=DMARC1; p=reject; sp=x; rua=mailto:a@d.test", Policy(reports=("mailto:a@d.test",), wrong=("sp",))),
    ],
)
def test_a_policy_is_read_with_what_counts_where_nothing_is_said(text: str, policy: Policy) -> None:
    assert dmarc.parse(text) == policy


@pytest.mark.parametrize(
    "text",
    [
        *("", "v=DMARC1", "v=DMARC1;", "v=dmarc1; p=none", "v=DMARC2; p=none", "p=none; v=DMARC1", " v=DMARC1; p=none"),
        *("v=DMARC1 p=none", "v=DMARC1; p=", "v=DMARC1; p=on; rua=nobody", "v=DMARC1; sp=none", "v=spf1 -all"),
        *("v=DMARC1; p=none; sp=x", "v=DMARC1; p=none; p=none", "v=DMARC1; p=none; adkim=r; ADKIM=s"),
    ],
)
def test_what_receivers_do_not_take_for_a_policy_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        dmarc.parse(text)


VALUES = {
    "p": ["none", "quarantine", "reject", "REJECT", "on"],
    "sp": ["none", "reject", "no"],
    "adkim": ["r", "s", "S", "x"],
    "aspf": ["r", "s", "strict"],
    "rua": ["mailto:a@d.test", "mailto:a@d.test,mailto:b@d.test", "a@d.test"],
    "unknown": ["1"],
}
TAGS = st.one_of([st.tuples(st.just(name), st.sampled_from(values)) for name, values in VALUES.items()])


@settings(max_examples=150, deadline=None)
@given(tags=st.lists(TAGS, max_size=6), gap=st.sampled_from(["", " "]), end=st.sampled_from(["", ";"]))
def test_checkdmarc_reads_the_same(resolver: dns.resolver.Resolver, tags: list, gap: str, end: str) -> None:
    """Its version 6 knows RFC 9989, which takes a text without `p` for `p=none`; by RFC 7489 that wants reports."""
    text = ";".join(["v=DMARC1", *(f"{gap}{name}{gap}={gap}{value}" for name, value in tags)]) + end
    try:
        ours = dmarc.parse(text)
    except Malformed:
        ours = None
    checkdmarc.utils.DNS_CACHE.clear()
    try:
        theirs = parse_dmarc_record(text, "d.test", resolver=resolver)["tags"]
    except DMARCError:
        assert ours is None or ours.wrong
        return
    if "p" not in dict(tags):
        assert ours is None or ours.wish is Wish.NONE
        return
    assert ours is not None
    said = {name: str(theirs[name]["value"]) for name in ("p", "sp", "adkim", "aspf")}
    assert said == {
        "p": ours.wish,
        "sp": ours.subdomains,
        "adkim": "s" if ours.strict_dkim else "r",
        "aspf": "s" if ours.strict_spf else "r",
    }
    assert not set(ours.wrong) - {"adkim", "aspf"}  # of which both say what counts instead
    reports = theirs["rua"]["value"] if "rua" in theirs else []
    assert list(ours.reports) == [f"{report['scheme']}:{report['address']}" for report in reports]


@given(st.text(alphabet="v=DMARC1;p nosewrijctqua,:@!/\t", max_size=60))
def test_any_text_is_a_policy_or_malformed(text: str) -> None:
    for each in (text, f"v=DMARC1;{text}", f"v=DMARC1;p=none;{text}"):
        try:
            dmarc.parse(each)
        except Malformed:
            continue


NONE = "v=DMARC1; p=none"


@pytest.mark.parametrize(
    ("zones", "found"),
    [
        ({}, Found("_dmarc.news.d.co.uk")),
        ({"_dmarc.news.d.co.uk": ["x", NONE]}, Found("_dmarc.news.d.co.uk", (NONE,), Policy())),
        ({"_dmarc.d.co.uk": [NONE]}, Found("_dmarc.d.co.uk", (NONE,), Policy())),
        (
            {"_dmarc.news.d.co.uk": ["v=spf1 -all"], "_dmarc.d.co.uk": [NONE]},
            Found("_dmarc.d.co.uk", (NONE,), Policy()),
        ),
        ({"_dmarc.co.uk": [NONE]}, Found("_dmarc.news.d.co.uk")),
        (
            {"_dmarc.news.d.co.uk": [NONE, f"{NONE};"], "_dmarc.d.co.uk": [NONE]},
            Found("_dmarc.news.d.co.uk", (NONE, f"{NONE};"), None, Why.SEVERAL),
        ),
        (
            {"_dmarc.news.d.co.uk": ["v=DMARC1; p=x"], "_dmarc.d.co.uk": [NONE]},
            Found("_dmarc.news.d.co.uk", ("v=DMARC1; p=x",), None, Why.POLICY_UNREADABLE),
        ),
    ],
)
def test_a_policy_is_found_where_receivers_look(zones: dict[str, list[str]], found: Found) -> None:
    assert dmarc.find("news.d.co.uk", known({name: {"TXT": texts} for name, texts in zones.items()})) == found


def test_a_name_that_cannot_be_asked_for_is_no_name_without_a_policy() -> None:
    for away in ("_dmarc.news.d.co.uk", "_dmarc.d.co.uk"):
        assert dmarc.find("news.d.co.uk", known({}, away=(away,))) == Found(away, why=Why.UNREACHABLE)


@pytest.mark.parametrize(
    ("domain", "whose"),
    [
        ("example.org", "example.org"),
        ("a.b.example.org", "example.org"),
        ("mail.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("org", "org"),
        ("shop.alice.github.io", "alice.github.io"),
        ("a.b.unheard-of", "b.unheard-of"),
        ("mail.xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
    ],
)
def test_a_domain_belongs_to_whoever_registered_it(domain: str, whose: str) -> None:
    assert organisational(domain) == whose


def test_domains_of_one_organisation_are_aligned_unless_strictly() -> None:
    assert aligned("example.org", "Example.org.", strict=True)
    assert aligned("news.example.org", "mail.example.org")
    assert not aligned("news.example.org", "mail.example.org", strict=True)
    assert not aligned("alice.github.io", "bob.github.io")
    assert not aligned("example.org", "example.org.evil.test")
    assert not aligned("example.org", "")


@given(st.lists(st.sampled_from(["a", "b", "co", "uk", "org", "github", "io", "xn--p1ai"]), min_size=1, max_size=5))
def test_whoever_is_aligned_is_so_both_ways(labels: list[str]) -> None:
    one, another = ".".join(labels), ".".join(["x", *labels])
    assert organisational(organisational(one)) == organisational(one)
    assert aligned(one, another) == aligned(another, one) == (organisational(one) == organisational(another))


def test_one_of_signature_and_envelope_is_enough() -> None:
    strict = Policy(strict_dkim=True, strict_spf=True)
    assert alignment("news.a.test", ["esp.test", "a.test"], "bounces.esp.test") == Alignment(dkim=True, spf=False)
    assert alignment("news.a.test", ["esp.test", "a.test"], "b.news.a.test", strict) == Alignment(dkim=False, spf=False)
    assert alignment("a.test", [], "bounces.a.test") == Alignment(dkim=False, spf=True)
    assert alignment("a.test", [], "").passes is False
    assert Alignment(dkim=False, spf=True).passes
