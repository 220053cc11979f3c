"""Reading the address of the mail service."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import Security, SmtpConfig, WrongUrl, parse, provider_from


@pytest.mark.parametrize(
    ("url", "config"),
    [
        ("smtp://mail", SmtpConfig("mail", 25)),
        ("smtp://mail/", SmtpConfig("mail", 25)),
        ("SMTP://mail:2525", SmtpConfig("mail", 2525)),
        ("smtps://mail.example.org", SmtpConfig("mail.example.org", 465, Security.TLS)),
        ("smtp+starttls://mail", SmtpConfig("mail", 587, Security.STARTTLS)),
        ("smtp://u:p@mail", SmtpConfig("mail", 25, user="u", password="p")),
        ("smtp://u%40x:p%3A%2F%25@mail", SmtpConfig("mail", 25, user="u@x", password="p:/%")),
        ("smtp://u:p:q@mail", SmtpConfig("mail", 25, user="u", password="p:q")),
        ("smtp://mail?connections=5&timeout=600", SmtpConfig("mail", 25, connections=5, timeout=600)),
        ("smtp://[::1]:2525", SmtpConfig("::1", 2525)),
        ("smtp://[fe80::1%25eth0]", SmtpConfig("fe80::1%eth0", 25)),
        ("smtp://127.0.0.1?", SmtpConfig("127.0.0.1", 25)),
    ],
)
def test_a_right_address_is_read(url: str, config: SmtpConfig) -> None:
    assert parse(url) == config


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "begin with one of smtp://, smtps://, smtp\\+starttls://"),
        ("mail.example.org", "begin with"),
        ("gopher://mail", "begin with"),
        ("smtp:mail", "begin with"),
        ("smtp://", "the host is missing"),
        ("smtp://:25", "the host is missing"),
        ("smtp://u:p@", "the host is missing"),
        ("smtp://mail:", "the port must be a whole number from 1 to 65535"),
        ("smtp://mail:0", "the port"),
        ("smtp://mail:65536", "the port"),
        ("smtp://mail:x", "the port"),
        ("smtp://mail:٢٥", "the port"),
        ("smtp://ma_il..!", "the host is not"),
        ("smtp://::1", "the host is not"),
        ("smtp://mail?pool=5", "an option that is not one of connections, timeout"),
        ("smtp://mail?timeout=5&timeout=5", "the option timeout is given twice"),
        ("smtp://mail?connections=0", "the option connections must be a whole number from 1 to 1000"),
        ("smtp://mail?connections=1001", "the option connections"),
        ("smtp://mail?timeout=0.5", "the option timeout must be a whole number from 1 to 600"),
        ("smtp://mail?timeout", "the option timeout"),
        ("smtp://mail?timeout=-1", "the option timeout"),
        ("smtp://user@mail", "a user but no password"),
        ("smtp://user:@mail", "a user but no password"),
        ("smtp://:secret@mail", "no user before it"),
        ("smtp://@mail", "no user before it"),
        ("smtp://u:p@ss@mail", "write @ as %40"),
        ("smtp://u:p%zz@mail", "percent-encoded"),
        ("smtp://u:%ff@mail", "percent-encoded UTF-8"),
        ("smtp://u:a%0d%0ab@mail", "control character"),
        ("smtp://u:p/q@mail", "%2F"),
        ("smtp://u:p#q@mail", "%23"),
        ("smtp://mail/inbox", "there is no path"),
        (" smtp://mail", "a space or a control character"),
        ("smtp://mail\n", "a space or a control character"),
        ("smtp://u:p q@mail", "a space or a control character"),
    ],
)
def test_a_wrong_address_gets_one_sentence(url: str, complaint: str) -> None:
    with pytest.raises(WrongUrl, match=complaint):
        parse(url)


SECRETS = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Z"]), min_size=1)


@given(st.text() | st.builds("smtp://{}".format, st.text()) | st.from_regex(r"smtps?://[ -~]*"))
@example("smtp://[::1")
@example("smtp://a:b@[")
def test_whatever_it_is_given_it_raises_nothing_but_wrong_url(url: str) -> None:
    with suppress(WrongUrl):
        parse(url)


@given(user=SECRETS, password=SECRETS)
def test_any_user_and_password_survive_percent_encoding(user: str, password: str) -> None:
    config = parse(f"smtps://{quote(user, safe='')}:{quote(password, safe='')}@mail")
    assert (config.user, config.password) == (user, password)


@given(
    secret=st.from_regex(r"[A-Za-z0-9%@/:?#&=\[\] ]{0,10}Zq7[A-Za-z0-9%@/:?#&=\[\] ]{0,10}", fullmatch=True),
    rest=st.sampled_from(["mail", "mail:25", "mail:x", "", "mail?timeout=x", "mail?no=1", "mail/x"]),
)
def test_the_password_is_never_told(secret: str, rest: str) -> None:
    try:
        config = parse(f"smtp://user:{secret}@{rest}")
        told = config.name + repr(config)
    except WrongUrl as error:
        told = str(error)
    assert "Zq7" not in told


def test_the_name_is_the_address_without_the_login() -> None:
    assert parse("smtp+starttls://u:p@[::1]?timeout=5").name == "smtp+starttls://[::1]:587"


def test_the_address_makes_a_provider_that_is_not_yet_connected() -> None:
    provider = provider_from("smtps://u:p@mail.invalid?connections=7")
    assert isinstance(provider, SmtpProvider)
    assert (provider.name, provider.connections) == ("smtps://mail.invalid:465", 7)
    provider.close()
