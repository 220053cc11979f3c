"""Reading the address of the mail service."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.providers.errors import ProviderError
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.registry import provider_from
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import Config, HttpConfig, Security, SmtpConfig, WrongUrl, parse
from tests.providers.conftest import letter


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
        ("smtp://mail?total=1", SmtpConfig("mail", 25, total=1)),
        ("smtp://mail?total=10000&connections=1000", SmtpConfig("mail", 25, total=10_000, connections=1000)),
        ("https://token@host/path", HttpConfig("https", "host", 443, "/path", "token")),
        ("HTTPS://token@host", HttpConfig("https", "host", 443, "/", "token")),
        ("http://token@host:8080/", HttpConfig("http", "host", 8080, "/", "token")),
        ("https://a%2Fb%3Ac%40@host/v1/letters/", HttpConfig("https", "host", 443, "/v1/letters/", "a/b:c@")),
        ("https://t@host/a%20b;c=d@e:f", HttpConfig("https", "host", 443, "/a%20b;c=d@e:f", "t")),
        (
            "https://t@[::1]:8443/x?connections=5&timeout=7&total=9",
            HttpConfig("https", "::1", 8443, "/x", "t", connections=5, timeout=7, total=9),
        ),
        (
            "mailgun://key@api.eu.mailgun.net/mg.example.org?connections=5",
            HttpConfig(
                "https", "api.eu.mailgun.net", 443, "/v3/mg.example.org/messages.mime", "key", "mailgun", connections=5
            ),
        ),
        ("postal://k@post:8443/", HttpConfig("https", "post", 8443, "/api/v1/send/raw", "k", "postal")),
        (
            "SendGrid://SG.a%2Fb@api.sendgrid.com?total=9&timeout=7",
            HttpConfig("https", "api.sendgrid.com", 443, "/v3/mail/send", "SG.a/b", "sendgrid", total=9, timeout=7),
        ),
        (
            "postmark://t@api.postmarkapp.com",
            HttpConfig("https", "api.postmarkapp.com", 443, "/email", "t", "postmark"),
        ),
        ("brevo://k@api.brevo.com", HttpConfig("https", "api.brevo.com", 443, "/v3/smtp/email", "k", "brevo")),
        (
            "unisendergo://k@go2.unisender.ru",
            HttpConfig(
                "https", "go2.unisender.ru", 443, "/ru/transactional/api/v1/email/send.json", "k", "unisendergo"
            ),
        ),
    ],
)
def test_a_right_address_is_read(url: str, config: Config) -> None:
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
        ("smtp://mail?total=0", "the option total must be a whole number from 1 to 10000"),
        ("smtp://mail?total=-1", "the option total"),
        ("smtp://mail?total=10001", "the option total"),
        ("smtp://mail?total=1e9", "the option total"),
        ("smtp://mail?total=1000000000", "the option total"),
        ("smtp://mail?total=", "the option total"),
        ("smtp://mail?connections=1e9", "the option connections"),
        ("https://host/path", "the token is missing"),
        ("https://host", "the token is missing"),
        ("https://@host/path", "the token is missing"),
        ("https://host/path@x", "the token is missing"),
        ("https://a:b@host/", "a : in the token"),
        ("https://a:@host/", "a : in the token"),
        ("https://a/b@host/", "the token is missing"),
        ("https://a@b@host/", "write @ as %40"),
        ("https://a%zz@host/", "percent-encoded"),
        ("https://a%20b@host/", "a space or something that is not ASCII"),
        ("https://жетон@host/", "not ASCII"),
        ("https://a%0d%0ab@host/", "control character"),
        ("https://t@/path", "the host is missing"),
        ("https://t@host:0/", "the port"),
        ("https://t@ho_st..!/", "the host is not"),
        ("https://t@host/путь", "the path is not percent-encoded"),
        ("https://t@host/a%2", "the path is not percent-encoded"),
        ('https://t@host/a"b', "the path is not percent-encoded"),
        ("https://t@host/?key=x", "an option that is not one of connections, timeout, total"),
        ("https://t@host/path?total=0", "the option total"),
        ("https://t@host/path#part", "write|percent-encode it as %23"),
        ("http+unix://t@host/", "begin with"),
        ("sendgrid://SG.key", "the token is missing: write sendgrid://KEY@api.sendgrid.com"),
        ("sendgrid://SG.key@", "the host is missing"),
        ("sendgrid://SG.key@api.sendgrid.com/v3/mail/send", "there is a path: write sendgrid://KEY@api.sendgrid.com"),
        ("mailgun://key@api.mailgun.net", "write mailgun://KEY@api.mailgun.net/example.org"),
        ("mailgun://key@api.mailgun.net/a/b", "the domain that letters are sent from"),
        ("mailgun://key@api.mailgun.net/..%2Fx", "the domain that letters are sent from"),
        ("mailgun://api:key@api.mailgun.net/example.org", "a : in the token"),
        ("brevo://k@api.brevo.com?key=x", "an option that is not one of connections, timeout, total"),
        ("unisender_go://k@go1.unisender.ru", "begin with"),
    ],
)
def test_a_wrong_address_gets_one_sentence(url: str, complaint: str) -> None:
    with pytest.raises(WrongUrl, match=complaint):
        parse(url)


SECRETS = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Z"]), min_size=1)


@given(
    st.text()
    | st.builds("smtp://{}".format, st.text())
    | st.builds("https://t@{}".format, st.text())
    | st.from_regex(r"(smtps?|https?|mailgun|brevo)://[ -~]*")
)
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
    before=st.sampled_from(["smtp://user:", "https://", "mailgun://", "postmark://"]),
    rest=st.sampled_from(["mail", "mail:25", "mail:x", "", "mail?timeout=x", "mail?no=1", "mail/x"]),
)
def test_password_and_token_are_never_told(secret: str, before: str, rest: str) -> None:
    try:
        config = parse(f"{before}{secret}@{rest}")
        told = config.name + repr(config)
    except WrongUrl as error:
        told = str(error)
    assert "Zq7" not in told


def test_the_name_is_the_address_without_the_login() -> None:
    assert parse("smtp+starttls://u:p@[::1]?timeout=5").name == "smtp+starttls://[::1]:587"
    assert parse("https://t@[::1]/a-path-with-a-key").name == "https://[::1]:443"
    assert parse("mailgun://t@api.mailgun.net/example.org").name == "mailgun://api.mailgun.net:443"


def test_the_address_makes_a_provider_that_is_not_yet_connected() -> None:
    provider = provider_from("smtps://u:p@mail.invalid?connections=7")
    assert isinstance(provider, SmtpProvider)
    assert (provider.name, provider.connections) == ("smtps://mail.invalid:465", 7)
    provider.close()


def test_an_http_address_makes_an_http_provider_with_no_more_connections_than_asked_for() -> None:
    provider = provider_from("https://t@mail.invalid/letters?connections=7&total=3", connections=2)
    assert isinstance(provider, HttpProvider)
    assert (provider.name, provider.connections) == ("https://mail.invalid:443", 2)
    provider.close()


@pytest.mark.parametrize("address", ["mailgun://key@mail.invalid/example.org", "postmark://key@mail.invalid"])
def test_the_address_of_a_mail_service_makes_an_http_provider(address: str) -> None:
    provider = provider_from(f"{address}?connections=7", connections=2)
    assert isinstance(provider, HttpProvider)
    assert (provider.name, provider.connections) == (f"{address.partition(':')[0]}://mail.invalid:443", 2)
    provider.close()


@pytest.mark.parametrize("host", ["[::1]", "[fe80::1%25lo]", "nowhere.invalid", "a..b", "x" * 64 + ".example", "1.2.3"])
def test_a_right_address_that_leads_nowhere_is_an_error_of_the_provider(host: str) -> None:
    for url in (f"http://t@{host}:9/path", f"smtp://{host}:9"):
        provider = provider_from(f"{url}?timeout=2")
        with pytest.raises(ProviderError):
            list(provider.deliver([letter()]))
        provider.close()
