"""What browsers are told to do and not to do, through the real nginx, as an installation in earnest tells them."""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from django.http import HttpResponse

from tests.local.helpers import free_port
from tests.nginx.client import Answer, Front
from tests.nginx.conftest import HSTS, SECRET, Processes
from tests.nginx.site import HOST, Gunicorn, sign_in
from tests.nginx.web import Answer as WebsAnswer
from tests.system.processes import of_tests
from web.middleware import BrowserRulesMiddleware

ORIGIN = f"https://{HOST}"
HTTPS = {"X-Forwarded-Proto": "https"}
OF_PAGES = {
    "Strict-Transport-Security": HSTS,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@pytest.fixture(scope="module")
def earnest(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """The web as it runs in earnest: behind nginx, and that behind somebody who ends TLS."""
    known = {"MODE": "production", "SECRET_KEY": "q7Vn2-nobody-knows-this-8xKfL0dZrT5wYb", "SITE_URL": ORIGIN}
    environment = of_tests(9, **known, ALLOWED_HOSTS=HOST, FRONT_SECRET=SECRET, TRUSTED_PROXIES="2")
    environment["STATIC_ROOT"] = str(processes.static)
    with Gunicorn(environment, free_port(), tmp_path_factory.mktemp("earnest") / "web.log") as web:
        yield web


@pytest.fixture
def site(
    earnest: Gunicorn,
    processes: Processes,
    transactional_db: None,
    valkey: None,
    folders: dict[str, Path],
    tmp_path: Path,
) -> Iterator[Front]:
    folders = folders | {"static": processes.static}
    door = {"web": f"127.0.0.1:{earnest.port}", "secret": SECRET, "hsts": HSTS}
    with Front(tmp_path / "nginx", **door, **folders) as front:
        yield front


def once(answer: Answer, name: str) -> str:
    """The header's value; it is there once."""
    (value,) = answer.headers.get_all(name, [])
    return value


def assert_guarded(answer: Answer) -> None:
    assert {name: once(answer, name) for name in OF_PAGES} == OF_PAGES
    assert "default-src 'self'" in once(answer, "Content-Security-Policy")
    assert "camera=()" in once(answer, "Permissions-Policy")


def test_every_page_tells_browsers_the_rules(site: Front, alice) -> None:
    for path in ("/en/", "/ru/blog/", "/sitemap.xml", "/en/accounts/login/", "/en/blog/nowhere/"):
        assert_guarded(site.ask(path, HTTPS))
    for path in ("/en/", "/overview/", "/nowhere/"):
        assert_guarded(site.ask(path, HTTPS | sign_in(alice)))


@pytest.mark.parametrize("path", ["/", "/overview/"])
def test_a_page_that_leads_elsewhere_does_so_over_https(site: Front, path: str) -> None:
    answer = site.ask(path, HTTPS)
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/")
    assert once(answer, "Strict-Transport-Security") == OF_PAGES["Strict-Transport-Security"]


def test_a_kept_copy_tells_them_however_it_was_made(site: Front) -> None:
    assert_guarded(site.refresh("/en/"))  # by the dispatcher, over plain HTTP
    kept = site.ask("/en/", HTTPS)
    assert kept.cache == "HIT"
    assert_guarded(kept)
    site.ask("/ru/", {"X-Forwarded-Proto": "http"})
    assert_guarded(site.ask("/ru/", HTTPS))


def test_forms_work_behind_one_who_ends_tls_and_cookies_stay_on_https(site: Front) -> None:
    page = site.ask("/en/accounts/login/", HTTPS)
    (cookie,) = SimpleCookie(page.headers["Set-Cookie"]).values()
    assert cookie["secure"]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    form = f"csrfmiddlewaretoken={token[1]}&login=alice%40example.org&password=wrong".encode()
    sent = HTTPS | {"Cookie": f"{cookie.key}={cookie.value}", "Content-Type": "application/x-www-form-urlencoded"}
    for origin, status in [({"Origin": ORIGIN}, 200), ({"Referer": f"{ORIGIN}/"}, 200), ({}, 403)]:
        assert site.ask("/en/accounts/login/", sent | origin, "POST", form).status == status
    assert site.ask("/en/accounts/login/", sent | {"Origin": "https://else.org"}, "POST", form).status == 403


def test_files_are_what_they_say_they_are(site: Front, processes: Processes, folders: dict[str, Path]) -> None:
    style = next(path for path in (processes.static / "web").glob("vestnik.*.css"))
    (folders["media"] / "a.webp").write_bytes(b"RIFF....WEBP")
    for path in (f"/static/web/{style.name}", "/media/a.webp", "/static/nowhere.css", "/media/nowhere.webp"):
        answer = site.ask(path, HTTPS)
        for name in ("X-Content-Type-Options", "Strict-Transport-Security"):
            assert once(answer, name) == OF_PAGES[name]


REFUSED: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/front/views/x", {}, 404),
    ("GET", "/static/.env", {}, 404),
    ("GET", "/static/nowhere.css", {}, 404),
    ("GET", "/media/nowhere.webp", {}, 404),
    ("GET", "/errors/away.html", {}, 404),
    ("GET", "/readyz", {}, 404),
    ("POST", "/en/", {}, 405),
    ("GET", "/en/", {"X-Long": "x" * 40_000}, 400),
    ("GET", f"/{'x' * 40_000}", {}, 414),
    ("POST", "/en/", {"Content-Length": "5000"}, 413),
    ("POST", "/", {"Content-Length": str(30 << 20)}, 413),
    ("POST", "/overview/", {"Content-Length": str(30 << 20)}, 413),
    ("POST", "/u/AQECAwQFBgcICQoLDA0O", {"Content-Length": str(10 << 20)}, 413),
    ("POST", "/webhooks/postmark/", {"Content-Length": str(10 << 20)}, 413),
]


def assert_own(answer: Answer) -> None:
    """It is nginx's own page, in both languages, and browsers are told the rules."""
    assert {name: once(answer, name) for name in OF_PAGES} == OF_PAGES
    assert once(answer, "Content-Security-Policy").startswith("default-src 'none'; style-src")
    assert (
        once(answer, "Permissions-Policy")
        == BrowserRulesMiddleware(lambda _request: HttpResponse()).rules["Permissions-Policy"]
    )
    assert once(answer, "Cache-Control") == "no-store"
    assert '<section lang="ru">' in answer.text
    [title] = re.findall("<title>(.*)</title>", answer.text)
    assert re.fullmatch("[A-Z][a-z ]+ · [А-Я][а-яё ]+", title)


@pytest.mark.parametrize(("method", "path", "headers", "status"), REFUSED)
def test_what_nginx_refuses_itself_is_guarded_and_in_both_languages(front, method, path, headers, status) -> None:
    answer = front.ask(path, headers, method)
    assert answer.status == status
    assert_own(answer)


def test_what_nginx_says_while_the_web_is_away_is_guarded_and_in_both_languages(front, web) -> None:
    web.stop()
    for path in ("/overview/", "/en/", "/ru/blog/", "/en/accounts/login/", "/clients/import/"):
        answer = front.ask(path)
        assert answer.status == 503
        assert_own(answer)
    elsewhere = front.ask("/")
    assert (elsewhere.status, once(elsewhere, "X-Content-Type-Options")) == (302, "nosniff")


@pytest.mark.parametrize("path", ["/overview/", "/en/"])
def test_what_the_web_says_nginx_does_not_say_again(front, web, path) -> None:
    said = {"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=300"}
    web.answer = lambda asked: WebsAnswer("text", headers=said)
    answer = front.ask(path)
    assert {name: once(answer, name) for name in said} == said


@pytest.mark.parametrize(("said", "known"), [("https", "https"), ("http", "http"), ("ftp", "http"), ("", "http")])
def test_nginx_hands_on_what_is_said_by_who_ends_tls(front, web, said, known) -> None:
    front.ask("/overview/", {"X-Forwarded-Proto": said})
    assert web.asked[-1].headers.get_all("X-Forwarded-Proto") == [known]
