"""Addresses: one normal form for each, whichever way through the module it takes."""

import re
import time
import unicodedata
from urllib.parse import quote

import pytest
from django.utils import translation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.timing import in_time
from vestnik import addresses
from vestnik.addresses import InvalidAddress, normalise

NOTHING = re.compile("(?!)")
ATOM = "abcdefghijklmnopqrstuvwxyz0123456789"


def outcome(address: str) -> str:
    try:
        return normalise(address)
    except InvalidAddress:
        return "refused"


def outcome_of_the_library(address: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "_PLAIN", NOTHING)
        return outcome(address)


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("bob@example.com", "bob@example.com"),
        (" Bob@Example.COM\t", "bob@example.com"),
        ("bob+news@example.com", "bob+news@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("bob@пример.рф", "bob@xn--e1afmkfd.xn--p1ai"),
        ("Bob@ПРИМЕР.РФ", "bob@xn--e1afmkfd.xn--p1ai"),
        ("bob@xn--e1afmkfd.xn--p1ai", "bob@xn--e1afmkfd.xn--p1ai"),
        ("bob@bu\u0308cher.example", "bob@xn--bcher-kva.example"),
        ("bob@faß.example", "bob@xn--fa-hia.example"),
        ("bob@example。com", "bob@example.com"),
    ],
)
def test_an_address_has_one_normal_form(address: str, normal: str) -> None:
    assert normalise(address) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bob",
        "@example.com",
        "bob@",
        "bob@example",
        "bob@@example.com",
        "bob smith@example.com",
        '"bob smith"@example.com',
        ".bob@example.com",
        "bob.@example.com",
        "bo..b@example.com",
        "bob@-example.com",
        "bob@example-.com",
        "bob@exa_mple.com",
        "bob@.example.com",
        "bob@example..com",
        "bob@[127.0.0.1]",
        "bob@127.0.0.1",
        "bob@xn--.example",
        "bob@example.invalid",
        "bob@localhost",
        "Bob <bob@example.com>",
        "bob@example.com,alice@example.com",
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        normalise(address)
    assert str(refused.value).endswith(".")
    assert outcome_of_the_library(address) == "refused"


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("Боб@Example.com", "боб@example.com"),
        ("ПОЧТА@ПРИМЕР.РФ", "почта@xn--e1afmkfd.xn--p1ai"),
        ("bo\u0301b@example.com", "bób@example.com"),
        ("BÓB@example.com", "bób@example.com"),
        ("Straße@example.com", "straße@example.com"),
        ("用户@例え.jp", "用户@xn--r8jz45g.jp"),
    ],
)
def test_a_local_part_may_have_letters_of_any_script(address: str, normal: str) -> None:
    assert normalise(address) == normal
    assert normalise(normal) == normalise(addresses.shown(normal)) == normal
    with pytest.raises(InvalidAddress):
        normalise(address, ascii_only=True)


@pytest.mark.parametrize(
    "address",
    ["bob\u200b@example.com", "ｂob@example.com", "ﬁ@example.com", "й" * 33 + "@example.com", "й\u202e@x.com"],
)
def test_a_local_part_of_what_cannot_be_seen_or_written_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        normalise(address)
    assert refused.value.reason
    assert outcome_of_the_library(address) == "refused"


INVALID = (
    '"a b"@example.com', "bob@[192.0.2.1]", "bob@-b.org", "bob@b-.org", "bob@b.-c.org", "bob@ab--c.org",
    "bob@xn--a.org", f"{'a' * 65}@example.com", f"bob@{'a' * 64}.org", f"bob@{'a.' * 130}org",
    "bob@é" + "é" * 60 + ".org", "bob@xn--.org", '"a\x01"@example.com', '"é"@example.com', "bob", "bob@", "@b.org",
    "a..b@c.org", "a.@b.org", ".a@b.org", "bob@b..org", "bob@b.org.", "bob@.b.org", "bob@b", "bob@b.local",
    "b b@c.org", "bob@b c.org", "Bob <bob@b.org>", "<bob@b.org> x", "bob＠b.org", "bob@\u0301b.org", "bob@1.1",
    "b\u200bb@c.org", "bob@b_c.org", "bob@\u2488com.org", '"a"b@c.org', "", "bob@\u05d0a.org",
    "\u0301@b.org", "a" * 5000,
)  # fmt: skip


def in_russian(address: str) -> str:
    """Why it is no address, in Russian; empty if it is one."""
    try:
        normalise(address)
    except InvalidAddress as refusal:
        with translation.override("ru"):
            return refusal.reason
    return ""


@pytest.mark.parametrize("address", INVALID)
def test_why_it_is_no_address_is_told_in_the_readers_language(address: str) -> None:
    reason = in_russian(address).partition(": ")[0]
    assert re.search("[а-яё]{4}", reason)
    assert not re.search("[A-Za-z]{2}", reason.replace("Punycode", "").replace("IDNA", "").replace("IP", ""))


@settings(max_examples=300, deadline=None)
@given(
    st.text('ab.-@"\\[]<>() é\u0301\u05d0xn1_,:＠', max_size=14) | st.text(max_size=14).map(lambda text: f"bob@{text}")
)
def test_no_address_is_refused_in_a_foreign_language(address: str) -> None:
    reason = in_russian(address)
    assert not reason or re.search("[а-яё]{4}", reason.partition(": ")[0])


def test_an_endless_address_is_refused_at_once() -> None:
    began = time.process_time()
    for character in ("a", "й", "\u0301", "@", "."):
        assert outcome(f"{character * 1_000_000}@example.com") == outcome(f"bob@{character * 1_000_000}") == "refused"
        assert len(addresses.sought(character * 1_000_000)[0]) <= 2 * addresses.MAX_LENGTH
    in_time(time.process_time() - began, 1)


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("bob@xn--e1afmkfd.xn--p1ai", "bob@пример.рф"),
        ("боб@mail.xn--e1afmkfd.xn--p1ai", "боб@mail.пример.рф"),
        ("b…@xn--e1afmkfd.xn--p1ai", "b…@пример.рф"),
        ("bob@xn--fa-hia.example", "bob@faß.example"),
        ("bob@example.com", "bob@example.com"),
        ("bob@xn--a.example", "bob@xn--a.example"),
        ("bob@xn--" + "a" * 70 + ".example", "bob@xn--" + "a" * 70 + ".example"),
        ("550 <bob@xn--e1afmkfd.xn--p1ai>: no", "550 <bob@xn--e1afmkfd.xn--p1ai>: no"),
        ("xn--e1afmkfd", "xn--e1afmkfd"),
        ("", ""),
    ],
)
def test_an_address_is_shown_as_people_write_it(stored: str, written: str) -> None:
    assert addresses.shown(stored) == written


@pytest.mark.parametrize(
    "text",
    [
        "bob@пример.рф",
        "Bob@ПРИМЕР.рф",
        "@пример.рф",
        "пример.рф",
        "пример",
        "@xn--e1afmkfd",
        "BOB@xn--E1afmkfd.xn--p1ai",
    ],
)
def test_an_address_is_found_in_either_form(text: str) -> None:
    assert any(form in "bob@xn--e1afmkfd.xn--p1ai" for form in addresses.sought(text))


def test_a_local_part_of_any_script_is_found() -> None:
    for text in ("боб", "БОБ@", "боб@example", "бо\u0431@example.com"):
        assert any(form in "боб@example.com" for form in addresses.sought(text))


@pytest.mark.parametrize(
    "line_break", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028", "\r\nBcc: eve@example.com\r\n"]
)
@pytest.mark.parametrize(
    "address", ["bo{}b@example.com", "bob{}@example.com", "bob@{}example.com", "bob@example.com{}x"]
)
def test_a_line_break_inside_is_refused(address: str, line_break: str) -> None:
    with pytest.raises(InvalidAddress):
        normalise(address.format(line_break))


def test_a_line_break_around_is_dropped() -> None:
    assert normalise("\r\nbob@example.com\n") == "bob@example.com"


def test_the_longest_address_is_taken_and_a_longer_one_refused() -> None:
    domain = ".".join(["d" * 63, "d" * 63, "d" * 57, "com"])
    longest = "a" * 64 + "@" + domain
    assert len(longest) == addresses.MAX_LENGTH
    assert normalise(longest) == longest
    for too_long in (
        "a" * 64 + "@" + domain.replace(".com", "d.com"),
        "a" * 65 + "@example.com",
        "a@" + "d" * 64 + ".com",
    ):
        assert outcome(too_long) == outcome_of_the_library(too_long) == "refused"


def test_an_address_is_measured_in_its_ascii_form() -> None:
    with pytest.raises(InvalidAddress):
        normalise("a" * 64 + "@" + ".".join(["щ" * 40] * 4) + ".рф")


def test_the_domain_is_what_stands_behind_the_at() -> None:
    assert addresses.domain("bob@example.com") == "example.com"


# Any address

LABELS = st.text(ATOM + "-", min_size=1, max_size=8) | st.text(ATOM + "-", min_size=60, max_size=66)
ODD_LABELS = st.sampled_from(
    ["com", "example", "invalid", "local", "localhost", "onion", "test", "arpa"]
) | st.sampled_from(["xn--e1afmkfd", "xn--a", "ab--c", "рф", "example。", "bücher", "ß", "ǆ", "١", "1", "-"])
LOCALS = st.text(ATOM + "ABCXYZ._+-", min_size=1, max_size=12) | st.text(ATOM, min_size=62, max_size=66)
ODD_LOCALS = st.text(st.characters() | st.sampled_from("!#$%&'*+-/=?^_`{|}~.\"\\ @\r\n"), max_size=6)
ADDRESSES = st.builds(
    lambda local, labels: f"{local}@{'.'.join(labels)}",
    LOCALS | ODD_LOCALS,
    st.lists(LABELS | ODD_LABELS, min_size=1, max_size=5),
)


@settings(max_examples=700, deadline=None)
@given(ADDRESSES | st.emails())
@example("bob@1.com")
@example("bob@example.c0m")
@example("bob@example.arpa")
@example("bob@ab--cd.com")
@example("İbob@example.com")
@example("bob@Kelvin.com".replace("K", "\u212a"))
def test_the_short_way_and_the_library_agree(address: str) -> None:
    assert outcome(address) == outcome_of_the_library(address)


@settings(max_examples=700, deadline=None)
@given(ADDRESSES | st.text(max_size=30))
def test_a_normal_form_is_normal_and_fit_for_a_header(address: str) -> None:
    normal = outcome(address)
    if normal != "refused":
        assert normalise(normal) == normal
        assert re.fullmatch(r"[!-;=?A-~\x80-\U0010ffff]+@[a-z0-9.-]+", normal)
        assert normal.isprintable()
        assert normal == normal.lower() == unicodedata.normalize("NFC", normal)
        assert len(normal.encode()) <= addresses.MAX_LENGTH
        assert normalise(addresses.shown(normal)) == normal
        if normal.isascii():
            shouted = address.upper().replace(addresses.domain(address.upper()), addresses.domain(address))
            assert normalise(shouted) == normal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice.archer@example.org", "a…@example.org"),
        ("o'brien+news@example.org", "o…@example.org"),
        ("550 <alice.archer@example.org>: no", "550 <a…@example.org>: no"),
        ("to=alice.archer@example.org,bob@example.com", "t…@example.org,b…@example.com"),
        ("ALICE.ARCHER: user unknown", "a…: user unknown"),
        ("alice.archers is somebody else", "alice.archers is somebody else"),
        ("me @ home", "me @ home"),
        ("", ""),
    ],
)
def test_a_masked_address_keeps_its_first_letter_and_its_domain(text, shown):
    assert addresses.masked(text, "alice.archer@example.org") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"alice archer"@example.org is full', "a…@example.org is full"),
        (r'<"alice \"al\" @ archer"@example.org>', "<a…@example.org>"),
        ("RCPT TO:<alice.archer%40example.org>", "RCPT TO:<a…%40example.org>"),
        ("/unsubscribe?e=alice%2540example.org", "u…%2540example.org"),
        ("orcpt=rfc822;alice.archer+40example.org", "orcpt=rfc822;a…+40example.org"),
        ("alice.archer=40example.org", "a…=40example.org"),
        (
            "alice.archer&#64;example.org or &lt;alice&commat;example.org",
            "a…&#64;example.org or &lt;a…&commat;example.org",
        ),
        (r'{"to": "alice.archer\u0040example.org"}', r'{"to": "a…\u0040example.org"}'),
        ("alice.archer [at] example.org", "a… [at] example.org"),
        ("alice.archer @ example.org", "a… @ example.org"),
        ("alice.archer＠example.org", "a…＠example.org"),
        ("алиса@пример.рф, алиса@xn--e1afmkfd.xn--p1ai", "а…@пример.рф, а…@xn--e1afmkfd.xn--p1ai"),
        ("alice(at work)@example.org alice(work)@example.org", "a…@example.org a…@example.org"),
        ("bounce-alice=example.org@lists.example.com", "b…@lists.example.com"),
        ("<@relay.example.com:alice@example.org>", "<@relay.example.com:a…@example.org>"),
        ("alice@[192.0.2.1]", "a…@[192.0.2.1]"),
        ('550 "Alice Archer" <alice@example.org>: no', "550 A… <a…@example.org>: no"),
        ("550 Alice van Archer <x17@example.org>: no", "550 A… <x…@example.org>: no"),
        ("550 alice archer <alice.archer@example.org>: no", "550 a… <a…@example.org>: no"),
        ("=?utf-8?B?0JDQu9C40YHQsA==?= <x17@example.org>", "… <x…@example.org>"),
        ("x17@example.org (Alice Archer)", "x…@example.org (A…)"),
        ("User unknown <x17@example.org>", "User unknown <x…@example.org>"),
        ("550 Rejected: Alice Archer <x17@example.org>: no", "550 Rejected: A… <x…@example.org>: no"),
        ('550 "Alice Archer <x17@example.org>: no', '550 "A… <x…@example.org>: no'),
        ('550 Recipient "alice archer" <x17@example.org>: no', "550 Recipient a… <x…@example.org>: no"),
        ('550 "Alice" Archer" <x17@example.org>', '550 "A… <x…@example.org>'),
        ("550 (Alice Archer) <x17@example.org>", "550 (A… <x…@example.org>"),
        ("Alice Archer &lt;x17@example.org&gt;", "A… &lt;x…@example.org&gt;"),
        ("Jose\u0301 Archer <x17@example.org>", "J… <x…@example.org>"),
        ("Mail for a@example.org x <b@example.net>", "Mail for a…@example.org x <b…@example.net>"),
        ("x17@example.org (user unknown)", "x…@example.org (user unknown)"),
        ("<relay access denied> (Two Words)", "<relay access denied> (Two Words)"),
        ("limit=40 of 40.5, +40 100 20", "limit=40 of 40.5, +40 100 20"),
    ],
)
def test_an_address_is_masked_however_it_is_quoted(text, shown):
    assert addresses.masked(text) == shown


ALICES = "alice.archer"
FORMS = st.sampled_from(
    [
        "{0}@{1}",
        "<{0}@{1}>",
        '"{0}"@{1}',
        r'"{0}\" x"@{1}',
        "{0}%40{1}",
        "{0}%2540{1}",
        "{0}+40{1}",
        "{0}=40{1}",
        "{0}&#64;{1}",
        "{0}&#x40;{1}",
        "{0} (at) {1}",
        "{0}＠{1}",
        "<@relay.example:{0}@{1}>",
        "SRS0=h=t={1}={0}@relay.example",
        "Alice Archer <{0}@{1}>",
        '"Alice Archer" <{0}@{1}>',
        '"Archer, Alice" <{0}@{1}>',
        '"Alice Archer <{0}@{1}>',
        'Alice "Al" Archer <{0}@{1}>',
        "Alice Archer &lt;{0}@{1}&gt;",
        "mailto:{0}@{1}",
    ]
)
DOMAINS = st.sampled_from(["example.org", "пример.рф", "xn--e1afmkfd.xn--p1ai", "sub.long-name.example.co.uk"])
WORDS = st.text(st.sampled_from('ab <>"(),:;=%+@.5\\\n\u2026'), max_size=12)


@settings(max_examples=700, deadline=None)
@given(WORDS, FORMS, DOMAINS, WORDS, FORMS, DOMAINS)
@example('"', "Alice Archer <{0}@{1}>", "example.org", '"', "<{0}@{1}>", "example.org")
@example("", '"Alice Archer" <{0}@{1}>', "example.org", '"@5', "{0}@{1}", "example.org")
@example("", "{0}&#64;{1}", "example.org", "a", "<{0}@{1}>", "example.org")
@example("", "{0}%40{1}", "example.org", "Ab", "<{0}@{1}>", "example.org")
def test_whatever_stands_around_it_nothing_of_an_address_but_a_letter_and_its_domain_is_left(
    before, one, at, between, two, of
):
    text = f"{before} {one.format(ALICES, at)} {between} {two.format('bob.baker', of)}"
    masked = addresses.masked(text)
    assert not re.search("lice|rcher|bob|aker", masked, re.I), text
    assert not re.search("lice|rcher|bob|aker", addresses.erased(text), re.I), text


@given(st.sampled_from(["alice.archer", "o'brien", "alice+news", "x/y=z"]), WORDS)
def test_a_local_part_is_masked_where_it_stands_alone_in_any_form(local, words):
    for form in (local, local.upper(), quote(local, safe=""), local.partition("+")[0]):
        masked = addresses.masked(f"{words} {form}: user unknown", f"{local}@example.org")
        assert form not in masked


@settings(deadline=2000)
@given(st.text(st.sampled_from('aB "(<@=%40.\\?;&'), max_size=60), st.integers(1, 200))
def test_masking_takes_no_longer_than_the_text_is_long(piece, times):
    addresses.masked(piece * times)
    addresses.erased(piece * times)


@given(st.emails())
def test_masking_twice_is_masking_once(address):
    assert addresses.masked(addresses.masked(address)) == addresses.masked(address)
