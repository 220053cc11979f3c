"""nginx tells the web of each view of a post, once, wherever the page came from."""

import socket
import time

import pytest

from tests.nginx.conftest import SECRET
from tests.nginx.web import Answer
from tests.timing import in_time, wait_until

POST = "/en/blog/a-post/"


def settled(front, web, views):
    """When the web was told of so many views, and of no more: a view after them was told last."""
    front.ask("/en/blog/the-last/")
    wait_until(lambda: "the-last" in web.views and len(web.views) > views)
    return web.views.count("a-post") == views and len(web.views) == views + 1


def test_every_get_of_a_post_is_a_view(front, web):
    for _time in range(3):
        front.ask(POST)  # asked of the web, then from the copy
    front.ask("/ru/blog/a-post/")
    front.ask("/en//blog/./a-post/?utm_source=letter")
    front.ask(POST, {"Cookie": "sessionid=alice"})
    front.ask(POST, {"If-None-Match": "*"})
    assert settled(front, web, 7)


def test_nothing_else_is(front, web):
    front.ask(POST, method="HEAD")
    front.refresh(POST)
    front.ask(POST, method="POST", body=b"x")
    for path in (
        "/en/",
        "/en/blog/",
        "/en/blog/?page=2",
        "/en/blog/feed/",
        "/sitemap.xml",
        "/en/blog/a-post",
        "/static/x",
    ):
        front.ask(path)
    assert settled(front, web, 0)


def test_the_web_is_told_what_it_needs_to_leave_out_robots_and_nothing_more(front, web):
    passed_on = {
        "User-Agent": "Googlebot/2.1",
        "Sec-Purpose": "prefetch",
        "Purpose": "prefetch",
        "X-Purpose": "preview",
        "X-Moz": "prefetch",
    }
    kept_back = {"Cookie": "sessionid=alice", "X-Front-Secret": "guess", "Accept": "text/html"}
    front.ask(POST, passed_on | kept_back, body=b"x")
    wait_until(lambda: web.viewed)
    view = web.viewed[0]
    own = {"X-Front-Secret": SECRET, "Host": "vestnik.test"}
    told = {name: value for name, value in view.headers.items() if name != "Connection"}  # from nginx 1.30 on unsaid
    assert told == passed_on | own
    assert (view.method, view.path, view.body) == ("GET", "/front/views/a-post", b"")


def test_a_view_counts_whether_or_not_the_reader_waits_for_the_end(front, web):
    front.ask(POST)
    for _time in range(50):
        with socket.create_connection(("127.0.0.1", front.port)) as connection:
            connection.sendall(f"GET {POST} HTTP/1.1\r\nHost: vestnik.test\r\n\r\n".encode())
            connection.recv(1)
    assert settled(front, web, 51)


def test_a_view_counts_on_a_connection_that_is_kept_open(front, web):
    one = f"GET {POST} HTTP/1.1\r\nHost: vestnik.test\r\n\r\n"
    front.say((one * 9 + one.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).encode())
    assert settled(front, web, 10)


def test_views_under_load_are_all_told(front, web):
    front.ask_at_once(POST, 100)
    assert settled(front, web, 100)


def test_a_page_does_not_wait_for_its_view_to_be_counted(front, web):
    front.ask(POST)
    web.free.clear()
    began = time.monotonic()
    assert (front.ask(POST).cache, front.ask(POST).status) == ("HIT", 200)
    in_time(time.monotonic() - began, 0.5)
    front.say(
        f"GET {POST} HTTP/1.1\r\nHost: x\r\n\r\nGET {POST} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    in_time(time.monotonic() - began, 3)
    web.stop()
    assert (front.ask(POST).cache, front.ask(POST).status) == ("HIT", 200)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/front/",
            "/front/seen",
            "/front/views/a-post",
            "//front/views/a-post",
            "/%66ront/views/a-post",
            "/front//seen",
        ),
        *(
            "/en/../front/views/a-post",
            "/en/%2e%2e/front/views/a-post",
            "/front%2fviews%2fa-post",
            "/front/views/a/../b",
        ),
    ],
)
def test_nobody_else_tells_the_web_of_views(front, web, path):
    assert front.ask(path, {"X-Front-Secret": SECRET}).status == 404
    assert web.asked == web.viewed == []


@pytest.mark.parametrize(
    "path", ["/front/views/a-post/../../../nowhere", "/x/%2e%2e/nowhere?a=/front/views/x", "/nowhere"]
)
def test_the_web_gets_the_address_as_nginx_understood_it(front, web, path):
    web.answer = lambda asked: Answer(asked.path)
    assert front.ask(path).text.partition("?")[0] == "/nowhere"
    assert web.viewed == []
