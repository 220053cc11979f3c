"""What is done to posts. Each verb writes down, with the change itself, which pages are others now."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from django.db import transaction
from django.db.models.functions import Now

from vestnik.blog import copies, html
from vestnik.blog.models import Post
from vestnik.front import stale

NOT_SAVED = {"id", "views"}  # the counter goes on while somebody writes


@transaction.atomic
def save_post(post: Post) -> Post:
    """Clean the post's HTML, and save it. Raises ValidationError, keyed by field."""
    before = Post.objects.select_for_update().filter(pk=post.pk).first() if post.pk else None
    post.content = html.clean(post.content)
    post.full_clean()
    if before is None:
        post.save()
    else:
        post.save(update_fields=[field.name for field in Post._meta.concrete_fields if field.name not in NOT_SAVED])
    stale.mark(copies.touched([(before, post)]))
    return post


def publish(posts: Iterable[Post]) -> int:
    """Drafts no longer; how many that were. Those with a date to come appear then."""
    return _set_draft(posts, False)


def unpublish(posts: Iterable[Post]) -> int:
    """Drafts again; how many were none."""
    return _set_draft(posts, True)


@transaction.atomic
def delete_posts(posts: Iterable[Post]) -> int:
    """Delete them; how many. Their pictures stay, for other posts may show them."""
    gone = list(Post.objects.select_for_update().filter(pk__in=[post.pk for post in posts]).order_by("pk"))
    Post.objects.filter(pk__in=[post.pk for post in gone]).delete()
    stale.mark(copies.touched((post, None) for post in gone))
    return len(gone)


@transaction.atomic
def _set_draft(posts: Iterable[Post], draft: bool) -> int:
    found = Post.objects.select_for_update().filter(pk__in=[post.pk for post in posts], draft=not draft)
    changes: list[copies.Change] = []
    for before in found.order_by("pk"):
        after = copy(before)
        after.draft = draft
        changes.append((before, after))
    Post.objects.filter(pk__in=[before.pk for before, _after in changes if before]).update(
        draft=draft, updated_at=Now()
    )
    stale.mark(copies.touched(changes))
    return len(changes)
