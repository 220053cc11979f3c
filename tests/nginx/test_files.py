"""Static and media files come from the disk."""

import gzip
import re

import pytest

YEAR = "public, max-age=31536000, immutable"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def disk(folders):
    """Some files in both folders, and what must not be seen in them."""
    static, media = folders["static"], folders["media"]
    (static / "web").mkdir()
    (static / "web" / "vestnik.0123456789ab.css").write_text("body { color: black }\n" * 100)
    (static / "web" / "vestnik.css").write_text("body { color: black }")
    (static / "web" / "vestnik.js").write_text("plain")
    (static / "web" / "vestnik.js.gz").write_bytes(gzip.compress(b"packed before"))
    (static / "web" / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (static / ".env").write_text("SECRET_KEY=x")
    (media / "blog" / KEY).mkdir(parents=True)
    (media / "blog" / KEY / "480.webp").write_bytes(b"RIFF....WEBP")
    (media / "blog" / KEY / "480.jpg").write_bytes(b"\xff\xd8\xff")
    (media / "blog" / KEY / "page.html").write_text("<script>alert(1)</script>")
    (media / "blog" / KEY / "drawing.svg").write_text("<svg onload='alert(1)'/>")
    (media / ".git").mkdir()
    (media / ".git" / "config").write_text("secret")
    (static.parent / "outside.txt").write_text("secret")


def test_a_file_with_a_hash_in_its_name_is_kept_for_good(front, disk):
    answer = front.ask("/static/web/vestnik.0123456789ab.css", {"Accept-Encoding": "gzip"})
    assert answer.headers["Cache-Control"] == YEAR
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert len(answer.body) < 200


def test_one_that_may_be_another_tomorrow_is_asked_for_again(front, disk):
    assert front.ask("/static/web/vestnik.css").headers["Cache-Control"] == "public, max-age=3600"


def test_what_was_packed_before_is_sent_to_those_who_read_it(front, disk):
    assert front.ask("/static/web/vestnik.js", {"Accept-Encoding": "gzip"}).text == "packed before"
    assert front.ask("/static/web/vestnik.js").text == "plain"


def test_static_files_are_what_their_names_say(front, disk):
    answer = front.ask("/static/web/icon.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("name", "kind"), [("480.webp", "image/webp"), ("480.jpg", "image/jpeg")])
def test_pictures_are_kept_for_good_and_run_nothing(front, disk, name, kind):
    answer = front.ask(f"/media/blog/{KEY}/{name}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert answer.headers["Cache-Control"] == YEAR
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert front.ask(f"/media/blog/{KEY}/{name}", {"If-None-Match": answer.headers["ETag"]}).status == 304


@pytest.mark.parametrize("name", ["page.html", "drawing.svg"])
def test_what_is_no_picture_is_nothing_a_browser_runs(front, disk, name):
    assert front.ask(f"/media/blog/{KEY}/{name}").headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/static/",
            "/static/web/",
            "/media/",
            "/media/blog/",
            f"/media/blog/{KEY}/",
            "/static/.env",
            "/media/.git/config",
        ),
        *("/static/../outside.txt", "/static../outside.txt", "/static/%2e%2e/outside.txt", "/media../outside.txt"),
        *("/static/web/%2e%2e/.env", "/media/blog/x.jpg", "/static/nothing.css", "/static/web/vestnik.css/"),
    ],
)
def test_nothing_else_of_the_disk_is_seen(front, web, disk, path):
    web.says("not the disk", status=404)
    answer = front.ask(path)
    assert answer.status in (403, 404)
    assert "secret" not in answer.text.lower()
    assert answer.headers.get("Cache-Control", "no-store") == "no-store" or answer.text == "not the disk"


def test_files_are_served_while_the_web_is_away(front, web, disk):
    web.stop()
    assert front.ask("/static/web/vestnik.css").status == 200
    assert front.ask(f"/media/blog/{KEY}/480.jpg").status == 200


def test_files_are_only_read(front, disk):
    assert front.ask("/static/web/vestnik.css", method="POST", body=b"x").status == 405
    assert front.ask(f"/media/blog/{KEY}/480.jpg", method="DELETE").status == 405


def test_a_new_picture_is_there_at_once_though_it_was_asked_for_before(front, folders, disk):
    path = f"blog/{KEY}/960.jpg"
    assert front.ask(f"/media/{path}").status == 404
    (folders["media"] / path).write_bytes(b"\xff\xd8\xff")
    assert front.ask(f"/media/{path}").status == 200


def test_whatever_real_pages_load_is_packed_and_kept_for_good(site):
    pages = ("/en/", "/ru/blog/", "/en/accounts/login/", "/en/accounts/signup/")
    loaded = {found for page in pages for found in re.findall(r'(?:src|href)="(/static/[^"#]+)', site.ask(page).text)}
    assert len(loaded) > 5
    for address in loaded:
        answer = site.ask(address, {"Accept-Encoding": "gzip"})
        assert (answer.status, answer.headers["Cache-Control"]) == (200, YEAR), address
        assert answer.headers["Content-Encoding"] == "gzip", address
