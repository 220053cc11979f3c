"""Values inside links: they fill a place in an address, and never make another address of it."""

import html as html_library
import re
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.mailings.rendering import CompiledMessage, Content, Preview

PLUS = "bob+news@example.com"


def shown(
    html: str = "", text: str = "", email: str = "bob@example.com", full_name: str = "Bob", **attributes: str
) -> Preview:
    content = Content(subject="News", html=html, text=text, sender="news@example.org", sender_name="", reply_to="")
    return CompiledMessage(content).preview(address=email, full_name=full_name, attributes=attributes)


def href(html: str, **values: str) -> str:
    """The address of the one link, as a browser reads it."""
    found = re.search(
        r"""(?:href|src|background)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*))""",
        shown(html, **values).html,
        re.IGNORECASE,
    )
    assert found
    return html_library.unescape(found[found.lastindex or 1])


@pytest.mark.parametrize(
    "link",
    [
        '<a href="https://x.example/?e={{ email }}">x</a>',
        "<a class=b href='https://x.example/?e={{ email }}'>x</a>",
        "<a href=https://x.example/?e={{ email }}>x</a>",
        '<A\nHREF = "https://x.example/?e={{ email }}" title="{{ full_name }}">x</A>',
        '<a title=">" href="/?e={{ email }}">x</a>',
        '<img alt="" src="https://x.example/pixel?e={{ email }}">',
        '<td background="https://x.example/?e={{ email }}">',
        '<a href="https://x.example/?e=%7B%7Bemail%7D%7D">x</a>',
        '<!--[if mso]><a href="https://x.example/?e={{ email }}"><![endif]-->',
    ],
)
def test_a_value_in_a_links_query_is_percent_encoded(link: str) -> None:
    assert parse_qs(urlsplit(href(link, email=PLUS)).query) == {"e": [PLUS]}


def test_the_ampersand_of_a_value_does_not_end_it() -> None:
    link = '<a href="https://x.example/?n={{ full_name }}&amp;e={{ email }}">x</a>'
    found = parse_qs(urlsplit(href(link, full_name="A&B = 100% «ё»", email=PLUS)).query)
    assert found == {"n": ["A&B = 100% «ё»"], "e": [PLUS]}


def test_a_value_in_a_path_stays_in_its_place() -> None:
    address = href('<a href="https://x.example/{{ attributes.a }}/end">x</a>', a="../b?c#d")
    assert address == "https://x.example/..%2Fb%3Fc%23d/end"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://shop.example/a?b=c&d=1#e", "https://shop.example/a?b=c&d=1#e"),
        ("http://shop.example/a b", "http://shop.example/a%20b"),
        ("HTTPS://shop.example/%D0%B0", "HTTPS://shop.example/%D0%B0"),
        ("https://пример.рф/путь", "https://пример.рф/путь"),
        ("mailto:anna@example.org?subject=Hi", "mailto:anna@example.org?subject=Hi"),
        (" https://shop.example/ ", "https://shop.example/"),
        ("/page", "/page"),
        ("", ""),
        ("javascript:alert(1)", ""),
        ("JaVaScRiPt:alert(1)", ""),
        ("java\tscript:alert(1)", ""),
        ("\x01javascript:alert(1)", ""),
        (" \njavascript:alert(1)", ""),
        ("data:text/html,<script>alert(1)</script>", ""),
        ("vbscript:x", ""),
        ("file:///etc/passwd", ""),
        ('https://x.example/" onmouseover="alert(1)', "https://x.example/%22%20onmouseover=%22alert(1)"),
    ],
)
def test_a_value_that_is_a_whole_address_is_one_of_the_web_or_of_mail(value: str, address: str) -> None:
    assert href('<a href="{{ attributes.link }}">x</a>', link=value) == address


def test_a_default_stands_in_for_an_address_that_may_not_be_one() -> None:
    link = '<a href="{{ attributes.link | default: "https://x.example/" }}">x</a>'
    assert href(link, link="javascript:alert(1)") == "https://x.example/"
    assert href(link) == "https://x.example/"


def test_a_scheme_is_not_put_together_of_two_values() -> None:
    link = '<a href="{{ attributes.a }}{{ attributes.b }}">x</a>'
    assert href(link, a="java", b="script:alert(1)") == "javascript%3Aalert%281%29"


def test_a_host_or_more_behind_the_slashes_stays_as_it_is() -> None:
    link = '<a href="https://{{ attributes.site }}">x</a>'
    assert href(link, site="shop.example/a?b=c") == "https://shop.example/a?b=c"


BESIDE_HOSTS = (
    "https://{}.shop.example/",
    "https://{}.shop.example",
    "//{}.shop.example/",
    "https:{}.shop.example/",
    "https:\\\\{}.shop.example/",
    "https://www.{}.shop.example/?a=b",
    "https://{}-eu.shop.example/",
    " https://{}.shop.example/",
)


@pytest.mark.parametrize("written", BESIDE_HOSTS)
def test_a_part_of_a_host_is_that_part_alone(written: str) -> None:
    link = f'<a href="{written.format("{{ attributes.a }}")}">x</a>'
    assert href(link, a=" tula ") == written.format("tula")
    assert href(link, a="тула") == written.format("тула")
    for other in ("evil.com/x", "evil.com/", "evil.com?", "evil.com#", "evil.com\\", "u@evil.com", "evil.com／", "a b"):
        assert href(link, a=other) == written.format("")
    assert href(link.replace(" }}", ' | default: "all" }}'), a="evil.com/x") == written.format("all")


def test_a_host_with_a_place_behind_it_is_a_host_alone() -> None:
    link = '<a href="https://{{ attributes.a }}{{ attributes.b }}/?e={{ email }}">x</a>'
    assert href(link, a="shop", b=".example") == "https://shop.example/?e=bob%40example.com"
    assert href(link, a="evil.example/", b="x") == "https://x/?e=bob%40example.com"
    assert shown(text="https://{{ attributes.a }}.shop.example/", a="evil.example/x").text == "https://.shop.example/"
    assert shown(text="See https://{{ attributes.a }}.", a="shop.example/x").text == "See https://shop.example/x."


def test_a_value_before_a_colon_is_the_scheme_of_an_address_of_the_web_or_of_mail() -> None:
    link = '<a href="{{ attributes.a }}:{{ attributes.b }}">x</a>'
    assert href(link, a="javascript", b="alert(1)") == ":alert%281%29"
    assert href(link, a="mailto", b="a") == "mailto:a"


def test_mail_and_phone_addresses_keep_what_makes_them_so() -> None:
    assert href('<a href="mailto:{{ email }}">x</a>', email=PLUS) == "mailto:bob%2Bnews@example.com"
    assert href('<a href="mailto:a@b.example?body={{ email }}">x</a>', email=PLUS).endswith(
        "?body=bob%2Bnews%40example.com"
    )
    assert href('<a href="tel:{{ attributes.phone }}">x</a>', phone="+7 (495) 1") == "tel:+7%20%28495%29%201"


@pytest.mark.parametrize("text", ["https://x.example/?e={{ email }}", "See www.x.example/?e={{ email }} now"])
def test_a_bare_address_in_a_text_is_one(text: str) -> None:
    for said in (shown(text=text, email=PLUS).text, shown(html=f"<p>{text}</p>", email=PLUS).html):
        assert "?e=bob%2Bnews%40example.com" in said


@pytest.mark.parametrize(
    "behind",
    [
        ",&nbsp;", ",&#160;", "&#xA0;", "&nbsp", "&lt;", "&gt;", "&quot;", "&#34;", "&ensp;", "&laquo;", "&mdash;",
        "&#8203;", "&zwnj;", " ", "\u00a0", "<br>", "»", "”", "—", "\u200b", ", ", "), ", ")", "/a)", "/a), ", ";",
        "/»", "!",
    ],
)  # fmt: skip
def test_an_address_ends_where_its_readers_see_its_end(behind: str) -> None:
    name = "Bob & Иван"
    assert shown(f"<p>(https://x.example{behind}{{{{ full_name }}}}</p>", full_name=name).html.endswith(
        f"{behind}Bob &amp; Иван</p>"
    )
    if "&" not in behind:
        assert shown(text=f"(https://x.example{behind}{{{{ full_name }}}}", full_name=name).text.endswith(behind + name)


@pytest.mark.parametrize(
    "written", ["https://x.example/?a=1&amp;n={}", "https://x.example/a_(b)/{}", "https://x.example/?a,b;c=!{}"]
)
def test_an_address_goes_on_where_its_readers_see_it_go_on(written: str) -> None:
    html = shown(f"<p>{written.format('{{ full_name }}')}</p>", full_name="A&B").html
    assert html == f"<p>{written.format('A%26B')}</p>"


@pytest.mark.parametrize("word", ["Awww.", "xhttps://"])
def test_a_word_that_ends_as_addresses_begin_is_none(word: str) -> None:
    assert shown(text=f"{word}{{{{ full_name }}}}", full_name="A & B").text == f"{word}A & B"


def test_an_address_that_is_a_value_of_a_text_is_left_alone() -> None:
    assert shown(text="{{ attributes.link }}", link="https://x.example/?a=b+c").text == "https://x.example/?a=b+c"


@pytest.mark.parametrize(
    "html",
    ["<p>{{ email }}</p>", '<p title="{{ email }}">x</p>', "<p>2 < 3, {{ email }}</p>", "<a href='x'>{{ email }}</a>"],
)
def test_elsewhere_values_are_written_as_they_are(html: str) -> None:
    assert shown(html, email=PLUS).html == html.replace("{{ email }}", PLUS)


def test_an_address_is_read_as_people_write_it_and_linked_as_programs_do() -> None:
    html = '<a href="https://x.example/?e={{ email }}">{{ email }}</a>'
    assert shown(html, email="bob@xn--e1afmkfd.xn--p1ai").html == (
        '<a href="https://x.example/?e=bob%40xn--e1afmkfd.xn--p1ai">bob@пример.рф</a>'
    )


VALUES = st.text(max_size=30) | st.sampled_from(["&", "+", " ", '"', "'", "<", ">", "#", "?", "%", "/", "javascript:x"])


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_whatever_the_values_say_the_link_keeps_its_parts(a: str, b: str) -> None:
    link = '<a href="https://x.example/p/{{ attributes.a }}?q={{ attributes.b }}&amp;z=1#end">x</a>'
    html = shown(link, a=a, b=b).html
    assert html.count('"') == 2
    assert html.count("<") == html.count(">") == 2
    parts = urlsplit(href(link, a=a, b=b))
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "x.example", "end")
    assert [piece.partition("=")[0] for piece in parts.query.split("&")] == ["q", "z"]
    assert parts.path.count("/") == 2
    clean = "".join(c for c in b.replace("\r\n", "\n").replace("\r", "\n") if c in "\t\n" or (c >= " " and c != "\x7f"))
    assert unquote(parts.query.split("&")[0].removeprefix("q=")).replace("\r\n", "\n") == clean


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(BESIDE_HOSTS[:3] + BESIDE_HOSTS[5:7]), VALUES | st.text("ab./\\?#@:%[]。／", max_size=9))
def test_whatever_a_value_before_a_host_says_the_host_stays(written: str, value: str) -> None:
    address = href(f'<a href="{written.format("{{ attributes.a }}")}">x</a>', a=value)
    assert urlsplit(address).netloc.endswith("shop.example")


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_whatever_a_whole_address_says_it_is_none_that_runs(value: str) -> None:
    address = href('<a href="{{ attributes.link }}">x</a>', link=value)
    scheme = re.match(r"[\s\x00-\x1f]*([a-zA-Z][a-zA-Z0-9+.-]*):", re.sub(r"[\t\r\n]", "", address))
    assert scheme is None or scheme[1].lower() in ("http", "https", "mailto")
