"""What is done to posts: when they are dated."""

from datetime import timedelta

import pytest

from vestnik import clock
from vestnik.blog import verbs
from vestnik.blog.models import Post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def make_post(**fields) -> Post:
    return verbs.save_post(Post(title="News", slug="news", content="<p>Text.</p>", **fields))


def test_a_draft_has_no_date_until_it_is_published():
    post = make_post()
    assert post.publish_at is None
    began = clock.now()

    post.draft = False
    verbs.save_post(post)

    assert began <= post.publish_at <= clock.now()
    assert Post.objects.published().get() == post


def test_publishing_from_the_list_dates_what_has_no_date():
    post = make_post()
    began = clock.now()

    assert verbs.publish([post]) == 1

    assert began <= Post.objects.published().get().publish_at <= clock.now()


def test_a_date_that_was_chosen_stays_whatever_becomes_of_the_draft():
    chosen = clock.now() - timedelta(days=30)
    post = make_post(publish_at=chosen)

    verbs.publish([post])
    verbs.unpublish([post])
    verbs.publish([post])

    assert Post.objects.published().get().publish_at == chosen
