"""Whoever asks first, and however: it says nothing to those who ask next."""

import pytest

from tests.nginx.web import Answer, kept


def told(asked):
    """All that the web was told, as a page."""
    headers = sorted(f"{name}: {value}" for name, value in asked.headers.items())
    return kept("\n".join([asked.method, asked.path, *headers, asked.body.decode()]))


OWN = {"Host", "User-Agent", "X-Forwarded-For", "X-Request-ID"}
"""Of what the web is told, that which differs between clients; the web's own tests show that pages do not."""

ODD = [
    {"X-Forwarded-Host": "evil.test"},
    {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-Port": "1"},
    {"X-Forwarded-Prefix": "/evil"},
    {"Forwarded": "host=evil.test"},
    {"X-Original-URL": "/admin/"},
    {"X-Rewrite-URL": "/admin/"},
    {"X-HTTP-Method-Override": "POST"},
    {"Accept-Language": "ru"},
    {"Accept": "application/json"},
    {"Accept-Encoding": "br"},
    {"Range": "bytes=0-3"},
    {"If-Range": '"x"'},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Mon, 23 Nov 2099 10:00:00 GMT"},
    {"Cache-Control": "no-cache"},
    {"Pragma": "no-cache"},
    {"X-Accel-Expires": "@9999999999"},
    {"X-Front-Secret": "guess"},
    {"X_Front_Secret": "guess"},
    {"X-Front-Refresh": "1"},
    {"HX-Request": "true"},
    {"Authorization": "Basic QWxpY2U6cHc="},
    {"Origin": "https://evil.test"},
    {"Referer": "https://evil.test/"},
    {"Cookie": "csrftoken=x; django_language=ru"},
    {"Cookie": "my_sessionid=alice; sessionid2=bob; xmessages=1"},
    {"Cookie": "sessionid="},
    {"Cookie": 'theme="dark; lang=ru"'},
    {"Connection": "keep-alive, X-Front-Secret"},
    {"Upgrade": "h2c"},
]


@pytest.mark.parametrize("headers", ODD, ids=str)
def test_an_odd_header_reaches_neither_the_web_nor_the_copy(front, web, headers):
    web.answer = told
    front.ask("/en/", headers)
    first = web.asked[0]
    front.ask("/ru/")
    usual = web.asked[1]
    assert sorted(first.headers.keys()) == sorted(usual.headers.keys())
    assert {k: v for k, v in first.headers.items() if k not in OWN} == {
        k: v for k, v in usual.headers.items() if k not in OWN
    }
    assert front.ask("/en/").cache == "HIT"
    assert front.ask("/en/", headers).cache == "HIT"


@pytest.mark.parametrize(
    "cookies",
    [
        [("Cookie", "a=1; sessionid=alice")],
        [("Cookie", "a=1"), ("Cookie", "sessionid=alice")],
        [("Cookie", "sessionid=alice"), ("Cookie", "a=1")],
        [("Cookie", "sessionid=0")],
        [("Cookie", "messages=0")],
        [("Cookie", "a=1;sessionid=alice")],
        [("Cookie", 'a="; sessionid=alice')],
    ],
    ids=str,
)
def test_a_session_wherever_it_stands_passes_the_copy_by(front, web, cookies):
    front.ask("/en/")
    answer = front.ask("/en/", cookies)
    assert (answer.cache, answer.text) == ("BYPASS", "page 2")
    assert cookies[-1][1] in web.asked[-1].headers["Cookie"]
    assert front.ask("/en/").text == "page 1"


def test_a_page_that_the_web_refuses_for_its_host_is_not_kept(front, web):
    def answer(asked):
        return kept("page") if asked.headers["Host"] == "vestnik.test" else Answer("no such host", 400)

    web.answer = answer
    assert front.ask("/en/", {"Host": "evil.test"}).status == 400
    assert front.ask("/en/").text == "page"


@pytest.mark.parametrize(
    "path",
    [
        *("/en/?utm_source=letter", "/en/?page=2", "/en/?page=abc", "/en/?", "/en/?a=%0d%0aX:1", "/en/#part", "//en/"),
        *("/en//", "/./en/", "/ru/../en/", "/ru/%2e%2e/en/", "/%65n/", "/en%2f", "/x/..%2fen/", "/en/?page=1&page=2"),
    ],
)
def test_another_way_to_write_the_home_pages_address_is_the_same_page(front, web, path):
    assert front.ask(path).text == "page 1"
    assert web.paths == ["/en/"]
    assert front.ask("/en/").cache == "HIT"


@pytest.mark.parametrize("path", ["/EN/", "/en/%0a", "/en/%00", "/en%0d%0a/", "/en/;x", "/en", "/en/%252e", "/en/."])
def test_what_only_looks_like_a_public_page_is_none(front, web, path):
    web.answer = told
    front.ask(path)
    assert all(asked.path not in ("/en/", "/") for asked in web.asked if path != "/en/.")
    web.says("page")
    if path != "/en/.":  # which is the page itself
        assert front.ask("/en/").cache == "MISS"


@pytest.mark.parametrize(
    "path", ["/en/blog/?page=2", "/en/blog/?x=1&page=2&y=2", "/en/blog/?page=2&page=3", "//en/blog/?PAGE=2"]
)
def test_of_a_query_the_page_number_alone_is_left(front, web, path):
    front.ask(path)
    assert web.paths == ["/en/blog/?page=2"]
    assert front.ask("/en/blog/?page=2").cache == "HIT"
    assert front.ask("/en/blog/").cache == "MISS"
    assert front.ask("/en/blog/?page=3").cache == "MISS"
    assert front.ask("/ru/blog/?page=2").cache == "MISS"


@pytest.mark.parametrize(
    "number", ["0", "-1", "abc", "1.5", "02", "999999", "%32", "2%20", "2%0a", "%D9%A3", "2|", "last"]
)
def test_what_is_no_page_number_is_passed_on_and_not_kept(front, web, number):
    web.says("odd")
    assert [front.ask(f"/en/blog/?page={number}&x=1").cache for _time in range(2)] == ["BYPASS", "BYPASS"]
    assert web.paths == [f"/en/blog/?page={number}"] * 2
    web.says("page")
    for usual in ("/en/blog/", "/en/blog/?page=2"):
        assert (front.ask(usual).cache, front.ask(usual).text) == ("MISS", "page")


def test_an_empty_page_number_is_none(front, web):
    front.ask("/en/blog/?page=")
    assert web.paths == ["/en/blog/"]


def test_a_head_leaves_a_whole_copy(front, web):
    web.answer = lambda asked: kept(f"made for {asked.method}")
    answer = front.ask("/en/", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert (front.ask("/en/").cache, front.ask("/en/").text) == ("HIT", "made for GET")


def test_part_of_a_page_is_never_sent(front, web):
    web.says("0123456789", Accept_Ranges="bytes", ETag='"7"')
    for _time in range(2):
        for encoding in ({}, {"Accept-Encoding": "gzip"}):
            answer = front.ask("/en/", {"Range": "bytes=2-4", **encoding})
            assert (answer.status, answer.text) == (200, "0123456789")


def test_a_body_that_came_with_a_get_is_dropped(front, web):
    web.answer = told
    front.ask("/en/", body=b"page=evil")
    assert web.asked[0].body == b""
    assert "Content-Length" not in web.asked[0].headers
    assert "evil" not in front.ask("/en/").text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PURGE", "OPTIONS"])
def test_public_pages_are_only_read(front, web, method):
    assert front.ask("/en/blog/", method=method, body=b"x").status == 405
    assert web.asked == []


@pytest.mark.parametrize("first", [b"GET http://evil.test/en/ HTTP/1.1\r\nHost: vestnik.test", b"GET /en/ HTTP/1.0"])
def test_other_forms_of_a_request_are_the_same_page(front, web, first):
    said = front.say(first + b"\r\nConnection: close\r\n\r\n")
    assert b"page 1" in said
    assert front.ask("/en/").text == "page 1"


def test_two_requests_in_one_are_two(front, web):
    web.answer = told
    smuggled = (
        b"GET /en/ HTTP/1.1\r\nHost: vestnik.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    said = front.say(smuggled + b"GET /evil HTTP/1.1\r\nHost: vestnik.test\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400")
    assert front.ask("/en/").text.startswith("GET\n/en/\n")
