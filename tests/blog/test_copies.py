"""Which pages a change touches, against a model that has all of them before and after."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vestnik.blog import verbs
from vestnik.blog.affected_pages import ON_A_PAGE, REFRESHED
from vestnik.blog.models import Post
from vestnik.front import page_cache, public_urls
from vestnik.front.models import StalePage

LANGUAGES = ("en", "ru")
IN_FEED = 20
numbers = count(1)


@pytest.fixture(autouse=True)
def front(settings, db):
    settings.FRONT_URL = "http://front.test"
    return settings


def make(hours=1.0, draft=False, **values):
    """A post published so many hours ago; a date to come is a negative number."""
    number = next(numbers)
    values = {"title": f"Post {number}", "slug": f"post-{number}", "content": "<p>Text.</p>", **values}
    publish_at = values.pop("publish_at", timezone.now() - timedelta(hours=hours))
    return Post(draft=draft, publish_at=publish_at, **values)


def make_many(number, **values):
    """Saved past the verbs, each an hour older than the one before; nothing is marked."""
    return [Post.objects.bulk_create([make(hours, **values)])[0] for hours in range(1, number + 1)]


def pages():
    """All public pages, as far as posts show on them: by path, what stands there."""
    shown = [(post.slug, post.title, post.publish_at) for post in Post.objects.published()]
    lists = [shown[at : at + ON_A_PAGE] for at in range(0, len(shown), ON_A_PAGE)] or [[]]
    found = {public_urls.SITEMAP: shown}
    for language in LANGUAGES:
        found[public_urls.home(language)] = shown
        found[public_urls.feed(language)] = shown[:IN_FEED]
        found |= {public_urls.post(language, post[0]): post for post in shown}
        found |= {public_urls.blog(language, page): (len(lists), posts) for page, posts in enumerate(lists, 1)}
    return found


def changed_by(change: Callable[[], object]):
    """The paths that were others after the change, and those that were marked."""
    before, waited = pages(), next_moment()
    StalePage.objects.all().delete()
    change()
    after, waits = pages(), next_moment()
    others = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    if waits and (waited is None or waits < waited):  # copies of all of them expire sooner than they say
        others |= {path for path in after if not is_post(path)}
    return others, set(StalePage.objects.values_list("path", flat=True))


def next_moment():
    return Post.objects.waiting().values_list("publish_at", flat=True).first()


def is_post(path):
    return "/blog/" in path and not path.endswith(("/blog/", "/feed/")) and "?" not in path


def lists(paths):
    return {path for path in paths if path.endswith("/blog/") or "?page=" in path}


def numbers_of(paths):
    """The numbers of the English list's pages among them."""
    english = {path for path in lists(paths) if path.startswith("/en/")}
    return sorted(int(path.partition("?page=")[2] or 1) for path in english)


def save(post, **values):
    for name, value in values.items():
        setattr(post, name, value)
    return verbs.save_post(post)


def test_another_title_touches_the_posts_own_page_of_the_list(front):
    posts = make_many(40)
    for post, page in ((posts[0], 1), (posts[11], 1), (posts[12], 2), (posts[39], 4)):
        others, marked = changed_by(lambda post=post: save(post, title="Another"))
        assert lists(marked) == lists(others)
        assert numbers_of(marked) == [page]
        assert others - marked == set()


def test_a_new_post_touches_the_pages_from_its_place_on(front):
    make_many(40)
    others, marked = changed_by(lambda: verbs.save_post(make(hours=15.5)))
    assert lists(marked) == lists(others)
    assert numbers_of(marked) == [2, 3, 4]


def test_all_pages_say_how_many_there_are(front):
    posts = make_many(24)
    _others, marked = changed_by(lambda: verbs.save_post(make(hours=100)))
    assert numbers_of(marked) == [1, 2, 3]
    _others, marked = changed_by(lambda: verbs.delete_posts(posts[-1:]))
    assert numbers_of(marked) == [1, 2, 3]


def test_pages_that_are_gone_are_fetched_to_find_out(front):
    posts = make_many(50)
    others, marked = changed_by(lambda: verbs.unpublish(posts[3:]))
    assert others <= marked
    assert numbers_of(marked) == [1, 2, 3, 4, 5]


def test_a_post_that_moves_touches_what_lies_between(front):
    posts = make_many(60)
    others, marked = changed_by(lambda: save(posts[15], publish_at=timezone.now() - timedelta(hours=30.5)))
    assert lists(marked) == lists(others)
    assert numbers_of(marked) == [2, 3]


def test_a_published_post_that_is_to_wait_leaves_the_lists(front):
    posts = make_many(40)
    others, marked = changed_by(lambda: save(posts[3], publish_at=timezone.now() + timedelta(hours=1)))
    assert others <= marked
    assert numbers_of(marked) == [1, 2, 3, 4]
    assert "/en/blog/" + posts[3].slug + "/" in marked


def test_all_lists_learn_of_a_post_that_appears_sooner_than_they_thought(front):
    make_many(30)
    waiting = make(hours=-2)
    _others, marked = changed_by(lambda: verbs.save_post(waiting))
    assert numbers_of(marked) == [1, 2, 3]
    assert {"/en/", "/ru/", "/en/blog/feed/", "/sitemap.xml", f"/ru/blog/{waiting.slug}/"} <= marked
    _others, marked = changed_by(lambda: save(waiting, publish_at=timezone.now() + timedelta(hours=1)))
    assert numbers_of(marked) == [1, 2, 3]
    for quiet in ({"title": "Another"}, {"publish_at": timezone.now() + timedelta(hours=3)}, {"draft": True}):
        assert changed_by(lambda quiet=quiet: save(waiting, **quiet)) == (set(), set())


def test_a_post_that_may_appear_before_its_change_is_committed_touches_its_pages(front):
    make_many(20)
    soon, later = (verbs.save_post(make(publish_at=timezone.now() + timedelta(seconds=wait))) for wait in (3, 60))
    _others, marked = changed_by(lambda: save(later, title="Another"))
    assert marked == set()
    for change in (lambda: save(soon, title="Another"), lambda: verbs.delete_posts([soon])):
        _others, marked = changed_by(change)
        assert numbers_of(marked) == [1, 2]
        assert {"/en/", "/ru/blog/feed/", public_urls.post("ru", soon.slug)} <= marked


def test_what_nobody_can_read_touches_nothing(front):
    make_many(3)
    draft = make(draft=True)
    for change in (
        lambda: verbs.save_post(draft),
        lambda: save(draft, title="Another"),
        lambda: verbs.unpublish([draft]),
        lambda: verbs.delete_posts([draft]),
        lambda: verbs.publish([]),
    ):
        assert changed_by(change) == (set(), set())


def test_another_address_touches_the_old_one_too(front):
    (post,) = make_many(1)
    others, marked = changed_by(lambda: save(post, slug="another"))
    assert {f"/ru/blog/{slug}/" for slug in ("another", f"post-{next(numbers) - 1}")} <= others == marked


def test_the_home_page_and_the_post_come_before_the_depths_of_the_lists(front):
    make_many(30)
    post = verbs.save_post(make(hours=0.5))
    assert list(StalePage.objects.order_by("pk").values_list("path", flat=True)) == [
        *("/en/", "/ru/", "/en/blog/", "/ru/blog/", "/en/blog/feed/", "/ru/blog/feed/", "/sitemap.xml"),
        *(f"/en/blog/{post.slug}/", f"/ru/blog/{post.slug}/"),
        *("/en/blog/?page=2", "/ru/blog/?page=2", "/en/blog/?page=3", "/ru/blog/?page=3"),
    ]


def test_where_there_is_no_front_nothing_is_written(front, valkey, django_capture_on_commit_callbacks):
    front.FRONT_URL = ""
    page_cache.cached("title", 60, lambda: "Old")
    with django_capture_on_commit_callbacks(execute=True):
        verbs.save_post(make())
    assert not StalePage.objects.exists()
    assert page_cache.cached("title", 60, lambda: "New") == "New"


def test_what_is_undone_marks_nothing(front):
    (post,) = make_many(1)
    post.title = ""
    with pytest.raises(Exception, match="title"):
        verbs.save_post(post)
    assert not StalePage.objects.exists()


def test_the_depths_of_a_long_list_are_left_to_their_short_lives(front):
    posts = make_many(23 * ON_A_PAGE)
    _others, marked = changed_by(lambda: verbs.save_post(make(hours=0.5)))
    assert numbers_of(marked) == [*range(1, REFRESHED + 1)]
    _others, marked = changed_by(lambda: save(posts[-1], title="Another"))
    assert numbers_of(marked) == []
    assert "/en/" in marked


# Hours ago, few enough that posts have equal dates; negative ones are to come.
moments = st.sampled_from([*range(1, 9), 20, 40, -1, -2])
some = st.lists(st.integers(0, 60), min_size=1, max_size=8)
one = st.integers(0, 60)
operations = st.one_of(
    st.tuples(st.just("create"), moments, st.booleans()),
    st.tuples(st.just("title"), one),
    st.tuples(st.just("slug"), one),
    st.tuples(st.just("move"), one, moments),
    st.tuples(st.just("publish"), some),
    st.tuples(st.just("unpublish"), some),
    st.tuples(st.just("delete"), some),
)


def do(posts, began, operation):
    """Carry the operation out by the verbs, on the posts that its numbers pick."""

    def at(hours):
        return began - timedelta(hours=hours)

    kind, *values = operation
    if kind == "create":
        verbs.save_post(make(publish_at=at(values[0]), draft=values[1]))
        return
    chosen = [posts[number % len(posts)] for number in (values[0] if isinstance(values[0], list) else [values[0]])]
    if kind in ("publish", "unpublish"):
        getattr(verbs, kind)(chosen)
    elif kind == "delete":
        verbs.delete_posts(chosen)
    elif kind == "title":
        save(chosen[0], title=f"Another {next(numbers)}")
    elif kind == "slug":
        save(chosen[0], slug=f"another-{next(numbers)}")
    else:
        save(chosen[0], publish_at=at(values[1]))


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 60), changes=st.lists(operations, min_size=1, max_size=5))
@example(number=25, changes=[("delete", [24]), ("delete", [3, 4, 5]), ("move", 2, -1), ("move", 2, 40)])
def test_every_page_that_is_another_is_touched(number, changes):
    Post.objects.all().delete()
    began = timezone.now()
    Post.objects.bulk_create(
        make(publish_at=began - timedelta(hours=1 + at % 8), draft=at % 7 == 6) for at in range(number)
    )
    for change in changes:
        posts = list(Post.objects.order_by("pk"))
        if not posts and change[0] != "create":
            continue
        others, marked = changed_by(lambda change=change, posts=posts: do(posts, began, change))
        assert others <= marked, change
        alone = len(change) < 2 or not isinstance(change[1], list)
        if alone and not Post.objects.waiting().exists():
            # The date alone can be the same as before: its own page, then, for nothing.
            assert len(lists(marked) - lists(others)) <= (len(LANGUAGES) if change[0] == "move" else 0), change
