"""The web is away, hangs or fails: what is kept is served."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.nginx.client import Front
from tests.nginx.conftest import SECRET
from tests.nginx.names import NameServer
from tests.nginx.web import Answer
from tests.timing import in_time, wait_until


@pytest.fixture
def old(front, web) -> Front:
    """With a copy of the home page whose time is over."""
    web.says("kept", seconds=-1)
    assert front.ask("/en/").text == "kept"
    return front


def test_a_copy_is_served_while_the_web_is_away(old, web):
    web.stop()
    assert {(answer.status, answer.text) for answer in old.ask_at_once("/en/", 5)} == {(200, "kept")}
    wait_until(lambda: old.ask("/en/").cache == "STALE")  # one of them may count as asking for a moment yet


def test_the_page_is_made_again_once_the_web_is_back(old, web):
    web.stop()
    old.ask("/en/")
    web.start()
    web.says("new")
    assert old.ask("/en/").text == "new"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_copy_is_served_while_the_web_fails(old, web, status):
    web.answer = lambda asked: Answer("broken", status)
    assert (old.ask("/en/").cache, old.ask("/en/").text) == ("STALE", "kept")


def test_while_the_web_hangs_one_waits_and_the_others_are_served(old, web):
    web.free.clear()
    waiting = threading.Thread(target=lambda: old.ask("/en/"))
    waiting.start()
    while len(web.asked) < 2:
        time.sleep(0.01)
    began = time.monotonic()
    assert {(answer.cache, answer.text) for answer in old.ask_at_once("/en/", 10)} == {("UPDATING", "kept")}
    in_time(time.monotonic() - began, 1)
    web.free.set()
    waiting.join()


def test_a_web_that_hangs_is_given_up_after_ten_seconds(old, web):
    web.free.clear()
    began = time.monotonic()
    answer = old.ask("/en/")
    assert (answer.cache, answer.text) == ("STALE", "kept")
    assert 9 < time.monotonic() - began < 12


def test_copies_outlive_nginx(old, web):
    web.stop()
    old.stop()
    old.start()
    assert (old.ask("/en/").cache, old.ask("/en/").text) == ("STALE", "kept")


def test_whoever_is_signed_in_gets_the_page_for_everybody_while_the_web_is_away(old, web):
    web.stop()
    answer = old.ask("/en/", {"Cookie": "sessionid=alice"})
    assert (answer.status, answer.text) == (200, "kept")


@pytest.mark.parametrize("path", ["/en/blog/", "/en/?page=1", "/overview/", "/nowhere"])
def test_what_is_not_kept_is_said_to_be_away(front, web, path):
    web.stop()
    answer = front.ask(path)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "10"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "away for a moment" in answer.text
    assert "ненадолго" in answer.text
    assert not any(name in answer.text for name in ("src=", "href=", "url("))


def test_a_page_that_does_not_exist_is_not_served_from_anothers_copy(front, web):
    web.says("first page", seconds=-1)
    front.ask("/en/blog/")
    web.stop()
    assert front.ask("/en/blog/?page=abc").status == 503


def test_a_form_sent_to_a_web_that_is_away_is_answered_so(front, web):
    web.stop()
    answer = front.ask("/clients/new/", method="POST", body=b"name=Alice")
    assert answer.status == 503
    assert "was saved" in answer.text
    assert front.ask("/clients/import/", method="POST", body=b"x" * 200_000).status == 503


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("de-DE,de;q=0.9,ru;q=0.5,en;q=0.3", "ru"),
        ("en-GB,en;q=0.9,ru;q=0.8", "en"),
        ("de", "en"),
        ("run", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_the_bare_address_leads_to_a_language_while_the_web_is_away(front, web, said, language):
    assert front.ask("/").text == "page 1"
    web.stop()
    answer = front.ask("/", {"Accept-Language": said})
    assert (answer.status, answer.headers["Location"]) == (302, f"/{language}/")
    assert answer.headers["Cache-Control"] == "no-store"


def test_nginx_is_well_while_the_web_is_away(front, web):
    web.stop()
    assert front.ask("/front/alive").status == 204
    assert not web.asked
    assert not front.log.read_text()


@pytest.mark.parametrize(
    "path", ["/en/accounts/password/reset/key/1-abcdef-0123/", "/ru/accounts/confirm-email/Mw:k3y/"]
)
def test_nginx_complains_of_an_away_web_without_telling_keys(front, web, path):
    web.stop()
    assert front.ask(path).status == 503
    assert front.ask("/overview/").status == 503
    said = front.error_log.read_text()
    assert "/overview/" in said
    assert path not in said


# The web by name, as in containers


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer() as names:
        yield names


@pytest.fixture
def by_name(nginx, web, folders, names, tmp_path) -> Iterator[Front]:
    names.addresses["web.test"] = "127.0.0.1"
    where = {"web": f"web.test:{web.port}", "resolver": f"127.0.0.1:{names.port}"}
    with Front(tmp_path / "nginx", **where, secret=SECRET, **folders, workers=1) as front:  # each remembers names
        yield front


def test_copies_are_served_while_the_webs_name_is_not_found(by_name, web, names):
    web.says("kept", seconds=-1)
    assert by_name.ask("/en/").text == "kept"
    names.addresses.clear()
    wait_until(lambda: by_name.ask("/en/").cache == "STALE")  # nginx remembers names for two seconds
    answer = by_name.ask("/en/", {"Cookie": "sessionid=alice"})
    assert (answer.status, answer.text) == (200, "kept")
    assert by_name.ask("/ru/").status == 503
    assert by_name.ask("/overview/", method="POST", body=b"x").status == 503
    assert by_name.ask("/").headers["Location"] == "/en/"
    assert by_name.refresh("/en/").status == 503
    names.addresses["web.test"] = "127.0.0.1"
    wait_until(lambda: by_name.ask("/en/").cache == "EXPIRED")


def test_copies_are_served_while_nobody_answers_for_names(by_name, web, names):
    web.says("kept", seconds=-1)
    assert by_name.ask("/en/").text == "kept"
    names.silent = True
    answer = wait_until(lambda: (answer := by_name.ask("/en/")).cache == "STALE" and answer)
    assert (answer.status, answer.text) == (200, "kept")
