"""Values by the place where they stand in HTML: they fill it, and neither begin a tag nor add an attribute, nor run."""

import html as html_library
import json
import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mailings.test_links import href, shown
from tests.timing import in_time
from vestnik.mailings import rendering
from vestnik.mailings.models import LONGEST_TEXT
from vestnik.mailings.rendering import TemplateError

HOSTILE = (
    "javascript:alert(1)",
    "href=javascript:alert(1)",
    "x onerror=alert(1)",
    "x\tonerror=alert(1)",
    'x" onerror="alert(1)',
    "x' onerror='alert(1)",
    "x><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "red;background:url(//evil.example/)",
    "x);background:url(//evil.example/)",
    "}*{background:url(//evil.example/)}",
    "');alert(1);//",
    "\\');alert(1);//",
    "evil.example/x",
    "--><script>alert(1)</script>",
    "/*",
    "",
    " ",
)
SOUND = (
    '<p class="{{ attributes.a }}">x</p>',
    "<p class='{{ attributes.a }}'>x</p>",
    "<img alt={{ attributes.a }} src=x>",
    "<img alt=x{{ attributes.a }}y src=x>",
    "<img alt={{ attributes.a }}{{ attributes.b }} src=x>",
    '<img alt={{ attributes.a }}"b src=x>',
    "<img src={{ attributes.a }} alt=x>",
    "<a href={{ attributes.a }}>x</a>",
    '<a title=x href="{{ attributes.a }}">x</a>',
    '<a = title=x href="{{ attributes.a }}">x</a>',
    "<a href=https://{{ attributes.a }}.example/?b={{ attributes.b }}>x</a>",
    '<td style="color:{{ attributes.a }};width:{{ attributes.b }}px">x</td>',
    "<td style=color:{{ attributes.a }}>x</td>",
    '<td style="background:url({{ attributes.a }})">x</td>',
    '<td style="background:url(&quot;{{ attributes.a }}&quot;)">x</td>',
    "<td style=\"background:url('https://x.example/{{ attributes.a }}.png')\">x</td>",
    "<style>p { color: {{ attributes.a }} } td { background: url({{ attributes.b }}) }</style><p>x</p>",
    "<STYLE>p:before { content: '{{ attributes.a }}' }</STYLE ><p>x</p>",
    '<meta http-equiv="refresh" content="5; url={{ attributes.a }}">',
    '<meta http-equiv="refresh" content="{{ attributes.a }}">',
    '<a href="x" onclick="say(\'{{ attributes.a }}\')">x</a>',
    '<script type="application/ld+json">{"name": "{{ attributes.a }}"}</script><p>x</p>',
    "<title>{{ attributes.a }} < {{ attributes.b }}</title><p>x</p>",
    "<!-- {{ attributes.a }} --><p>x</p>",
    '<!--[if mso]><a href="{{ attributes.a }}"><![endif]--><p>x</p>',
    '<!--[if !mso]><!--><a href="{{ attributes.a }}">x</a><!--<![endif]-->',
    '<img srcset="{{ attributes.a }} 1x, {{ attributes.b }} 2x" src=x>',
)
IMPOSSIBLE = (
    '<a {{ attributes.a }} href="x">x</a>',
    '<a {{ attributes.a }} href="{{ attributes.b }}">x</a>',
    "<a href='x'{{ attributes.a }}>x</a>",
    '<a data-{{ attributes.a }}="x">x</a>',
    '<a {{ attributes.a }}="x">x</a>',
    "<h{{ attributes.a }}>x</h1>",
    "<p>x</p{{ attributes.a }}>",
    "<{{ attributes.a }}>x",
    "Anna <{{ email }}>",
    "</{{ attributes.a }}>",
    "<a href=\"javascript:say('{{ attributes.a }}')\">x</a>",
    '<a href=" java&#115;cript:{{ attributes.a }}">x</a>',
    '<img src="data:image/svg+xml,{{ attributes.a }}">',
    '<a href="java&Tab;script&colon;{{ attributes.a }}">x</a>',
    '<a href="javascript:/*' + "x" * 9_000 + '*/{{ attributes.a }}">x</a>',
    '<iframe srcdoc="<p>{{ attributes.a }}</p>"></iframe>',
    '<a\u00a0href="{{ attributes.a }}">x</a>',
)


class Shape(HTMLParser):
    """What a letter is made of, without what is written in it; and its addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _value in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}",))


def holds(template: str, a: str, b: str) -> None:
    """The letter has the same tags and attributes whatever the values say, and no address that runs."""
    html = shown(template, a=a, b=b).html
    found = Shape(html)
    assert found.tags == Shape(shown(template, a="x", b="y").html).tags
    for address in found.addresses:
        assert not re.match(r"[\s\x00-\x1f]*(?:javascript|data|vbscript):", re.sub(r"[\t\r\n]", "", address), re.I)
    assert declared(html) == declared(template.replace("{{ attributes.a }}", "").replace("{{ attributes.b }}", ""))


def declared(html: str) -> list[int]:
    """How many declarations, rules, functions and strings the styles have."""
    styles = re.findall(r"<style>(.*?)</style|style=(\"[^\"]*\"|[^\s\">]+)", html, re.IGNORECASE | re.DOTALL)
    css = re.sub(r"url\([^()]*\)", "", html_library.unescape(" ".join(map("".join, styles))).replace('"', ""))
    return [css.count(end) for end in ";{}():'"]


@pytest.mark.parametrize("template", SOUND)
def test_a_value_fills_its_place_and_adds_nothing(template: str) -> None:
    rendering.check(template, html=True)
    for value in HOSTILE:
        holds(template, value, value)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SOUND), st.text(max_size=20) | st.sampled_from(HOSTILE), st.text(max_size=20))
def test_whatever_values_say_the_letter_keeps_its_shape(template: str, a: str, b: str) -> None:
    holds(template, a, b)


@pytest.mark.parametrize("template", IMPOSSIBLE)
def test_where_no_value_can_stand_the_message_is_refused_with_the_place(template: str) -> None:
    with pytest.raises(TemplateError) as refused:
        rendering.check(f"<p>\n{template}", html=True)
    told = rendering.sentences(refused.value.faults)
    assert "no value can be filled in there" in told[0]
    assert "(line 2)" in told[0]
    rendering.check(template)


@pytest.mark.parametrize("template", IMPOSSIBLE)
def test_a_message_saved_before_has_nothing_in_such_a_place(template: str) -> None:
    empty = re.sub(r"\{\{.*?\}\}", "", template)
    for value in HOSTILE:
        assert shown(template, email=value, a=value).html == empty


def test_a_value_is_read_as_it_is_wherever_it_stands() -> None:
    name = """O'Neil & "Co" <x> = 1"""
    for template in ("<img alt={{ full_name }} src=x>", '<img alt="{{ full_name }}" src=x>'):
        found = re.search(r'alt="([^"]*)"', shown(template, full_name=name).html)
        assert found
        assert html_library.unescape(found[1]) == name
    script = shown('<script type="application/ld+json">{"name": "{{ full_name }} 🦊"}</script>', full_name=name).html
    assert json.loads(script[script.index("{") : script.index("</script")]) == {"name": f"{name} 🦊"}


@pytest.mark.parametrize(
    ("place", "value", "written"),
    [
        ('<p style="color:{}">', "#ff0000", "#ff0000"),
        ('<p style="width:{}">', "12.5%", "12.5%"),
        ('<p style="color:{}">', "red;x:y", "red\\3b x\\3a y"),
        ('<p style="background:url({})">', "//x.example/?a&b", "//x.example/?a&amp;b"),
        ("<style>p{{background:url({})}}</style>", "//x.example/?a&b", "//x.example/?a&b"),
        ('<p style="background:url({})">', "https://x.example/a(b)'", "https://x.example/a%28b%29%27"),
        ('<p style="background:url({})">', "javascript:x", ""),
        ('<meta http-equiv="refresh" content="5;url={}">', "javascript:x", ""),
        ('<meta name="author" content="{}">', "Anna B.", "Anna B."),
        ('<img srcset="x 1x, {} 2x">', "https://x.example/a", "https://x.example/a"),
    ],
)
def test_a_value_in_a_style_a_set_or_a_refresh_is_written_as_one(place: str, value: str, written: str) -> None:
    assert shown(place.format("{{ attributes.a }}"), a=value).html == place.format(written)


def test_an_attribute_behind_a_value_is_read_on() -> None:
    assert href('<a title={{ full_name }} href="{{ attributes.a }}">x</a>', a="javascript:alert(1)") == ""


@pytest.mark.parametrize(
    "repeated",
    [
        "<",
        "<a ",
        "<a b='",
        '<a b="',
        "<!--",
        "<style>",
        "<style></s",
        "url(",
        "<a =",
        "<p x=y ",
        "https://",
        "&lt;",
        "(",
    ],
)
def test_no_html_keeps_a_page_waiting(repeated: str) -> None:
    text = "{{ email }}" + (repeated * (LONGEST_TEXT // len(repeated)))[: LONGEST_TEXT - 22] + "{{ email }}"
    began = time.process_time()
    try:
        rendering.check(text, html=True)
    except TemplateError as error:
        str(error)
    in_time(time.process_time() - began, 3)


@pytest.mark.parametrize(
    "around",
    ['<a href="https://x.example/{}">x</a>', "<style>{}</style>", "<p>https://x.example/?{}</p>", "<p title={}>"],
)
def test_a_thousand_values_in_one_place_keep_no_page_waiting(around: str) -> None:
    text = around.format(("{{ email }}" + "&amp;a" * 160) * 1000)
    began = time.process_time()
    rendering.check(text, html=True)
    in_time(time.process_time() - began, 3)
