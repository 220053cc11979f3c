"""Public pages: what nginx keeps, for whom, and until when."""

import gzip
import threading
import time

import pytest

from tests.nginx.web import Answer, kept
from tests.timing import wait_until

PUBLIC = [
    *("/en/", "/ru/", "/en/blog/", "/ru/blog/?page=2", "/en/blog/a-post/", "/ru/blog/A_post-2/", "/en/blog/feed/"),
    *("/sitemap.xml", "/robots.txt"),
]


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_page_is_asked_of_the_web_once(front, web, path):
    first, second = front.ask(path), front.ask(path)
    assert [first.cache, second.cache] == ["MISS", "HIT"]
    assert first.text == second.text == "page 1"
    assert web.paths == [path]


@pytest.mark.parametrize(
    "path", ["/", "/overview/", "/en/accounts/login/", "/EN/", "/en/blog", "/de/", "/en/blog/a/b/"]
)
def test_every_other_page_is_asked_of_the_web_each_time(front, web, path):
    assert [front.ask(path).text, front.ask(path).text] == ["page 1", "page 2"]
    assert "X-Cache" not in front.ask(path).headers


def test_twenty_who_come_at_once_are_one_request_to_the_web(front, web):
    web.free.clear()
    threading.Timer(0.3, web.free.set).start()
    answers = front.ask_at_once("/en/", 20)
    assert {answer.text for answer in answers} == {"page 1"}
    assert web.paths == ["/en/"]


def test_a_page_is_kept_until_the_second_that_the_web_said_is_over(front, web):
    until = int(time.time()) + 2
    web.answer = lambda asked: Answer("before", headers={"X-Accel-Expires": f"@{until}"})
    assert front.ask("/en/").cache == "MISS"
    web.says("after")
    answer = wait_until(lambda: (answer := front.ask("/en/")).text == "after" and answer)
    assert answer.cache == "EXPIRED"
    assert until + 1 <= time.time() < until + 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer("no word about keeping"),
        Answer("not", headers={"X-Accel-Expires": "0"}),
        Answer("for browsers", headers={"Cache-Control": "public, max-age=600"}),
        kept("with a cookie", Set_Cookie="sessionid=alice"),
        kept("gone", status=404),
        kept("failed", status=500),
        kept("elsewhere", status=302, Location="/en/"),
        kept("part", status=206),
    ],
    ids=lambda answer: answer.text,
)
def test_what_is_not_to_be_kept_is_not(front, web, answer):
    web.answer = lambda asked: answer
    assert [front.ask("/en/").cache for _time in range(3)] == ["MISS", "MISS", "MISS"]
    assert len(web.asked) == 3


def test_whoever_is_signed_in_gets_their_own_page_and_leaves_nothing_behind(front, web):
    def answer(asked):
        return Answer("hello, Alice") if "Cookie" in asked.headers else kept("hello")

    web.answer = answer
    alice = {"Cookie": "csrftoken=x; sessionid=alice"}
    assert front.ask("/en/", alice).text == "hello, Alice"
    assert front.ask("/en/").cache == "MISS"
    assert front.ask("/en/", alice).text == "hello, Alice"
    assert front.ask("/en/", {"Cookie": "messages=told"}).text == "hello, Alice"
    assert (front.ask("/en/").cache, front.ask("/en/").text) == ("HIT", "hello")


def test_even_what_the_web_gives_signed_in_people_to_keep_is_not_kept(front, web):
    web.says("hello, Alice")
    front.ask("/en/", {"Cookie": "sessionid=alice"})
    web.says("hello")
    assert front.ask("/en/").text == "hello"


# Refreshing


def test_a_refresh_takes_the_place_of_the_copy(front, web):
    web.says("before")
    front.ask("/en/blog/")
    web.says("after")
    assert front.ask("/en/blog/").text == "before"
    assert front.refresh("/en/blog/").text == "after"
    assert web.asked[-1].headers["X-Front-Refresh"] == "1"
    for _each in range(8):  # every worker has it
        answer = front.ask("/en/blog/")
        assert (answer.cache, answer.text) == ("HIT", "after")


def test_a_refresh_of_a_page_nobody_asked_for_leaves_a_copy(front, web):
    front.refresh("/en/")
    assert front.ask("/en/").cache == "HIT"


def test_a_deleted_posts_copy_makes_way_for_its_404(front, web):
    web.says("a post")
    front.ask("/en/blog/a-post/")
    web.says("no such post", status=404)
    assert front.refresh("/en/blog/a-post/").status == 404
    answer = front.ask("/en/blog/a-post/")
    assert (answer.status, answer.cache, answer.text) == (404, "HIT", "no such post")


@pytest.mark.parametrize("secret", ["1", "ONLY-THE-FRONT-KNOWS-THIS", "only-the-front-knows-thi", "|", "x|x"])
def test_a_refresh_with_a_wrong_secret_is_a_request_like_any_other(front, web, secret):
    front.ask("/en/")
    assert front.refresh("/en/", secret).cache == "HIT"
    assert front.refresh("/ru/", secret).cache == "MISS"
    assert "X-Front-Refresh" not in web.asked[-1].headers


def test_a_refresh_that_fails_leaves_the_copy_and_says_that_it_failed(front, web):
    web.says("before")
    front.ask("/en/")
    web.answer = lambda asked: Answer("broken", 500)
    assert front.refresh("/en/").status == 500
    web.stop()
    assert front.refresh("/en/").status == 503
    web.start()
    assert (front.ask("/en/").cache, front.ask("/en/").text) == ("HIT", "before")


def test_without_a_secret_nobody_refreshes(nginx, web, folders, tmp_path):
    from tests.nginx.client import Front

    with Front(tmp_path / "nginx", web=f"127.0.0.1:{web.port}", secret="", **folders) as front:
        front.ask("/en/")
        assert front.ask("/en/", {"X-Front-Refresh": ""}).cache == "HIT"


# Compression


def test_a_copy_serves_those_who_read_gzip_and_those_who_do_not(front, web):
    web.says("words " * 1000, ETag='W/"7"')
    packed, plain = front.ask("/en/", {"Accept-Encoding": "br, gzip"}), front.ask("/en/")
    assert len(web.asked) == 1
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < 200
    assert gzip.decompress(packed.body) == plain.body == b"words " * 1000
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert front.ask("/en/", {"Accept-Encoding": "gzip;q=0"}).body == plain.body
    assert front.ask("/en/", {"Accept-Encoding": "gzip", "Via": "1.1 somebody"}).body == packed.body


def test_browsers_that_have_the_page_are_told_so_and_that_is_not_kept(front, web):
    web.says("page", ETag='W/"7"')
    has_it = {"If-None-Match": 'W/"7"'}
    assert front.ask("/en/", has_it).status == 304
    assert "If-None-Match" not in web.asked[0].headers
    assert (front.ask("/en/").status, front.ask("/en/").text) == (200, "page")
    assert front.ask("/en/", has_it).status == 304
    assert front.ask("/en/", {"If-None-Match": 'W/"6"'}).status == 200
    assert len(web.asked) == 1
    assert "X-Accel-Expires" not in front.ask("/en/").headers
    assert front.ask("/en/").headers["Cache-Control"] == "public, max-age=0, must-revalidate"
