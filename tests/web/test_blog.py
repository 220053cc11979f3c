"""The blog: its list, its posts, its feed, and what search engines are told."""

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.shortcuts import render
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import translation

from tests.web.posts import make_picture, make_post
from vestnik import clock
from vestnik.blog import verbs
from vestnik.blog.models import Post
from vestnik.front import page_cache, public_urls
from web.blog import reading, search_engines, texts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

SCRIPT = "<script>alert(1)</script>"
SITE = "https://vestnik.example.org"
ATOM = "{http://www.w3.org/2005/Atom}"
MAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


@pytest.fixture(autouse=True)
def site(settings):
    settings.SITE_URL = SITE


def text(answer):
    return answer.content.decode()


def titles(answer):
    return re.findall(r'<h2 class="post-title"><a [^>]*>(.*?)</a>', text(answer))


def meta(answer):
    """The names of the page's meta elements and what they say."""
    return dict(re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', text(answer)))


# The list


def test_before_the_first_post_the_blog_says_so(client):
    assert "Nothing is written yet" in text(client.get("/en/blog/"))
    assert client.get("/en/blog/?page=2").status_code == 404


def test_the_newest_posts_come_first_a_dozen_a_page_in_either_language(client):
    for number in range(25):
        make_post(f"Title {number}", language="ru" if number % 2 else "en")

    for language in ("en", "ru"):
        pages = [titles(client.get(public_urls.blog(language, page))) for page in (1, 2, 3)]
        assert [title for page in pages for title in page] == [f"Title {number}" for number in range(24, -1, -1)]
        assert [len(page) for page in pages] == [12, 12, 1]


def test_drafts_and_what_waits_for_its_date_are_on_no_page(client, alice):
    draft = make_post("A draft", draft=True)
    waiting = make_post("Tomorrow", publish_at=clock.now() + timedelta(days=1))

    for path in ("/en/", "/en/blog/", "/en/blog/feed/", "/sitemap.xml"):
        assert not re.search(f"A draft|Tomorrow|{draft.slug}|{waiting.slug}", text(client.get(path))), path
    for post in (draft, waiting):
        assert client.get(post.get_absolute_url()).status_code == 404
    client.force_login(alice)
    assert client.get(draft.get_absolute_url()).status_code == 404


def test_pages_are_links_and_the_first_is_the_blog_s_own_address(client):
    for _number in range(37):
        make_post()

    links = re.findall(r'class="page-link"[^>]* href="([^"]+)"', text(client.get("/ru/blog/?page=2&utm_source=x")))

    assert links == ["/ru/blog/", "/ru/blog/", "/ru/blog/?page=3", "/ru/blog/?page=4", "/ru/blog/?page=3"]
    assert 'href="/en/blog/?page=2"' in text(client.get("/ru/blog/?page=2&utm_source=x"))


@pytest.mark.parametrize(
    "page", ["99999", "3", "0", "-1", "1.5", "abc", "٣", "01", "1e1", " 2", "2 ", "123456", "%00", "<b>"]
)
def test_a_page_that_is_not_there_says_so_and_leads_to_the_first(client, page):
    for _number in range(13):
        make_post()

    answer = client.get(f"/en/blog/?page={quote(page)}")

    assert answer.status_code == 404
    assert "There are 2 pages of posts" in text(answer)
    assert re.search(r'<a class="btn btn-primary" href="/en/blog/">To the first page', text(answer))


def test_an_empty_page_number_is_none(client):
    make_post("The one")

    assert titles(client.get("/en/blog/?page=")) == ["The one"]


def test_the_first_page_number_counts_if_there_are_two(client):
    for _number in range(13):
        make_post()

    assert len(titles(client.get("/en/blog/?page=2&page=1"))) == 1


def test_a_card_shows_the_picture_in_its_widths_and_nothing_jumps(client):
    make_post(picture=make_picture(2000, 1000, alt='A "calm" drawing'), slug="with")

    page = text(client.get("/en/blog/"))

    key = Post.objects.get().picture.key
    assert f'<source type="image/webp" srcset="/media/blog/{key}/480.webp 480w, ' in page
    assert f"/media/blog/{key}/1600.jpg 1600w" in page
    assert re.search(r'<img [^>]*width="2000" height="1000" alt="A &quot;calm&quot; drawing"', page)


def test_only_pictures_below_the_first_row_wait_until_they_come_near(client):
    picture = make_picture()
    for _number in range(6):
        make_post(picture=picture)

    images = re.findall(r"<img src=\"/media[^>]+>", text(client.get("/en/blog/")))

    assert ['loading="lazy"' in image for image in images] == [False] * 3 + [True] * 3


def test_a_post_without_an_image_has_a_drawn_cover_and_no_broken_frame(client):
    make_post()

    page = text(client.get("/en/blog/"))

    assert "cover-drawn" in page
    assert 'src="/media' not in page


def test_a_card_says_the_excerpt_or_the_beginning_of_the_text(client):
    make_post(excerpt="What it is about.", content="<p>The text itself.</p>")
    make_post(content=f"<h2>Head</h2><p>One <b>two</b>, three &amp; four.</p><p>{'word ' * 100}</p>")

    page = text(client.get("/en/blog/"))

    assert "What it is about." in page
    assert "The text itself" not in page
    assert "Head One two, three &amp; four. word word" in page
    assert "word…" in page


@pytest.mark.parametrize(
    ("content", "beginning"),
    [
        ("<p>One</p><p>two</p>", "One two"),
        ("<p>A&nbsp;&lt;b&gt; &amp;amp;</p>", "A <b> &amp;"),
        ("<pre>code()</pre><p>Words</p>", "Words"),
        ('<figure><img alt="x"><figcaption>Caption</figcaption></figure><p>Words</p>', "Words"),
        ("<p>Words\x0b\x01\x85here</p>", "Words here"),
        ('<p>Words</p><p><a href="https://ex', "Words"),
        ("<p>" + "a" * 300, "a" * 219 + "…"),
        ("<p>" + "Слово, " * 60, ("Слово, " * 31).rstrip(", ") + "…"),
    ],
)
def test_the_beginning_of_a_text_is_plain_and_ends_with_a_word(content, beginning):
    assert texts.beginning(content) == beginning


def test_what_was_written_is_never_markup(client):
    make_post(SCRIPT, excerpt=SCRIPT, content=f"<p>{SCRIPT}Text</p>", picture=make_picture(alt=SCRIPT), slug="post")

    for path in ("/en/", "/en/blog/", "/en/blog/post/", "/en/blog/feed/"):
        assert SCRIPT not in text(client.get(path)), path


# A post


@pytest.fixture
def post():
    picture = make_picture(alt="Рисунок")
    return make_post(
        "“Quotes” & signs",
        slug="quotes-and-signs",
        language="ru",
        excerpt="Коротко о главном.",
        content=f'<h2>Глава</h2><p>Текст.</p><p><img src="{picture.address(960)}" alt="x"></p>',
        picture=picture,
        publish_at=datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    )


def test_a_post_is_read_in_its_own_language_under_either_interface(client, post):
    Post.objects.update(views=1234567)
    for language, views in (("en", "1,234,567 views"), ("ru", None)):
        page = text(client.get(f"/{language}/blog/quotes-and-signs/"))
        assert f'<html lang="{language}">' in page
        assert '<article class="article" lang="ru">' in page
        assert "<h2>Глава</h2>" in page
        assert '<time datetime="2026-03-29T01:30:00+00:00">' in page
        assert f'<link rel="canonical" href="{SITE}/ru/blog/quotes-and-signs/">' in page
        assert views is None or views in page


def test_one_view_is_one_view(client, post):
    Post.objects.update(views=1)

    assert "<span>1 view</span>" in text(client.get("/en/blog/quotes-and-signs/"))


def test_pictures_in_a_text_come_in_their_widths(client, post):
    page = text(client.get("/en/blog/quotes-and-signs/"))

    assert page.count(f"{post.picture.address(480, 'webp')} 480w") == 2  # the post's image, and the one in its text


def test_other_sites_are_told_what_a_post_is(client, post):
    said = meta(client.get("/en/blog/quotes-and-signs/"))

    assert {name: said[name] for name in said if name.startswith(("og:", "article:p", "twitter", "desc"))} == {
        "description": "Коротко о главном.",
        "og:site_name": "Vestnik",
        "og:type": "article",
        "og:title": "“Quotes” &amp; signs",
        "og:description": "Коротко о главном.",
        "og:url": f"{SITE}/ru/blog/quotes-and-signs/",
        "og:locale": "ru_RU",
        "og:image": f"{SITE}/media/blog/{post.picture.key}/1600.jpg",
        "og:image:type": "image/jpeg",
        "og:image:width": "1600",
        "og:image:height": "900",
        "og:image:alt": "Рисунок",
        "article:published_time": "2026-03-29T01:30:00+00:00",
        "twitter:card": "summary_large_image",
    }


def test_a_post_without_an_image_names_none(client):
    make_post(slug="post")

    said = meta(client.get("/en/blog/post/"))

    assert said["twitter:card"] == "summary"
    assert not [name for name in said if name.startswith("og:image")]


def test_search_engines_read_the_post_s_data(client, post):
    page = text(client.get("/en/blog/quotes-and-signs/"))

    data = json.loads(re.search(r'<script type="application/ld\+json">(.*?)</script>', page)[1])
    assert data["headline"] == "“Quotes” & signs"
    assert data["url"] == f"{SITE}/ru/blog/quotes-and-signs/"
    assert data["datePublished"] == "2026-03-29T01:30:00+00:00"


def test_a_post_that_nobody_wrote_is_not_there(client):
    answer = client.get("/ru/blog/nothing/")

    assert answer.status_code == 404
    assert client.get(f"/en/blog/{'a' * 5000}/").status_code == 404


def test_an_address_that_was_changed_is_gone(client, post, django_capture_on_commit_callbacks):
    assert client.get("/en/blog/quotes-and-signs/").status_code == 200
    post.slug = "signs"
    with django_capture_on_commit_callbacks(execute=True):
        verbs.save_post(post)

    assert client.get("/en/blog/quotes-and-signs/").status_code == 404
    assert client.get("/en/blog/signs/").status_code == 200


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_draft_is_previewed_on_the_same_page_and_search_engines_leave_it(rf, language):
    request = rf.get("/admin/")
    request.user = AnonymousUser()
    for post in (
        make_post("A draft", draft=True, content="<p>Its text.</p>"),
        Post(title="Not saved yet", content="<p>Its text.</p>", publish_at=clock.now() + timedelta(days=1)),
    ):
        with translation.override(language):
            page = text(render(request, "blog/post.html", {"post": post, "preview": True}))
        assert post.title in page
        assert "<p>Its text.</p>" in page
        assert '<meta name="robots" content="noindex">' in page
        assert "alert-warning" in page
        assert "og:url" not in page
        assert "hreflang" not in page, "a form's answer has no address in another language"


# The feed


def feed(client, language="en"):
    answer = client.get(public_urls.feed(language))
    assert answer["Content-Type"] == "application/rss+xml; charset=utf-8"
    return ET.fromstring(answer.content).find("channel")  # noqa: S314 (our own)


def test_the_feed_has_the_twenty_newest_posts_with_whole_addresses(client, post):
    for number in range(22):
        make_post(f"Title {number}", age=timedelta(days=-1) / 2)

    channel = feed(client)

    assert channel.findtext("link") == f"{SITE}/en/blog/"
    assert channel.find(f"{ATOM}link").get("href") == f"{SITE}/en/blog/feed/"
    assert [item.findtext("title") for item in channel.iter("item")] == [f"Title {n}" for n in range(21, 1, -1)]
    assert all(item.findtext("link").startswith(f"{SITE}/en/blog/post-") for item in channel.iter("item"))


def test_an_item_of_the_feed_says_what_the_post_is_and_shows_its_image(client, post):
    (item,) = feed(client, "en").iter("item")

    assert item.findtext("title") == "“Quotes” & signs"
    assert item.findtext("link") == item.findtext("guid") == f"{SITE}/ru/blog/quotes-and-signs/"
    assert item.findtext("description") == "Коротко о главном."
    assert parsedate_to_datetime(item.findtext("pubDate")) == post.publish_at
    assert item.find("enclosure").attrib == {
        "url": f"{SITE}/media/blog/{post.picture.key}/1600.jpg", "type": "image/jpeg", "length": str(len("jpg 1600")),
    }  # fmt: skip


def test_what_was_written_is_no_markup_in_the_feed(client):
    """Readers take descriptions for HTML."""
    make_post("Tags", excerpt="How <b> differs from <script>alert(1)</script> & what we do.")
    (item,) = feed(client).iter("item")
    assert item.findtext("description") == (
        "How &lt;b&gt; differs from &lt;script&gt;alert(1)&lt;/script&gt; &amp; what we do."
    )


def test_the_feed_is_another_only_when_a_post_is(client, post, django_capture_on_commit_callbacks):
    def built():
        page_cache.invalidate()
        return parsedate_to_datetime(feed(client).findtext("lastBuildDate"))

    before = built()
    Post.objects.update(views=5)
    assert built() == before == Post.objects.get().updated_at.replace(microsecond=0)
    Post.objects.update(updated_at=clock.now() + timedelta(seconds=5))
    assert built() > before
    Post.objects.all().delete()
    assert built() == built() == datetime.fromtimestamp(0, UTC)


def test_the_feed_is_well_formed_whatever_was_pasted_into_a_post(client):
    make_post("Tit\ufffele ]]> &", excerpt="One\x0btwo\x01three \uffff", content="<p>\x1b[31m</p><p>x</p>")
    make_post(content="<p>\x1b[31m \x0c text</p>")

    assert [item.findtext("description") for item in feed(client).iter("item")] == ["[31m text", "One two three"]


# Search engines


def test_the_sitemap_names_the_public_pages_and_each_post_at_its_own_address(client, post):
    newer = make_post(slug="newer")
    xml = ET.fromstring(client.get("/sitemap.xml").content)  # noqa: S314 (our own)

    entries = {url.findtext(f"{MAP}loc"): url for url in xml.iter(f"{MAP}url")}
    assert list(entries) == [
        *(f"{SITE}/{path}/" for path in ("en", "ru", "en/blog", "ru/blog", "en/blog/newer", "ru/blog/quotes-and-signs"))
    ]
    alternates = entries[f"{SITE}/ru/blog/"].findall("{http://www.w3.org/1999/xhtml}link")
    assert {link.get("hreflang"): link.get("href") for link in alternates} == {
        "en": f"{SITE}/en/blog/", "ru": f"{SITE}/ru/blog/",
    }  # fmt: skip
    changed = datetime.fromisoformat(entries[f"{SITE}/en/blog/newer/"].findtext(f"{MAP}lastmod"))
    assert changed == newer.updated_at.replace(microsecond=0)


def test_the_sitemap_is_no_longer_than_search_engines_read(client, monkeypatch):
    monkeypatch.setattr(search_engines, "MOST", 6)
    for _number in range(4):
        make_post()

    assert len(re.findall("<url>", text(client.get("/sitemap.xml")))) == 6


def test_an_empty_blog_has_a_sitemap(client):
    assert len(re.findall("<url>", text(client.get("/sitemap.xml")))) == 4


def test_search_engines_are_kept_out_of_every_room_that_is_not_public(client):
    answer = client.get("/robots.txt")
    closed = re.findall("^Disallow: (.+)$", text(answer), re.MULTILINE)

    public = {"/sitemap.xml", "/robots.txt", "/media/"}
    rooms = {f"/{str(pattern.pattern).partition('/')[0]}/" for pattern in routes()} | {"/en/accounts/"}
    assert answer["Content-Type"].startswith("text/plain")
    assert rooms >= {"/admin/", "/overview/", "/mailings/"}
    assert {room for room in rooms if room.rstrip("/") not in public | {"/en", "/ru"}} - public <= set(closed)
    assert f"Sitemap: {SITE}/sitemap.xml" in text(answer)


def routes():
    """The patterns of all rooms, those of rooms without a name of their own one by one."""
    for pattern in get_resolver().url_patterns:
        yield from pattern.url_patterns if str(pattern.pattern) == "" else [pattern]


# Three at random


def test_three_posts_are_chosen_again_each_time_and_none_twice(client):
    for _number in range(12):
        make_post()

    choices = [tuple(card.slug for card in reading.some("en")) for _time in range(30)]

    assert {len(set(choice)) for choice in choices} == {3}
    assert len(set(choices)) > 10


def test_fewer_than_three_are_all_there_are(client):
    assert reading.some("en") == []
    make_post("Older")
    make_post("Newer")
    page_cache.invalidate()
    assert [card.title for card in reading.some("en")] == ["Newer", "Older"]


def test_visitors_meet_posts_in_their_language_first(client):
    for language, title in (("en", "One"), ("ru", "Раз"), ("ru", "Два"), ("en", "Two"), ("en", "Three")):
        make_post(title, language=language)
    assert {card.title for card in reading.some("en")} == {"One", "Two", "Three"}
    first, second, third = reading.some("ru")
    assert (first.title, second.title, third.language) == ("Два", "Раз", "en")
    assert "Два" in client.get("/ru/").content.decode()


def test_every_post_has_its_turn_however_many_there_are(monkeypatch):
    monkeypatch.setattr(reading, "FEW", 10)
    for number in range(40):
        make_post(draft=number % 4 == 0)
    published = set(Post.objects.published().values_list("slug", flat=True))

    seen = set()
    for _time in range(40):
        page_cache.invalidate()
        cards = reading.some("en")
        assert len({card.slug for card in cards}) == 3
        seen |= {card.slug for card in cards}

    assert seen <= published
    assert len(seen) > 25


def test_choosing_among_very_many_looks_at_a_few(monkeypatch):
    Post.objects.bulk_create(
        Post(title="x", slug=f"x-{number}", content="x", draft=False, publish_at=clock.now() - timedelta(days=1))
        for number in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE blog_post")
    with CaptureQueriesContext(connection) as asked:
        assert len(reading.some("en")) == 3
    with connection.cursor() as cursor:
        hit = next(query["sql"] for query in asked if "dice" in query["sql"])
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {hit}")
        plan = json.dumps(cursor.fetchone()[0])
    assert "Seq Scan" not in plan
    assert max(int(rows) for rows in re.findall(r'"Actual Rows": (\d+)', plan)) <= reading.POOL
