"""Posts' HTML: what stays of what was typed, pasted or smuggled in."""

import re
import time
from html.parser import HTMLParser

import pytest
from django.core.exceptions import ValidationError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.timing import in_time
from vestnik.blog import html, verbs
from vestnik.blog.models import Picture, Post

KEY = "0123456789abcdef" * 2
OWN = f"/media/blog/{KEY}/1600.jpg"

FOREIGN = (
    '<img src="https://evil.example/a.png">', '<img src="//evil.example/a.png">',
    '<img src="data:image/png;base64,AA">', '<img src="/media/blog/../../etc/passwd">',
    '<img src="/static/x.png">', '<img src="">', "<img>", '<img alt="x">',
    f'<img src="https://evil.example{OWN}">', f'<img src="{OWN}?x">', f'<img src="/media/blog/{KEY}/0.jpg">',
)  # fmt: skip


def address(width=1600, kind="jpg"):
    return f"/media/blog/{KEY}/{width}.{kind}"


@pytest.mark.parametrize(
    "kept",
    [
        "<h2>One</h2><h3>Two</h3><p>a <strong>b</strong> <em>c</em> <u>d</u> <s>e</s> <code>f</code></p>",
        "<ul><li><p>a</p></li></ul><ol start=\"3\"><li><p>b</p></li></ol><blockquote><p>c</p></blockquote><hr>",
        "<pre><code>a &lt; b\n\nc</code></pre>",
        "<table><tbody><tr><th colspan=\"2\">a</th></tr><tr><td>b</td><td>c</td></tr></tbody></table>",
        '<p><a href="https://example.org/?a=1&amp;b=2" rel="noopener noreferrer">a</a></p>',
        f'<figure><img src="{OWN}" alt="A &lt;b&gt; &quot;c&quot;" width="1600" height="900">'
        "<figcaption>d</figcaption></figure>",
    ],
)  # fmt: skip
def test_what_the_editor_makes_stays_as_it_is(kept):
    assert html.clean(kept) == kept


@pytest.mark.parametrize("image", FOREIGN)
def test_pictures_of_others_are_left_out(image):
    assert html.clean(f"<p>a{image}b</p>") == "<p>ab</p>"


def test_a_picture_copied_from_a_page_of_ours_is_ours():
    cleaned = html.clean(f'<p><img src="http://localhost:8000{OWN}" alt="a"></p>')
    assert cleaned == f'<p><img src="{OWN}" alt="a"></p>'


@pytest.mark.parametrize(
    "smuggled",
    [
        "<script>alert(1)</script>", "<SCRIPT SRC=//evil.example></SCRIPT>", "<style>*{color:red}</style>",
        "<iframe src=//evil.example></iframe>", "<svg onload=alert(1)>", "<svg><script>1</script></svg>",
        "<math><mtext><style><img src=x onerror=alert(1)>", "<form action=/x><input></form>",
        "<meta http-equiv=refresh>", "<base href=//evil.example>", "<object data=x></object>", "<embed src=x>",
        "<template><script>1</script></template>", "<!-- <script> -->",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<link rel=stylesheet>",
    ],
)  # fmt: skip
def test_what_acts_is_left_out(smuggled):
    assert html.clean(f"<p>a</p>{smuggled}").startswith("<p>a</p>")
    assert_harmless(html.clean(smuggled))


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "&#106;avascript:alert(1)", "java\tscript:1", "data:text/html,x",
        "vbscript:x",
    ],
)  # fmt: skip
def test_links_that_act_lead_nowhere(address):
    assert html.clean(f'<a href="{address}">a</a>') == '<a rel="noopener noreferrer">a</a>'


class Looker(HTMLParser):
    """All tags and attributes, as a parser of another kind than nh3's sees them."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.attributes = set(), []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs


def assert_harmless(content):
    seen = Looker(content)
    assert seen.tags <= html.TAGS
    for name, value in seen.attributes:
        assert name in {"href", "title", "src", "alt", "width", "height", "start", "colspan", "rowspan", "rel"}
        if name == "href":
            assert not re.match(r"[\s\x00-\x1f]*(javascript|data|vbscript)[\s]*:", value or "", re.IGNORECASE)
        if name == "src":
            assert html.OWN.fullmatch(value, len("/media/"))
    assert "<!--" not in content


PIECES = st.sampled_from(
    [
        *(f"<{tag}>" for tag in sorted(html.TAGS)), *(f"</{tag}>" for tag in sorted(html.TAGS)), *FOREIGN,
        "<script>", "</script>", "<style>", "</style>", "<svg>", "</svg>", "<math>", "<mtext>", "<iframe>", "<form>",
        "<meta>", "<base href=//x>", "<textarea>", "</textarea>", "<title>", "<template>", "<noscript>", "<select>",
        "<option>", "<foreignObject>", "<annotation-xml>", "<plaintext>", "<xmp>", "<caption>", "<colgroup>",
        "<p style=color:red onclick=x>", "<a href=javascript:x>", "<a href=' javascript:x'>",
        "<a href=https://a.example>", f'<img src="{OWN}">', f'<img src="{OWN}" onerror=x alt="<script>">',
        "<img src=x onerror=alert(1)>", "<!--", "-->",
        "\n", "&lt;script&gt;", "&nbsp;", "\"", "'", ">", "<", "<![CDATA[", "]]>", "text",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join))
@example("<pre>\n\n\n</pre>")
@example("<table><caption><a>")
def test_cleaning_is_done_at_once_and_leaves_nothing_that_acts(content):
    cleaned = html.clean(content)
    assert_harmless(cleaned)
    assert html.clean(cleaned) == cleaned
    shown = Looker(html.responsive(cleaned))
    assert shown.tags <= html.TAGS | {"picture", "source"}


@pytest.mark.parametrize(
    "content", ["<b>" * 50_000, "<a>" * 3_000, "<table>" * 3_000, '<img alt="' * 20_000, "<" * 100_000]
)
def test_a_text_made_to_take_long_does_not(content):
    began = time.monotonic()
    html.responsive(html.clean(content))
    in_time(time.monotonic() - began, 5)


# What is shown


def test_pictures_are_shown_in_the_width_that_is_needed():
    shown = html.responsive(f'<p>a<img src="{OWN}" alt="b &quot;c&quot;" width="1600" height="900"></p>')
    webp = ", ".join(f"{address(width, 'webp')} {width}w" for width in (480, 960, 1600))
    jpeg = ", ".join(f"{address(width)} {width}w" for width in (480, 960, 1600))
    sizes = 'sizes="(min-width: 48rem) 45rem, 100vw"'
    assert shown == (
        f'<p>a<picture><source type="image/webp" srcset="{webp}" {sizes}><img src="{OWN}" srcset="{jpeg}" {sizes}'
        ' alt="b &quot;c&quot;" width="1600" height="900" loading="lazy" decoding="async"></picture></p>'
    )


def test_text_without_pictures_is_shown_as_it_is():
    assert html.responsive("<p>a &lt;img src=x&gt;</p>") == "<p>a &lt;img src=x&gt;</p>"
    assert html.responsive("") == ""


# What is saved


def post(content):
    return verbs.save_post(Post(title="Hello", slug="hello", content=content))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content", ["<script>alert(1)</script>", "<p></p>", "<p>&nbsp;\u200b</p>", "<p><img src=x></p>", "<hr>", " "]
)
def test_a_text_of_which_nothing_is_left_is_refused(content):
    with pytest.raises(ValidationError) as refused:
        post(content)
    assert "Nothing is left of the text" in refused.value.message_dict["content"][0]


@pytest.mark.django_db
def test_a_text_that_is_a_picture_alone_is_saved_with_its_true_size():
    Picture.objects.create(key=KEY, width=1600, height=900)
    saved = post(f'<p><img src="{address(480, "webp")}" alt="a" width="5" height="7"></p>')
    assert saved.content == f'<p><img src="{OWN}" alt="a" width="1600" height="900"></p>'


@pytest.mark.django_db
def test_a_post_cannot_show_a_picture_that_is_not_kept():
    with pytest.raises(ValidationError) as refused:
        post(f'<p><img src="{OWN}"></p>')
    assert "content" in refused.value.message_dict
