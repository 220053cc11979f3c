"""What changes shows at once through nginx, with the real web and the real dispatcher behind it."""

import re
import time
from datetime import timedelta

from tests.nginx.client import Front
from tests.nginx.conftest import SECRET
from tests.nginx.site import LANGUAGES, LISTS, ask_directly, insert_posts, keep, seconds_until, wait_until_quiet, write
from tests.timing import in_time, wait_until
from vestnik import client_deletion, clock, homepage_hint
from vestnik.blog import verbs
from vestnik.blog.models import Post
from vestnik.clients import verbs as clients
from vestnik.mailings import verbs as mailings
from vestnik.testing.factories import make_mailing


def test_what_is_written_changed_and_deleted_shows_within_a_second_everywhere(site):
    write("An older post")
    wait_until_quiet()
    post_pages = [f"/{language}/blog/fresh-news/" for language in LANGUAGES]
    pages = [*LISTS, "/sitemap.xml"]
    keep(site, [*pages, *post_pages])

    def shown(title: str, on: list[str]) -> bool:
        return all(title in site.ask(path).text for path in on)

    post = write("Fresh news", content="<p>Text.</p>")
    took = seconds_until(
        lambda: shown("Fresh news", LISTS + post_pages) and "fresh-news" in site.ask("/sitemap.xml").text
    )
    in_time(took, 1)
    assert all(site.ask(path).cache == "HIT" for path in pages + post_pages)

    wait_until_quiet()
    post.title = "Better news"
    verbs.save_post(post)
    took = seconds_until(lambda: shown("Better news", LISTS + post_pages))
    in_time(took, 1)
    assert not any("Fresh news" in site.ask(path).text for path in LISTS + post_pages)

    wait_until_quiet()
    verbs.unpublish([post])
    took = seconds_until(lambda: not any("Better news" in site.ask(path).text for path in LISTS + post_pages))
    in_time(took, 1)
    assert {site.ask(path).status for path in post_pages} == {404}

    wait_until_quiet()
    verbs.publish([post])
    in_time(seconds_until(lambda: shown("Better news", LISTS + post_pages)), 1)

    wait_until_quiet()
    verbs.delete_posts([post])
    took = seconds_until(lambda: {site.ask(path).status for path in post_pages} == {404})
    in_time(took, 1)
    in_time(seconds_until(lambda: not any("Better news" in site.ask(path).text for path in LISTS)), 1)
    assert {site.ask(path).cache for path in post_pages} == {"HIT"}


def test_only_the_pages_that_a_change_touches_are_made_again(site):
    insert_posts(30)
    others = ["/en/blog/?page=3", "/en/blog/post-2/", "/robots.txt"]
    keep(site, [*LISTS, "/en/blog/?page=2", *others])
    made = {path: site.ask(path) for path in others}
    post = Post.objects.get(slug="post-13")  # the first of the second page
    post.title = "Another title"
    verbs.save_post(post)
    in_time(seconds_until(lambda: "Another title" in site.ask("/en/blog/?page=2").text), 1)
    wait_until_quiet()
    for path in others:
        now = site.ask(path)
        assert (now.cache, now.text) == ("HIT", made[path].text)
    refreshed = {line["path"] for line in site.logged(1) if line["cache"] == "BYPASS"}
    assert "/en/blog/post-13/" in refreshed
    assert "/en/blog/post-2/" not in refreshed


def test_a_post_with_a_date_to_come_appears_by_itself_on_time(site):
    keep(site, LISTS)
    at = clock.now().replace(microsecond=0) + timedelta(seconds=4)
    write("From the future", publish_at=at)
    wait_until_quiet()
    pages = [*LISTS, "/en/blog/from-the-future/"]
    while (now := clock.now()) < at - timedelta(seconds=0.2):
        for path in pages:
            answer = site.ask(path)
            assert "From the future" not in answer.text or clock.now() >= at, now
    wait_until(lambda: clock.now() >= at)
    late = seconds_until(lambda: all("From the future" in site.ask(path).text for path in pages))
    in_time(late, 1.2)


def test_the_three_posts_of_the_home_page_change_within_a_minute(site, gunicorn):
    for number in range(24):
        write(f"Post {number}")
    wait_until_quiet()
    seen = set()
    for _time in range(8):
        answer = ask_directly(gunicorn, "/en/", {"X-Front-Secret": SECRET})
        shown = frozenset(re.findall(r"/en/blog/(post-\d+)/", answer.text))
        assert len(shown) == 3
        seen.add(shown)
        assert int(answer.headers["X-Accel-Expires"].lstrip("@")) <= time.time() + 60
    assert len(seen) > 1
    assert {site.ask("/en/").text for _time in range(4)} == {site.ask("/en/").text}  # while they are kept


def shown(site: Front, page: str) -> list[int]:
    """The figures on a home page."""
    return [int(re.sub(r"\D", "", figure)) for figure in re.findall(r"<dd>([^<]*)</dd>", site.ask(page).text)]


def test_the_figures_are_right_a_moment_after_changes(site, alice, bob):
    pages = [f"/{language}/" for language in LANGUAGES]
    keep(site, pages)

    def become(mailings: int, active: int, clients: int) -> bool:
        return seconds_until(lambda: all(shown(site, page) == [mailings, active, clients] for page in pages)) < 3

    mailing = make_mailing(alice, 3)
    homepage_hint.changed()  # the factory makes clients without a verb
    assert become(1, 1, 3)
    of_bob = clients.create_client(bob, "of-both@example.org")
    assert become(1, 1, 4)
    clients.create_client(alice, "of-both@example.org")
    clients.create_client(alice, "of-alice@example.org")
    assert become(1, 1, 5)  # by address
    client_deletion.delete_clients(bob, [of_bob])
    mailings.cancel(mailing)
    assert become(1, 0, 5)
    mailings.delete_mailing(mailing)
    assert become(0, 0, 5)
