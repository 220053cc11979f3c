"""Keys that sign letters, and what is published of them: what is right, and what is refused or judged."""

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.mail.verifiers import DOMAIN, KEYS, NOON, PRIVATE, dkimpy, mail_dkim, opendkim
from vestnik.mail.dkim import signer
from vestnik.mail.dkim_keys import Algorithm, Published, judge, load_key, new_private_key, record_name, record_value

EXAMPLE = b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
"""The private key of RFC 8463, A.1."""


def der(key, encryption=None):
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, encryption or NoEncryption())


def rsa_of(p, q):
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return der(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def public(private):
    return record_value(private).partition("p=")[2]


RSA_PUBLIC = public(PRIVATE[Algorithm.RSA])
FILLED_IN = {
    "rsa": RSA_PUBLIC,
    "halves": f"{RSA_PUBLIC[:100]} \t{RSA_PUBLIC[100:]}",
    "quoted": f'{RSA_PUBLIC[:100]}" "{RSA_PUBLIC[100:]}',
    "cut": RSA_PUBLIC[:-2],
    "ed25519": public(PRIVATE[Algorithm.ED25519]),
    "other": public(new_private_key(Algorithm.RSA)),
    "pkcs1": b64encode(
        KEYS[Algorithm.RSA].private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    ).decode(),
    "long": "x" * 4096,
}


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_new_key_signs_and_is_of_its_kind(algorithm):
    first, second = (load_key(DOMAIN, "s", new_private_key(algorithm)) for _ in range(2))
    assert (first.algorithm, first.domain, first.selector) == (algorithm, DOMAIN, "s")
    assert first.sign(b"Hello") != second.sign(b"Hello")
    assert algorithm is Algorithm.ED25519 or first.private.key_size == 2048


def test_a_record_has_the_form_that_the_rfcs_write():
    private = der(ed25519.Ed25519PrivateKey.from_private_bytes(EXAMPLE))
    assert record_value(private) == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    assert record_value(PRIVATE[Algorithm.RSA]).startswith(
        "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"
    )
    assert record_name("example.org", "v1") == "v1._domainkey.example.org"


def test_nothing_that_is_shown_of_a_key_is_secret():
    assert "private" not in repr(KEYS[Algorithm.RSA])


MERSENNE = {bits: 2**bits - 1 for bits in (127, 521, 607, 2203, 2281)}


@pytest.mark.parametrize(
    "made",
    [
        lambda: b"",
        lambda: b"no key",
        lambda: PRIVATE[Algorithm.RSA][:-1],
        lambda: der(ec.generate_private_key(ec.SECP256R1())),
        lambda: der(x25519.X25519PrivateKey.generate()),
        lambda: der(ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")),
        lambda: ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
    ],
    ids=["nothing", "a text", "cut", "elliptic", "not for signing", "locked", "public"],
)  # fmt: skip
def test_what_is_no_key_for_letters_is_refused(made):
    refused = made()
    for use in (
        lambda: load_key(DOMAIN, "s", refused),
        lambda: record_value(refused),
        lambda: judge("v=DKIM1; p=", refused),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 (each has its sentence)
            use()


def test_a_key_that_would_be_checked_for_seconds_is_not_looked_at():
    with pytest.raises(ValueError, match="too large"):
        load_key(DOMAIN, "s", rsa_of(MERSENNE[2203], MERSENNE[2281]))


def test_an_rsa_key_of_1024_bits_is_taken_and_a_shorter_one_is_not():
    assert load_key(DOMAIN, "s", der(rsa.generate_private_key(65537, 1024))).sign(b"Hello")  # noqa: S505
    with pytest.raises(ValueError):  # noqa: PT011 (by the library, or by us)
        load_key(DOMAIN, "s", rsa_of(MERSENNE[521], MERSENNE[127]))


@given(st.binary(max_size=200), st.integers(0, 100))
def test_rubbish_is_no_key(rubbish, at):
    for each in (rubbish, PRIVATE[Algorithm.RSA][:at] + rubbish, PRIVATE[Algorithm.ED25519][:at] + rubbish):
        try:
            load_key(DOMAIN, "s", each)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("domain", "selector"),
    [
        *(("", "s"), ("example.org", ""), ("example.org.", "s"), (".example.org", "s"), ("пример.рф", "s")),
        *(("example.org; x=1", "s"), ("example.org", "s\r\nBcc"), ("example.org\n", "s"), ("a b", "s"), ("a", "s_1")),
        *(("x" * 64 + ".org", "s"), ("example.org", "x" * 64), ("-a.org", "s"), (".".join(["x" * 60] * 4), "s")),
    ],
)
def test_what_is_no_domain_or_selector_is_refused(domain, selector):
    with pytest.raises(ValueError, match="as a domain or selector"):
        load_key(domain, selector, PRIVATE[Algorithm.ED25519])


R, E = Algorithm.RSA, Algorithm.ED25519
RECORDS = [
    (R, "v=DKIM1; k=rsa; p={rsa}", "right"),
    (R, "p={rsa}", "right"),
    (R, "v=DKIM1;p={rsa};", "right"),
    (R, " v = DKIM1 ;\tk= rsa ; n=of the house; x_1=; p= {halves} ; ", "right"),
    (R, "v=DKIM1; h=sha1:sha256; s=email; t=s; p={rsa}", "right"),
    (E, "v=DKIM1; k=ed25519; p={ed25519}", "right"),
    (R, "v=DKIM1; t=y; p={rsa}", "testing"),
    (E, "v=DKIM1; k=ed25519; t=s : y; p={ed25519}", "testing"),
    (R, "v=DKIM1; p=", "revoked"),
    (R, "v=DKIM1; k=rsa; p= ;", "revoked"),
    (R, "v=DKIM1; p={other}", "another_key"),
    (R, "v=DKIM1; t=y; p={other}", "another_key"),
    (R, "v=DKIM1; k=ed25519; p={ed25519}", "another_key"),
    (R, "v=DKIM1; k=ed25519; p={rsa}", "another_key"),
    (E, "v=DKIM1; p={ed25519}", "another_key"),
    (R, "v=DKIM1; k=dsa; p={rsa}", "another_key"),
    (R, "v=DKIM1; h=sha1; p={rsa}", "another_key"),
    (R, "v=DKIM1; s=tlsrpt; p={rsa}", "another_key"),
    (R, "v=DKIM1; p={pkcs1}", "another_key"),
    (R, "v=DKIM1; p=AAAA", "another_key"),
    (R, "v=DKIM2; p={rsa}", "unreadable"),
    (R, "v=dkim1; p={rsa}", "unreadable"),
    (R, "p={rsa}; v=DKIM1", "unreadable"),
    (R, "v=DKIM1; p={rsa}; p={rsa}", "unreadable"),
    (R, "v=DKIM1; p={cut}", "unreadable"),
    (R, "v=DKIM1; p={quoted}", "unreadable"),
    (R, "v=DKIM1 p={rsa}", "unreadable"),
    (R, '"v=DKIM1; p={rsa}"', "unreadable"),
    (R, "v=DKIM1; k=rsa; {rsa}", "unreadable"),
    (R, "v=DKIM1; k=rsa", "unreadable"),
    (R, "v=spf1 -all", "unreadable"),
    (R, "", "unreadable"),
    (R, "v=DKIM1; n={long}; p={rsa}", "unreadable"),
]


@pytest.mark.parametrize(("algorithm", "record", "judged"), RECORDS)
def test_a_published_record_is_judged(algorithm, record, judged):
    assert judge(record.format(**FILLED_IN), PRIVATE[algorithm]) == judged


def test_lists_of_hashes_and_services_are_read_with_their_space():
    """As RFC 6376 writes them (3.6.1); dkimpy takes no list of services."""
    assert judge(f"h=sha1 : sha256; s= other :\temail; t=s : x; p={RSA_PUBLIC}", PRIVATE[R]) == "right"
    assert judge(f"s=other:more; p={RSA_PUBLIC}", PRIVATE[R]) == "another_key"


@pytest.mark.parametrize(("algorithm", "record"), [each[:2] for each in RECORDS if each[2] in ("right", "testing")])
def test_what_is_judged_right_or_testing_is_taken_by_all(algorithm, record, tmp_path):
    """The other way round it need not be so: OpenDKIM takes an RSA key that is called an Ed25519 one."""
    key = KEYS[algorithm]
    signed = signer([key])(f"From: news@{DOMAIN}\r\n\r\nHello\r\n".encode(), NOON)
    records = {record_name(DOMAIN, key.selector): record.format(**FILLED_IN)}
    assert dkimpy(signed, records) == [True]
    assert opendkim([signed], tmp_path, records) == [{key.selector: "pass"}]
    assert mail_dkim([signed], tmp_path, records)[0][key.selector] in {"pass", "invalid"} - {
        algorithm is R and "invalid"
    }


@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from(["v=DKIM1", ";", "p=", "k=", "rsa", " ", "\t", "=", "AA", "é"])).map("".join),
    )
)
def test_no_text_is_too_odd_to_be_judged(text):
    assert judge(text, PRIVATE[E]) in set(Published) - {Published.RIGHT, Published.TESTING}


@given(st.data())
def test_a_record_with_anything_else_in_its_key_is_not_right(data):
    record = record_value(PRIVATE[E])
    at = data.draw(st.integers(record.index("p=") + 2, len(record) - 3))  # behind: digits with bits that say nothing
    digit = data.draw(st.sampled_from([each for each in "ABCabc019+/ -" if each != record[at]]))
    assert judge(record[:at] + digit + record[at + 1 :], PRIVATE[E]) is not Published.RIGHT
