"""What people do to posts. Each verb also records, in the same transaction, which pages changed."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from datetime import datetime
from functools import partial

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from vestnik import clock, locks, versions
from vestnik.blog import affected_pages, html, images, view_counter
from vestnik.blog.models import Picture, Post
from vestnik.front import invalidation

NOT_SAVED = {"id", "views"}  # the counter goes on while somebody writes

NAMED = 5
"""Posts named in a sentence."""


@transaction.atomic
def save_post(post: Post, seen: datetime | None = None) -> Post:
    """Clean the post's HTML, save the post and return it.

    Raises ValidationError, keyed by field; and without a key, where `seen` is given and the post was saved since then
    (its `updated_at`).
    """
    locks.wait(locks.BLOG)
    before = Post.objects.select_for_update().filter(pk=post.pk).first() if post.pk else None
    if before:
        versions.refuse_if_changed(before, seen)
        view_counter.catch_up()
    post.content = _text(post)
    post.full_clean()
    if before is None:
        post.save()
    else:
        post.save(update_fields=[field.name for field in Post._meta.concrete_fields if field.name not in NOT_SAVED])
    invalidation.mark(affected_pages.touched([(before, post)]))
    return post


def publish(posts: Iterable[Post]) -> int:
    """Publish drafts; return how many there were. Those dated later appear then, those without a date now."""
    return _set_draft(posts, False)


def unpublish(posts: Iterable[Post]) -> int:
    """Make posts drafts again; return how many were none."""
    return _set_draft(posts, True)


@transaction.atomic
def delete_posts(posts: Iterable[Post]) -> int:
    """Delete posts; return how many. Their pictures stay, for other posts may show them."""
    locks.wait(locks.BLOG)
    gone = list(Post.objects.select_for_update().filter(pk__in=[post.pk for post in posts]).order_by("pk"))
    Post.objects.filter(pk__in=[post.pk for post in gone]).delete()
    invalidation.mark(affected_pages.touched((post, None) for post in gone))
    return len(gone)


@transaction.atomic
def save_picture(picture: Picture) -> Picture:
    """Save the picture's description. Raises ValidationError, keyed by field."""
    locks.wait(locks.BLOG)
    picture.full_clean()
    picture.save(update_fields=["alt"])
    invalidation.mark(affected_pages.touched((post, post) for post in picture.posts.all()))
    return picture


@transaction.atomic
def delete_pictures(pictures: Iterable[Picture]) -> int:
    """Delete pictures with their files; return how many.

    Raises ValidationError if a post shows one of them: then all stay.
    """
    chosen = Picture.objects.filter(pk__in=[picture.pk for picture in pictures])
    gone = list(chosen.select_for_update().order_by("pk"))
    if posts := list(shown_by(gone)[: NAMED + 1]):
        names = ", ".join(f"“{post}”" for post in posts[:NAMED]) + (" …" if len(posts) > NAMED else "")
        raise ValidationError(_("A post shows this picture: %(posts)s."), code="shown", params={"posts": names})
    Picture.objects.filter(pk__in=[picture.pk for picture in gone]).delete()
    for picture in gone:
        transaction.on_commit(partial(images.remove_files_unless_kept, picture))
    return len(gone)


def shown_by(pictures: Iterable[Picture]) -> QuerySet[Post]:
    """Return the posts that show one of the pictures as their image or in their text, without the texts."""
    shown = Q(picture__in=[picture.pk for picture in pictures])
    for picture in pictures:
        shown |= Q(content__contains=f"/blog/{picture.key}/")
    return Post.objects.filter(shown).defer("content").order_by("pk")


def _text(post: Post) -> str:
    """Return the post's HTML cleaned.

    Its pictures, and its image, are locked against deletion until the transaction ends.
    """
    content = html.clean(post.content)
    if html.is_empty(content):
        raise ValidationError({"content": _("Nothing is left of the text: write something, or put a picture in.")})
    keys = html.pictures(content)
    found = Picture.objects.select_for_update(no_key=True).filter(Q(key__in=keys) | Q(pk=post.picture_id))
    kept = {picture.key: picture for picture in found.order_by("pk")}
    if keys - kept.keys():
        raise ValidationError(
            {"content": _("The text shows a picture that is kept here no more; take it out, or upload it again.")}
        )
    return html.with_sizes(content, kept)


@transaction.atomic
def _set_draft(posts: Iterable[Post], draft: bool) -> int:
    locks.wait(locks.BLOG)
    view_counter.catch_up()
    found = Post.objects.select_for_update().filter(pk__in=[post.pk for post in posts], draft=not draft)
    changes: list[affected_pages.Change] = []
    now = clock.now()
    for before in found.order_by("pk"):
        after = copy(before)
        after.draft, after.publish_at = draft, before.publish_at if draft else before.publish_at or now
        changes.append((before, after))
    Post.objects.filter(pk__in=[before.pk for before, _after in changes if before]).update(
        draft=draft, updated_at=now, publish_at=F("publish_at") if draft else Coalesce("publish_at", Value(now))
    )
    invalidation.mark(affected_pages.touched(changes))
    return len(changes)
