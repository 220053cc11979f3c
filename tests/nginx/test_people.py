"""Who reads, through nginx, with the real web behind it: nobody is told of another, and each view counts once."""

import random
import re
import time
from concurrent.futures import ThreadPoolExecutor

from tests.nginx.site import (
    LANGUAGES,
    LISTS,
    ask_directly,
    insert_posts,
    keep,
    seconds_until,
    sign_in,
    wait_until_quiet,
    write,
)
from tests.timing import in_time, wait_until
from vestnik.blog import verbs, view_counter
from vestnik.blog.models import Post


def test_copies_are_served_while_the_web_is_dead_and_made_again_when_it_is_back(site, gunicorn, alice):
    write("Kept post")
    wait_until_quiet()
    pages = [*LISTS, "/en/blog/kept-post/", "/sitemap.xml", "/robots.txt"]
    keep(site, pages)
    texts = {path: site.ask(path).text for path in pages}
    gunicorn.kill()
    try:
        for path in pages:
            for headers in ({}, sign_in(alice)):
                answer = site.ask(path, headers)
                assert (answer.status, answer.text) == (200, texts[path])
        assert site.ask("/", {"Accept-Language": "ru"}).headers["Location"] == "/ru/"
        assert site.ask("/overview/").status == 503
        post = write("Written meanwhile")
        assert "Written meanwhile" not in site.ask("/en/blog/").text
    finally:
        gunicorn.start()
    assert site.ask("/overview/").status == 302
    post.title = "Written after"
    verbs.save_post(post)
    in_time(seconds_until(lambda: all("Written after" in site.ask(path).text for path in LISTS)), 2)


def test_copies_tell_nothing_of_whoever_came_before(site, alice, bob, maria):
    for number in range(14):
        write(f"Post {number}")
    wait_until_quiet()
    pages = [f"/{each}/{room}" for each in LANGUAGES for room in ("", "blog/", "blog/?page=2", "blog/post-3/")]
    others = ["/en/blog/feed/", "/ru/blog/feed/", "/sitemap.xml", "/robots.txt"]
    sessions = [sign_in(user) for user in (alice, bob, maria)]
    own_room = 'href="/overview/" aria-label'  # as only signed-in people have it on these pages
    personal = re.compile(f"{own_room}|Alice|Bob|Мария|alice@|bob@|maria@|csrfmiddlewaretoken|nonce=|evil")
    tongues = ["en", "ru", "de,ru;q=0.5", ""]
    odd = {"X-Forwarded-Host": "evil.test", "X-Forwarded-For": "6.6.6.6", "Referer": "https://evil.test/"}
    chance = random.Random(6)
    seen: dict[str, set[str]] = {path: set() for path in pages + others}
    made = dict.fromkeys(seen, 0)
    for turn in range(4):
        for path in seen:
            own = site.ask(path, {**chance.choice(sessions), "Accept-Language": chance.choice(tongues)})
            assert own.cache == "BYPASS"
            assert own.headers["Cache-Control"] == "private, no-cache"
            assert (own_room in own.text) == (path in pages)
            stranger = {"Accept-Language": chance.choice(tongues), "Cookie": f"csrftoken=c{turn}; theme=dark"}
            for headers in ({}, stranger, odd):
                answer = site.ask(path, headers)
                assert answer.status == 200
                assert answer.headers["Set-Cookie"] is None
                assert answer.headers["Vary"] == "Accept-Encoding"
                assert answer.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
                assert not personal.search(answer.text), path
                seen[path].add(answer.text)
                made[path] += answer.cache != "HIT"
    assert all(len(texts) <= max(made[path], 1) for path, texts in seen.items())
    for language in LANGUAGES:
        assert all(f'<html lang="{language}"' in text for text in seen[f"/{language}/blog/"])


def test_a_copy_that_an_odd_visitor_had_made_is_the_one_that_the_dispatcher_would_have(site):
    insert_posts(14)
    odd = {"Cookie": "csrftoken=mine; django_language=ru; a.sessionid=x", "Accept-Language": "ru", "Range": "bytes=0-9"}
    for path in ["/en/blog/", "/en/blog/?page=2", "/ru/blog/post-2/", "/ru/blog/feed/", "/sitemap.xml", "/robots.txt"]:
        made = site.ask(path, odd)
        assert (made.status, made.cache) == (200, "MISS")
        assert site.refresh(path).text == made.text == site.ask(path).text


def test_views_are_exact_over_a_thousand_mixed_requests(site, gunicorn, alice):
    posts = [write(f"Post {number}") for number in range(3)]
    wait_until_quiet()
    session = sign_in(alice)
    human = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
    robot = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    kinds = {
        "visitor": lambda path: site.ask(path, human),
        "signed in": lambda path: site.ask(path, human | session),
        "has it": lambda path: site.ask(path, human | {"If-None-Match": "*"}),
        "directly": lambda path: ask_directly(gunicorn, path, human),
        "robot": lambda path: site.ask(path, robot),
        "robot directly": lambda path: ask_directly(gunicorn, path, robot),
        "in advance": lambda path: site.ask(path, human | {"Sec-Purpose": "prefetch;prerender"}),
        "head": lambda path: site.ask(path, human, method="HEAD"),
        "refresh": lambda path: site.refresh(path),
        "no post": lambda path: site.ask("/en/blog/no-such-post/", human),
        "list": lambda path: site.ask("/en/blog/", human),
    }
    counted = {"visitor", "signed in", "has it", "directly"}
    chance = random.Random(6)
    weights = [6, *[1] * (len(kinds) - 1)]
    requests = [
        (kind, chance.choice(posts).slug, chance.choice(LANGUAGES))
        for kind in chance.choices(list(kinds), weights, k=1000)
    ]
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda each: kinds[each[0]](f"/{each[2]}/blog/{each[1]}/"), requests))
    expected = {post.slug: sum(kind in counted and slug == post.slug for kind, slug, _ in requests) for post in posts}

    def views() -> dict[str, int]:
        view_counter.flush()
        return dict(Post.objects.values_list("slug", "views"))

    wait_until(lambda: sum(views().values()) >= sum(expected.values()))
    time.sleep(0.3)  # one too many would come in
    assert views() == expected
