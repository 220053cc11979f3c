"""Signed letters: what others' programs make of them, and what nobody can change in them unseen."""

import re
import string
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy

import pytest
from django.core.mail import EmailMultiAlternatives, send_mail
from hypothesis import given
from hypothesis import strategies as st

from tests import settings as tests_settings
from tests.mail.letters import HEAD, LETTERS, letter
from tests.mail.verifiers import (
    DOMAIN,
    ED25519,
    NOON,
    PRIVATE,
    RSA,
    dkimpy,
    mail_dkim,
    opendkim,
    sign_by_both,
    sign_by_ed25519,
)
from vestnik.accounts.letters import AccountLetter
from vestnik.mail.dkim import OVERSIGNED, SIGNED, signer
from vestnik.mail.dkim_keys import Algorithm, load_key, record_name, record_value


def signatures(signed):
    """The tags of each signature, without space."""
    found = [value for name, value in message_from_bytes(signed, policy=policy.compat32).items() if "DKIM" in name]
    return [dict(re.sub(r"\s", "", tag).split("=", 1) for tag in value.split(";")) for value in found]


@pytest.fixture
def account_letters(db, settings):
    settings.EMAIL_BACKEND = tests_settings.EMAIL_BACKEND
    send_mail("Confirm  your address", "https://vestnik.test/confirm/1 \n", None, ["Alice <alice@example.org>"])
    both = EmailMultiAlternatives("Привет " * 30, "Здравствуйте\n", None, ["alice@example.org", "bob@example.org"])
    both.attach_alternative("<p>Здравствуйте</p>", "text/html")
    both.send()
    return [bytes(stored.content) for stored in AccountLetter.objects.all()]


# What others say


@pytest.mark.parametrize("name", LETTERS)
def test_letters_hold_before_dkimpy_by_each_key(name):
    signed = sign_by_both(letter(name), NOON)
    assert dkimpy(signed) == [True, True]
    assert signed.endswith(b"\r\n" + letter(name))


def test_letters_hold_before_perls_mail_dkim(tmp_path):
    """One that knows no Ed25519 takes the other signature."""
    for said in mail_dkim([sign_by_both(letter(name), NOON) for name in LETTERS], tmp_path):
        assert said["rsa"] == "pass"
        assert said["ed25519"] in {"pass", "invalid"}


def test_letters_hold_before_opendkim_by_each_key(tmp_path):
    said = opendkim([sign_by_both(letter(name), NOON) for name in LETTERS], tmp_path)
    assert said == [{"rsa": "pass", "ed25519": "pass"}] * len(LETTERS)


def test_vestniks_own_letters_hold_before_all(account_letters, tmp_path):
    signed = [sign_by_both(each, NOON) for each in account_letters]
    assert len(signed) == 3
    assert [dkimpy(each) for each in signed] == [[True, True]] * 3
    assert {said["rsa"] for said in mail_dkim(signed, tmp_path)} == {"pass"}
    assert opendkim(signed, tmp_path) == [{"rsa": "pass", "ed25519": "pass"}] * 3


BITS = (" ", "  ", "\t", "\r\n", "\r\n\r\n", "a", "b c", "é", ".", "=20")
bodies = st.lists(st.sampled_from(BITS), max_size=30).map("".join)
ODD_BODIES = [
    *("", "\r\n", " \r\n", "\t \t\r\n", "\r\n \r\n\t\r\n", "a\r\n", "a \t\r\n", "a\r\n\r\n\r\n", "a\r\n \r\n\t\t\r\n"),
    *("\r\n\r\na\r\n", " a\r\n", "  a  b\t\tc \t\r\n\r\n d\r\n", "a\r\n .\r\n..\r\n", "a" * 998 + "\r\n"),
    "\r\n".join([" " * 998] * 9) + "a\r\n",
]


@given(bodies)
def test_any_body_holds(body):
    assert dkimpy(sign_by_ed25519(HEAD + f"{body}\r\n".encode(), NOON)) == [True]


@given(bodies.filter(lambda body: not body.endswith("\r\n")))
def test_the_line_end_that_smtp_adds_to_a_last_line_without_one_is_signed(body):
    assert sign_by_ed25519(HEAD + body.encode(), NOON) + b"\r\n" == sign_by_ed25519(HEAD + f"{body}\r\n".encode(), NOON)


def test_odd_bodies_hold_before_all(tmp_path):
    signed = [sign_by_both(HEAD + body.encode(), NOON) for body in ODD_BODIES]
    assert {said["rsa"] for said in mail_dkim(signed, tmp_path)} == {"pass"}
    assert opendkim(signed, tmp_path) == [{"rsa": "pass", "ed25519": "pass"}] * len(signed)
    assert [dkimpy(each) for each in signed] == [[True, True]] * len(signed)


values = st.lists(
    st.sampled_from(["a", "b:c", ";", "=", "Привет", " ", "  ", "\t", "\r\n ", "\r\n\t", "\r\n  x"]), max_size=12
).map("".join)
names = st.sampled_from([*SIGNED, "X-Letter", "Received", "subject", "TO"]).flatmap(
    lambda name: st.sampled_from([name, name.upper(), name.lower()])
)


@given(st.lists(st.tuples(names, st.sampled_from(["", " ", "  "]), values), max_size=12))
def test_any_header_holds(fields):
    lines = "".join(f"{name}:{space}{value}.\r\n" for name, space, value in fields)
    written = f"From: news@{DOMAIN}\r\n{lines}\r\nHello\r\n".encode()
    assert dkimpy(sign_by_ed25519(written, NOON)) == [True]


def test_odd_headers_hold_before_all(tmp_path):
    odd = [
        f"from:  news@{DOMAIN}  \r\nSUBJECT:\r\n News \t of\r\n\ttoday\t\r\nTo:bob@example.com\r\n\r\nHello\r\n",
        f"Subject:\r\nFrom: news@{DOMAIN}\r\n\r\nHello\r\n",
        f"Received: by x\r\nReceived: by y\r\nTo: a@b.c\r\nTo: d@e.f\r\nFrom: news@{DOMAIN}\r\n\r\nHello\r\n",
        f"From: news@{DOMAIN}\r\nTo: Борис <борис@example.com>\r\nSubject: Новости\r\n\r\nПривет\r\n",
    ]
    signed = [sign_by_both(each.encode(), NOON) for each in odd]
    assert [dkimpy(each) for each in signed] == [[True, True]] * len(odd)
    assert {said["rsa"] for said in mail_dkim(signed, tmp_path)} == {"pass"}
    assert opendkim(signed, tmp_path) == [{"rsa": "pass", "ed25519": "pass"}] * len(odd)


def test_a_letter_that_ends_with_its_header_holds():
    assert dkimpy(sign_by_both(f"From: news@{DOMAIN}\r\nSubject: News\r\n\r\n".encode(), NOON)) == [True, True]


# What a relay may do


def test_lines_folded_in_other_places_and_other_numbers_of_spaces_change_nothing():
    signed = sign_by_both(letter("text"), NOON)
    relayed = signed.replace(b"\r\n ", b"\r\n\t\t").replace(b"Subject: News", b"SUBJECT:\r\n  News ")
    relayed = b"Received: by mx.example.com\r\n" + relayed.replace(b"indented  text \t ", b"indented text")
    assert relayed != signed
    assert dkimpy(relayed.rstrip(b"\r\n") + b"\r\n") == [True, True]


def test_a_service_that_signs_too_changes_nothing():
    signed = signer([load_key("service.example", "s", PRIVATE[Algorithm.RSA])])(sign_by_both(letter(), NOON), NOON)
    assert dkimpy(signed)[1:] == [True, True]


# What nobody can change


WITH_ALL = b"Cc: carol@example.org\r\nIn-Reply-To: <a@b.c>\r\nReferences: <a@b.c>\r\n"


@pytest.mark.parametrize("name", SIGNED)
def test_a_signed_line_that_is_changed_removed_or_doubled_is_seen(name):
    signed = sign_by_both(WITH_ALL + b"Content-Transfer-Encoding: 7bit\r\n" + letter(), NOON)
    assert dkimpy(signed) == [True, True]
    head = signed[: signed.index(b"\r\n\r\n") + 2]
    (line,) = re.findall(rb"^" + name.encode() + rb":.*\r\n(?: .*\r\n)*", head, re.M)
    assert dkimpy(signed.replace(line, line.replace(b"\r\n", b"x\r\n", 1), 1)) == [False, False]
    assert dkimpy(signed.replace(line, b"", 1)) == [False, False]
    assert dkimpy(signed.replace(line, line + line, 1)) == [name not in OVERSIGNED] * 2


@pytest.mark.parametrize("name", sorted(OVERSIGNED))
@pytest.mark.parametrize("known", [HEAD + b"Hello\r\n", b"From: news@example.org\r\n\r\nHello\r\n"])
def test_nobody_can_add_another_one_before_or_behind(name, known, tmp_path):
    signed = sign_by_both(known, NOON)
    line = f"{name}: mallory@example.net\r\n".encode()
    forged = [line + signed, signed.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n", 1)]
    assert [dkimpy(each) for each in forged] == [[False, False]] * 2
    assert {said["rsa"] for said in mail_dkim(forged, tmp_path)} == {"fail"}


@pytest.mark.parametrize("algorithm", Algorithm)
def test_changed_bodies_and_signatures_are_seen(algorithm):
    signed = signer([{Algorithm.RSA: RSA, Algorithm.ED25519: ED25519}[algorithm]])(letter("text"), NOON)
    assert dkimpy(signed) == [True]
    head, _, body = signed.partition(b"\r\n\r\n")
    assert dkimpy(head + b"\r\n\r\n" + body.replace(b"Hello", b"Hullo")) == [False]
    assert dkimpy(signed + b"And more.\r\n") == [False]
    assert dkimpy(head + b"\r\n\r\n\r\n" + body) == [False]
    assert dkimpy(signed.replace(b" t=1", b" t=2", 1)) == [False]
    assert dkimpy(re.sub(rb" b=(.)", lambda found: b" b=" + (b"A" if found[1] != b"A" else b"B"), signed)) == [False]


@given(st.data())
def test_any_letter_or_digit_that_is_changed_is_seen(data):
    written = letter()
    places = [at for at, octet in enumerate(written) if chr(octet) in string.ascii_letters + string.digits]
    at = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from([each for each in b"abcXYZ019" if chr(each).lower() != chr(written[at]).lower()]))
    signed = sign_by_ed25519(written, NOON)
    behind = len(signed) - len(written) + at
    assert dkimpy(signed[:behind] + bytes([other]) + signed[behind + 1 :]) == [False]


# What is written


def test_a_signature_says_what_it_signs():
    assert [
        {name: value for name, value in tags.items() if name not in {"b", "bh"}}
        for tags in signatures(sign_by_both(letter(), NOON))
    ] == [
        {
            "v": "1", "a": key.algorithm, "c": "relaxed/relaxed", "d": DOMAIN, "s": key.selector, "t": "1738324800",
            "h": "From:From:Reply-To:Reply-To:Subject:Subject:Date:Date:To:To:Message-ID:Message-ID:MIME-Version"
            ":Content-Type:List-Id:List-Unsubscribe:List-Unsubscribe-Post:Feedback-ID:Auto-Submitted:Precedence",
        }
        for key in (RSA, ED25519)
    ]  # fmt: skip


def test_the_moment_is_the_same_in_every_zone():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert sign_by_both(HEAD, elsewhere) == sign_by_both(HEAD, NOON)


def test_letters_of_one_signer_differ_in_what_they_say_alone():
    """What it keeps of one letter's form is nobody else's."""
    sign = signer([ED25519])
    for name in (*LETTERS, *reversed(LETTERS)):
        signed = sign(letter(name), NOON)
        assert dkimpy(signed) == [True]
        assert ("List-Id" in signatures(signed)[0]["h"]) == (name == "one click")


@pytest.mark.parametrize("selector", ["s", "a-selector-of-" + "x" * 40, "v2026.of.the.house"])
@pytest.mark.parametrize("domain", ["a.example", ".".join(["x" * 20] * 8) + ".example"])
def test_lines_are_short_and_a_long_domain_stands_on_its_own(domain, selector):
    private = PRIVATE[Algorithm.RSA]
    signed = signer([load_key(domain, selector, private)])(letter(), NOON)
    lines = signed[: signed.index(b"\r\nFrom:")].split(b"\r\n")
    assert {len(line) <= 78 for line in lines if line != f" d={domain};".encode()} == {True}
    assert dkimpy(signed, {record_name(domain, selector): record_value(private)}) == [True]


def test_a_letter_that_nobody_wrote_cannot_be_signed():
    for written in (b"", b"\r\n\r\n", b"Subject: News\r\n\r\nFrom: me\r\n", b"X-From: a@b.c\r\n\r\nHello\r\n"):
        with pytest.raises(ValueError, match="without From"):
            sign_by_both(written, NOON)


def test_without_keys_a_letter_stays_what_it_is():
    assert signer([])(letter(), datetime.now(UTC)) == letter()
