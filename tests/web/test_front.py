"""Public pages: the same for everybody who is not signed in, kept as long as they say, and views that count once."""

import gzip
import math
import time
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from tests.timing import wait_until
from tests.web.posts import make_picture, make_post
from vestnik import clock
from vestnik.blog import verbs, view_counter
from vestnik.blog.affected_pages import ON_A_PAGE, REFRESHED
from vestnik.blog.models import Post
from vestnik.front import page_cache, public_urls
from web.blog import reading
from web.front import readers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

SECRET = "the front's own secret"
FRONT = {"X-Front-Secret": SECRET, "Accept-Encoding": "gzip"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 "
    "Edg/140.0.0.0"
)
ODD = {
    "Accept-Language": "ru, en;q=0.1",
    "Accept": "text/plain",
    "User-Agent": SAFARI,
    "Host": "127.0.0.1:8000",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Prefix": "/evil",
    "Referer": "https://evil.example/",
    "HX-Request": "true",
    "X-Front-Refresh": "1",
    "X-Accel-Expires": "@99999999999",
}
COOKIES = {"csrftoken": "a" * 32, "django_language": "ru", "mysessionid": "x", "_ga": "GA1.1"}


@pytest.fixture(autouse=True)
def front(settings):
    settings.FRONT_SECRET = SECRET
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1"]


def expires(answer):
    """The second to whose end nginx keeps the answer; 0 for not at all."""
    return int(answer["X-Accel-Expires"].removeprefix("@"))


def views(post):
    view_counter.flush()
    return Post.objects.values_list("views", flat=True).get(pk=post.pk)


def shown(answer):
    """All of an answer that somebody could see, but the moment it is kept until and the request's own name."""
    named = {k: v for k, v in answer.headers.items() if k not in ("X-Accel-Expires", "X-Request-ID")}
    return answer.status_code, named, answer.content


# Addresses


def test_the_core_names_public_pages_as_the_web_does():
    for language in public_urls.languages():
        with translation.override(language):
            assert public_urls.home(language) == reverse("home")
            assert public_urls.blog(language) == reverse("blog:list")
            assert public_urls.blog(language, 2) == reverse("blog:list", query={"page": 2})
            assert public_urls.post(language, "a-slug_1") == reverse("blog:post", args=["a-slug_1"])
            assert public_urls.feed(language) == reverse("blog:feed")
    assert reverse("sitemap") == public_urls.SITEMAP


def test_pictures_have_the_addresses_that_the_web_serves(client):
    picture = make_picture()

    for kind, content_type in (("jpg", "image/jpeg"), ("webp", "image/webp")):
        answer = client.get(picture.address(480, kind))
        assert (b"".join(answer.streaming_content), answer["Content-Type"]) == (f"{kind} 480".encode(), content_type)
        assert "immutable" in answer["Cache-Control"]
        assert answer["Content-Security-Policy"] == "default-src 'none'"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert not answer.cookies


@pytest.mark.parametrize("name", ["x/480.svg", "../480.jpg", "x/9999.jpg", "x/480.html", "x/../../secret_key"])
def test_what_is_no_picture_is_not_served(client, name):
    assert client.get(f"/media/blog/{name}").status_code == 404


# Impersonal pages


PUBLIC = ("home", "blog", "blog 2", "blog 99", "post", "no post", "feed", "sitemap", "robots")


@pytest.fixture
def paths():
    """Every kind of public page, in both languages."""
    first = make_post("The first of them", picture=make_picture())
    for _number in range(12):
        make_post()
    Post.objects.exclude(pk__in=[first.pk]).update(excerpt="The same")
    page_cache.invalidate()
    made = ["/sitemap.xml", "/robots.txt"]
    for language in public_urls.languages():
        made += [public_urls.blog(language, page) for page in (1, 2, 99)]
        made += [public_urls.post(language, slug) for slug in (first.slug, "no-such-post")]
        made.append(public_urls.feed(language))
    return made


def test_what_a_visitor_gets_depends_on_nothing_but_the_address(paths, alice):
    for path in paths:
        alices = Browser().get(path)
        bobs = Browser()
        bobs.cookies = SimpleCookie(COOKIES)
        odd = f"{path}{'&' if '?' in path else '?'}utm_source=x&language=ru&next=//evil.example&q=%00"
        assert shown(bobs.get(odd, headers=ODD)) == shown(alices), path


def test_the_home_page_depends_on_nothing_but_its_address_and_chance(alice):
    make_post()
    make_post()
    for language in public_urls.languages():
        bobs = Browser()
        bobs.cookies = SimpleCookie(COOKIES)
        alices = Browser().get(public_urls.home(language))
        assert shown(bobs.get(f"{public_urls.home(language)}?page=2&q=evil", headers=ODD)) == shown(alices)


def test_what_a_visitor_gets_is_for_everybody_to_keep(paths):
    for path in [*paths, *map(public_urls.home, public_urls.languages())]:
        answer = Browser().get(path)
        assert answer["Cache-Control"] == "public, max-age=0, must-revalidate", path
        assert not answer.cookies
        assert "Vary" not in answer.headers
        assert b"csrf" not in answer.content
        assert b"nonce" not in answer.content


def test_a_visitors_page_asks_for_neither_sessions_nor_users(paths):
    for path in [*paths, *map(public_urls.home, public_urls.languages())]:
        with CaptureQueriesContext(connection) as asked:
            Browser().get(path)
        assert not [query["sql"] for query in asked if "session" in query["sql"] or "accounts_user" in query["sql"]]


def test_who_is_signed_in_gets_a_page_of_their_own_that_nobody_keeps(client, alice, paths):
    client.force_login(alice)

    for path in [*paths, *map(public_urls.home, public_urls.languages())]:
        answer = client.get(path, headers=FRONT)
        assert answer["Cache-Control"] == "private, no-cache", path
        assert expires(answer) == 0
        assert "Content-Encoding" not in answer.headers
    assert "To your overview" in client.get("/en/blog/").content.decode()


def test_a_session_that_has_ended_gets_no_visitors_page_to_be_kept(client):
    client.cookies = SimpleCookie({django_settings.SESSION_COOKIE_NAME: "gone"})

    answer = client.get("/en/", headers=FRONT)

    assert expires(answer) == 0
    assert "private" in answer["Cache-Control"]


def test_a_message_for_one_person_is_shown_to_them_once_and_kept_by_nobody(client, alice):
    client.force_login(alice)
    client.post("/en/accounts/logout/")
    assert "messages" in client.cookies
    assert django_settings.SESSION_COOKIE_NAME not in {name for name, value in client.cookies.items() if value.value}

    answer = client.get("/en/", headers=FRONT)

    assert "alert" in answer.content.decode()
    assert expires(answer) == 0
    again = client.get("/en/", headers=FRONT)
    assert "alert-dismissible" not in gzip.decompress(again.content).decode()
    assert expires(again) > time.time()


def test_a_form_sent_to_a_public_page_is_a_request_like_any_other():
    browser = Browser(enforce_csrf_checks=True)

    assert browser.post("/en/").status_code == 403
    assert Browser().post("/en/blog/").status_code == 405


def test_pages_that_are_not_public_are_never_kept(client):
    for path in ("/", "/en/accounts/login/", "/overview/", "/nothing/", "/front/", "/en/blog"):
        answer = client.get(path, headers=FRONT)
        assert expires(answer) == 0, path
        assert "Content-Encoding" not in answer.headers


# How long


@pytest.mark.parametrize(
    ("path", "seconds"), [("/en/", 30), ("/ru/blog/", 60), ("/ru/blog/feed/", 60), ("/robots.txt", 60)]
)
def test_a_copy_may_be_kept_for_its_page_s_time(client, path, seconds):
    before = int(time.time())

    assert before + seconds <= expires(client.get(path)) <= int(time.time()) + seconds


def test_a_copy_is_kept_no_longer_than_until_the_next_post_appears(client):
    post = make_post(publish_at=clock.now() + timedelta(seconds=20))
    make_post(publish_at=clock.now() + timedelta(seconds=25))
    make_post(publish_at=clock.now() + timedelta(seconds=10), draft=True)

    for path in ("/en/", "/en/blog/", "/sitemap.xml"):
        assert expires(client.get(path)) == math.ceil(post.publish_at.timestamp()) - 1
    gone = client.get(post.get_absolute_url(), headers=FRONT | {"X-Front-Refresh": "1"})
    assert (gone.status_code, expires(gone)) == (404, math.ceil(post.publish_at.timestamp()) - 1)


def test_a_page_that_was_being_made_while_something_changed_is_kept_to_the_end_of_its_second_only(client, monkeypatch):
    make_post()
    for room in (page_cache.BLOG, page_cache.FIGURES):
        monkeypatch.setattr(reading, "page", lambda number, room=room: page_cache.invalidate(room) or [])
        assert expires(client.get("/en/blog/", headers=FRONT)) <= time.time()
        refreshed = client.get("/en/blog/", headers=FRONT | {"X-Front-Refresh": "1"})
        assert expires(refreshed) > time.time() + 50  # whatever changed since asks for a refresh of its own


def test_a_post_with_a_date_to_come_appears_by_itself_to_visitors_and_to_who_is_signed_in(client, alice):
    make_post("The old one")
    post = make_post("The one to come", publish_at=clock.now() + timedelta(seconds=2.5))
    signed_in = Browser()
    signed_in.force_login(alice)
    pages = ["/en/", "/en/blog/", "/en/blog/feed/", "/sitemap.xml"]

    def told():
        return {
            marker in browser.get(path).content.decode()
            for browser in (client, signed_in)
            for path, marker in zip(pages, [post.title] * 3 + [post.slug], strict=True)
        }

    assert told() == {False}
    assert client.get(post.get_absolute_url()).status_code == 404
    wait_until(lambda: Post.objects.published().filter(pk=post.pk).exists(), 5)
    assert told() == {True}
    assert signed_in.get(post.get_absolute_url()).status_code == 200


def test_that_a_page_is_gone_is_kept_only_in_answer_to_a_refresh(client):
    asked = [{}, FRONT, {"X-Front-Refresh": "1"}, FRONT | {"X-Front-Refresh": SECRET}, {"X-Front-Refresh": SECRET}]
    for headers in asked:
        assert expires(client.get("/en/blog/gone/", headers=headers)) == 0, headers

    answer = client.get("/en/blog/gone/", headers=FRONT | {"X-Front-Refresh": "1"})

    assert answer.status_code == 404
    assert time.time() + 55 < expires(answer) <= time.time() + 60


def test_a_redirect_is_not_kept(client):
    answer = client.get("/en/blog/?page=1", headers=FRONT)

    assert (answer.status_code, answer.url, expires(answer)) == (301, "/en/blog/", 0)


def test_an_error_is_never_kept(monkeypatch):
    def fail():
        raise DatabaseError

    monkeypatch.setattr(reading, "some", fail)

    answer = Browser(raise_request_exception=False).get("/en/", headers=FRONT | {"X-Front-Refresh": "1"})

    assert (answer.status_code, expires(answer)) == (500, 0)
    assert "public" not in answer.headers.get("Cache-Control", "")


def test_what_changed_is_right_at_once_for_who_is_signed_in(client, alice, django_capture_on_commit_callbacks):
    client.force_login(alice)
    post = make_post("Before", slug="post")

    def reads(path):
        return client.get(path).content.decode()

    assert "Before" in reads("/en/blog/") + reads("/en/blog/post/")
    post.title, post.content = "After", "<p>Other words.</p>"
    with django_capture_on_commit_callbacks(execute=True):
        verbs.save_post(post)
    assert "After" in reads("/en/blog/")
    assert "Other words" in reads("/en/blog/post/")
    with django_capture_on_commit_callbacks(execute=True):
        verbs.unpublish([post])
    assert "After" not in reads("/en/blog/") + reads("/en/")
    assert client.get("/en/blog/post/").status_code == 404


# What nginx keeps


def test_the_front_gets_pages_compressed_the_same_each_time(client):
    make_post()
    plain = client.get("/en/blog/")
    answers = [client.get("/en/blog/", headers=FRONT) for _time in range(2)]

    for answer in answers:
        assert answer["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.content) == plain.content
        assert int(answer["Content-Length"]) == len(answer.content) < len(plain.content)
        assert answer["ETag"] == f"W/{plain['ETag']}"
    assert answers[0].content == answers[1].content


def test_others_get_pages_as_they_are(client):
    for headers in ({"Accept-Encoding": "gzip"}, {"X-Front-Secret": SECRET}, FRONT | {"X-Front-Secret": "wrong"}):
        assert "Content-Encoding" not in client.get("/en/", headers=headers).headers


def test_a_browser_that_has_the_page_is_not_sent_it_again_but_the_front_is(client):
    have = {"If-None-Match": client.get("/en/blog/")["ETag"]}

    assert client.get("/en/blog/", headers=have).status_code == 304
    assert client.get("/en/blog/", headers=FRONT | have).status_code == 200
    make_post()
    page_cache.invalidate()
    assert client.get("/en/blog/", headers=have).status_code == 200


def test_head_is_answered_as_get_is(client):
    make_post(slug="post")
    for path in ("/en/", "/en/blog/", "/en/blog/post/", "/en/blog/feed/", "/sitemap.xml", "/robots.txt"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head["Content-Length"] == get["Content-Length"]
        assert head["Cache-Control"] == get["Cache-Control"]


@pytest.mark.parametrize("path", ["/en/", "/en/blog/", "/en/blog/post/", "/en/blog/feed/"])
def test_a_page_asks_the_database_as_little_for_a_dozen_posts_as_for_three(client, path):
    for slug in ("post", "another", "third"):  # where there are fewer, the home page looks for some in other languages
        make_post(slug=slug, picture=make_picture())

    def asked():
        page_cache.invalidate()
        page_cache.invalidate(page_cache.FIGURES)
        with CaptureQueriesContext(connection) as first:
            assert client.get(path).status_code == 200
        with CaptureQueriesContext(connection) as second:
            assert client.get(path).status_code == 200
        return len(first), len(second)

    for_three = asked()
    for _number in range(9):
        make_post(picture=make_picture())
    assert asked() == for_three
    assert for_three[0] <= 4
    assert for_three[1] == 0


# Views


@pytest.fixture
def post():
    return make_post(slug="post")


def tell(client, headers=FRONT, slug="post", method="get", **more):
    return getattr(client, method)(f"/front/views/{slug}", headers={"User-Agent": FIREFOX, **headers, **more})


def test_a_view_that_the_front_tells_of_counts_without_asking_the_database(client, post):
    with CaptureQueriesContext(connection) as asked:
        answers = [tell(client) for _time in range(3)]

    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    assert not asked
    assert views(post) == 3


@pytest.mark.parametrize("headers", [{}, {"X-Front-Secret": ""}, {"X-Front-Secret": "wrong"}, {"X-Front-Secret": "é"}])
def test_nobody_else_tells_of_views(client, post, headers):
    assert tell(client, headers).status_code == 404
    assert views(post) == 0


def test_where_there_is_no_secret_nobody_knows_it(client, post, settings):
    settings.FRONT_SECRET = ""

    assert tell(client, {"X-Front-Secret": ""}).status_code == 404
    assert expires(client.get("/en/blog/gone/", headers={"X-Front-Secret": "", "X-Front-Refresh": "1"})) == 0
    assert views(post) == 0


BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "facebookexternalhit/1.1",
    "TelegramBot (like TwitterBot)",
    "curl/8.14.1",
    "python-requests/2.32.4",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
)
AHEAD = (
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Purpose": "prefetch"},
    {"X-Purpose": "preview"},
    {"X-Moz": "prefetch"},
)


@pytest.mark.parametrize("headers", [*({"User-Agent": agent} for agent in BOTS), *AHEAD, {"X-Front-Refresh": "1"}])
def test_bots_and_browsers_that_look_ahead_are_no_views(client, post, headers):
    assert tell(client, FRONT | headers).status_code == 204
    client.get("/en/blog/post/", headers={"User-Agent": FIREFOX} | headers | {"X-Front-Secret": SECRET})
    if "X-Front-Refresh" not in headers:
        client.get("/en/blog/post/", headers={"User-Agent": FIREFOX} | headers)
    assert views(post) == 0


def test_only_a_get_is_a_view(client, post):
    for method, status in {"head": 204, "post": 204, "options": 204, "put": 405, "delete": 405}.items():
        assert tell(client, method=method).status_code == status
    client.head("/en/blog/post/", headers={"User-Agent": FIREFOX})

    assert views(post) == 0


@pytest.mark.parametrize("agent", [FIREFOX, SAFARI, EDGE])
def test_a_page_without_a_front_counts_its_views_itself(client, post, agent, alice):
    signed_in = Browser()
    signed_in.force_login(alice)
    for language in ("en", "ru"):
        client.get(f"/{language}/blog/post/", headers={"User-Agent": agent})
        signed_in.get(f"/{language}/blog/post/", headers={"User-Agent": agent})

    assert views(post) == 4


def test_a_page_behind_a_front_leaves_its_views_to_it(client, post, alice):
    for _person in range(2):
        client.get("/en/blog/post/", headers=FRONT | {"User-Agent": FIREFOX})
        client.force_login(alice)

    assert views(post) == 0


def test_a_page_that_is_not_there_is_no_view(client, post):
    verbs.unpublish([post])
    page_cache.invalidate()

    assert client.get("/en/blog/post/", headers={"User-Agent": FIREFOX}).status_code == 404
    assert views(post) == 0


def test_nobody_holds_up_the_web_by_the_name_of_their_browser(rf):
    began = time.monotonic()

    for agent in ("a" * 8000, "bo" * 4000, "Mozilla/5.0 " + "-" * 8000):
        readers.reads(rf.get("/", headers={"User-Agent": agent}))

    assert time.monotonic() - began < 1


def test_the_front_s_secret_goes_no_further_than_the_door(client, monkeypatch):
    seen = []
    monkeypatch.setattr(reading, "some", lambda _language: [])
    monkeypatch.setattr(reading, "next_appearance", lambda: None)
    from web.home import views as home

    render = home.render  # type: ignore[attr-defined]
    monkeypatch.setattr(
        home, "render", lambda request, *args: seen.append(dict(request.META)) or render(request, *args)
    )

    client.get("/en/", headers=FRONT)

    assert seen
    assert not [name for name, value in seen[0].items() if value == SECRET]


def test_the_depths_of_a_long_list_are_kept_to_the_end_of_their_second_only():
    Post.objects.bulk_create(
        Post(title=f"{n}", slug=f"p{n}", content="<p>A</p>", draft=False, publish_at=clock.now() - timedelta(hours=1))
        for n in range(ON_A_PAGE * REFRESHED + 1)
    )
    for page, seconds in ((REFRESHED, reading.SECONDS), (REFRESHED + 1, 0)):
        began = int(time.time())
        answer = Browser().get(f"/en/blog/?page={page}", headers=FRONT)
        assert answer.status_code == 200
        assert began + seconds <= expires(answer) <= time.time() + seconds
