"""What nginx tells the web, and lets through to it; what it logs."""

import json

import pytest

from local.nginx import SOURCE, VARIABLE, Nginx
from tests.nginx.conftest import SECRET
from tests.nginx.web import Answer


def test_the_web_learns_who_asks_from_nginx_alone(front, web):
    forged = {
        "X-Forwarded-For": "10.9.8.7",
        "X-Forwarded-Proto": "https",
        "X-Front-Secret": "guess",
        "X-Front-Refresh": "1",
        "X_Front_Secret": "guess",
        "X_Forwarded_For": "1.1.1.1",
        "Cookie": "sessionid=alice",
    }
    for path, scheme in (("/overview/", "https"), ("/en/", "http")):  # copies do not depend on it
        front.ask(path, forged)
        headers = web.asked[-1].headers
        assert headers.get_all("X-Forwarded-For") == ["10.9.8.7, 127.0.0.1"]  # the last is nginx's, and believed
        assert headers.get_all("X-Forwarded-Proto") == [scheme]
        assert headers.get_all("X-Front-Secret") == [SECRET]
        assert headers["X-Front-Refresh"] is None
        assert headers["Cookie"] == "sessionid=alice"
        assert headers["Host"] == "vestnik.test"
        assert not any("_" in name for name in headers)


def test_a_secret_that_is_right_refreshes_public_pages_alone(front, web):
    front.ask("/overview/", {"X-Front-Refresh": SECRET})
    assert web.asked[-1].headers["X-Front-Refresh"] is None


def test_a_request_keeps_its_id_or_gets_one(front, web):
    for path in ("/overview/", "/en/"):
        assert front.ask(path, {"X-Request-ID": "from-before-1"}).headers["X-Request-ID"] == "from-before-1"
        assert web.asked[-1].headers["X-Request-ID"] == "from-before-1"
    made = [
        front.ask("/en/", {"X-Request-ID": odd}).headers["X-Request-ID"] for odd in ("", "short", "x" * 65, "<script>")
    ]
    assert all(len(each) == 32 for each in made)
    assert len(set(made)) == 4


def test_forms_and_files_reach_the_web_whole(front, web):
    form = b"text=" + b"x" * 20_000_000
    assert front.ask("/messages/new/", method="POST", body=form).status == 200
    assert web.asked[-1].body == form
    assert front.ask("/admin/blog/picture/add/", method="POST", body=form).status == 200
    assert front.ask("/clients/import/", method="POST", body=b"x" * 105_000_000).status == 200
    assert len(web.asked[-1].body) == 105_000_000


@pytest.mark.parametrize(
    ("path", "size"),
    [("/messages/new/", 26_000_000), ("/admin/blog/picture/add/", 26_000_000), ("/clients/import/", 116_000_000)],
)
def test_what_is_too_large_is_refused_with_a_sentence(front, web, path, size):
    said = front.say(
        f"POST {path} HTTP/1.1\r\nHost: vestnik.test\r\nContent-Length: {size}\r\n\r\n".encode(), b"</html>\n"
    )
    assert said.startswith(b"HTTP/1.1 413")
    assert b"This is too large" in said
    assert "Слишком много".encode() in said
    assert web.asked == []


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/clients/?q=%D0%B0&page=2", "/clients/?q=%D0%B0&page=2"),
        ("/lists/%D0%B0%20b%3Fc%25/", "/lists/%D0%B0%20b%3Fc%25/"),
        ("/a//b/./c/../d?e=//", "/a/b/d?e=//"),
        ("/x%0d%0aX-Front-Refresh:%201", "/x%0D%0AX-Front-Refresh:%201"),
        ("/en/accounts/confirm-email/Mw:1abc-DEF_g:x/", "/en/accounts/confirm-email/Mw:1abc-DEF_g:x/"),
        ("/?next=/clients/", "/?next=/clients/"),
    ],
)
def test_addresses_and_queries_of_other_pages_arrive(front, web, path, seen):
    web.answer = lambda asked: Answer(asked.path)
    assert front.ask(path).text == seen


def test_what_the_web_answers_arrives_as_it_is(front, web):
    web.answer = lambda asked: Answer("no", 403, {"Set-Cookie": "sessionid=alice", "Vary": "Cookie", "ETag": '"1"'})
    answer = front.ask("/overview/", {"Accept-Encoding": "gzip"})
    assert (answer.status, answer.body) == (403, b"no")
    assert [answer.headers[name] for name in ("Set-Cookie", "Vary", "ETag")] == ["sessionid=alice", "Cookie", '"1"']
    assert answer.headers["Server"] == "nginx"
    web.answer = lambda asked: Answer("", 302, {"Location": "http://vestnik.test/en/?next=/"})
    assert front.ask("/overview/").headers["Location"] == "http://vestnik.test/en/?next=/"
    web.answer = lambda asked: Answer("the web's own words", 500)
    assert front.ask("/overview/").text == "the web's own words"


def test_the_log_is_a_line_of_json_for_each_request_and_tells_no_secret(front, web):
    front.ask("/en/")
    front.ask("/en/", {"X-Request-ID": "from-before-1", "User-Agent": 'a "quoted" \\ name'})
    front.refresh("/en/")
    front.ask("/clients/?q=alice%40example.org")
    front.ask("/en/accounts/password/reset/key/1-abcdef-0123/")
    front.ask("/ru/accounts/confirm-email/Mw:secret/")
    front.ask("/u/AQECAwQFBgcICQoLDA0O?lang=ru")
    front.ask("/en/blog/a-post/")
    lines = sorted(front.logged(8), key=lambda line: (line["path"], line["cache"], line["id"]))
    assert [line["path"] for line in lines] == [
        *("/clients/", "/en/", "/en/", "/en/", "/en/accounts/password/reset/key/…", "/en/blog/a-post/"),
        *("/ru/accounts/confirm-email/…", "/u/…"),
    ]
    assert [line["cache"] for line in lines] == ["", "BYPASS", "HIT", "MISS", "", "MISS", "", ""]
    assert {line["status"] for line in lines} == {200}
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    assert (lines[2]["id"], lines[2]["agent"]) == ("from-before-1", 'a "quoted" \\ name')
    assert not any(word in json.dumps(lines) for word in ("example.org", "abcdef", "Mw:", "AQEC", SECRET))


def test_the_templates_ask_for_the_variables_that_are_given(nginx, tmp_path):
    front = Nginx(tmp_path, web="web:8000", secret="x", static=tmp_path, media=tmp_path)
    templates = "".join(path.read_text() for path in (SOURCE / "templates").iterdir())
    asked = {found[1] for found in VARIABLE.finditer(templates) if (found[1] or "").isupper()}
    assert asked == set(front.variables)
    described = (SOURCE / "README.md").read_text()
    assert all(f"`{name}`" in described for name in asked)


def test_nginx_knows_the_languages(settings):
    text = (SOURCE / "templates" / "vestnik.conf.template").read_text()
    assert f"(?:{'|'.join(code for code, _name in settings.LANGUAGES)})/" in text
