"""How often one client may send what makes the web work; and what is told to nobody outside."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nginx.client import Front
from tests.nginx.conftest import SECRET
from tests.nginx.web import Web

SIGN_IN = "/en/accounts/login/"
OFFICE = 60
"""People behind one address who sign in at the same moment."""


def sent(front: Front, path: str, times: int, headers: dict[str, str] | None = None) -> Counter[int]:
    """What so many posts were answered with."""
    return Counter(front.ask(path, headers or {}, method="POST", body=b"a=b").status for _ in range(times))


@pytest.fixture
def behind(nginx: str, web: Web, folders: dict[str, Path], tmp_path: Path) -> Callable[[int], Front]:
    """nginx behind so many proxies, itself among them, not yet started."""

    def make(proxies: int) -> Front:
        return Front(tmp_path / "nginx", web=f"127.0.0.1:{web.port}", secret=SECRET, proxies=proxies, **folders)

    return make


@pytest.mark.parametrize(
    ("path", "many"),
    [
        (SIGN_IN, OFFICE),
        ("/ru/accounts/signup/", OFFICE),
        ("/en/accounts/password/reset/", OFFICE),
        ("/en/accounts/password/reset/key/1-abc/", OFFICE),
        ("/en/accounts/confirm-email/", OFFICE),
        ("/clients/import/", 30),
        ("/admin/blog/picture/add/", 30),
        ("/admin/blog/picture/upload/", 30),
    ],
)
def test_what_comes_too_often_from_one_address_is_refused_with_a_sentence_and_does_not_reach_the_web(
    front, web, path, many
):
    answers = sent(front, path, 2 * many)
    assert answers[200] >= many, "an office behind one address must work"
    assert set(answers) == {200, 429}
    reached = len(web.asked)
    assert reached == answers[200]
    refused = next(a for a in iter(lambda: front.ask(path, method="POST", body=b"a=b"), None) if a.status == 429)
    assert "Too many at once" in refused.text
    assert "Слишком часто" in refused.text
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
    assert front.ask(path).status == 200, "who only looks is not limited"


def test_a_large_upload_too_many_is_refused_before_it_is_read(front, web):
    sent(front, "/clients/import/", 60)
    web.asked.clear()
    said = front.say(
        b"POST /clients/import/ HTTP/1.1\r\nHost: vestnik.test\r\nContent-Length: 100000000\r\n\r\n", b"</html>\n"
    )
    assert said.startswith(b"HTTP/1.1 429")
    assert web.asked == []


def test_everything_else_goes_on(front, web):
    sent(front, SIGN_IN, 100)
    assert set(sent(front, "/messages/new/", 100)) == {200}
    assert {front.ask(path).status for path in ("/overview/", "/en/", "/clients/", SIGN_IN)} == {200}


@pytest.mark.parametrize(("proxies", "after"), [(2, ""), (3, ", 198.51.100.1")])
def test_behind_another_proxy_people_are_told_apart_by_what_it_saw(behind, web, proxies, after):
    with behind(proxies) as front:
        one = {"X-Forwarded-For": f"192.0.2.1{after}"}
        assert sent(front, SIGN_IN, 100, one)[429]
        assert front.ask(SIGN_IN, {"X-Forwarded-For": f"2001:db8::2{after}"}, method="POST", body=b"").status == 200
        pretends = {"X-Forwarded-For": f"203.0.113.9, 192.0.2.1{after}"}
        assert front.ask(SIGN_IN, pretends, method="POST", body=b"").status == 429, "what comes first was only said"


def test_who_says_of_themselves_where_they_come_from_is_not_believed(front, web):
    assert sum((sent(front, SIGN_IN, 1, {"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(120)), Counter())[429]


def test_where_nobody_knows_who_asks_nobody_is_refused(behind, web):
    with behind(5) as front:
        assert set(sent(front, SIGN_IN, 100)) == {200}


@pytest.mark.parametrize("path", ["/readyz", "//readyz", "/./readyz", "/x/../readyz", "/%72eadyz", "/readyz?x=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_whether_the_parts_are_well_is_not_told_outside(front, web, path, method):
    assert front.ask(path, method=method).status == 404
    assert web.asked == []


def test_whether_the_web_lives_is(front, web):
    assert front.ask("/healthz").status == 200
