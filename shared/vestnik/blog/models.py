"""Posts and their pictures. Only `verbs.py` changes them, which keeps the copies of their pages right."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from vestnik import clock, fields
from vestnik.front import public_urls

LONGEST_CONTENT = 200_000
"""Characters of a post's HTML."""

LONGEST_EXCERPT = 500

YEARS = range(1970, 2100)
"""Years of publication that are accepted: databases and calendars differ in which others they know."""

WIDTHS = (480, 960, 1600)
"""Pixels: the widths in which each picture is stored, up to its own."""


class Picture(models.Model):
    """An uploaded image, encoded again in several widths, each as WebP and as JPEG."""

    key = models.CharField(max_length=32, unique=True, editable=False)  # names its content: what changes gets another
    width = models.PositiveIntegerField(_("width"), editable=False)  # pixels, of the largest
    height = models.PositiveIntegerField(_("height"), editable=False)
    alt = fields.one_line(
        _("description"), 300, blank=True, help_text=_("What the picture shows, for those who do not see it.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")

    def __str__(self) -> str:
        return str(self.alt or self.key[:8])

    @property
    def widths(self) -> list[int]:
        """The widths it is kept in, ascending."""
        return widths(self.width)

    def address(self, width: int, kind: str = "jpg") -> str:
        """Return the URL of the file that is `width` pixels wide, as "jpg" or "webp"."""
        return default_storage.url(file_name(self.key, width, kind))


def widths(width: int) -> list[int]:
    """Return the widths in which a picture of `width` pixels is stored: those of WIDTHS that are smaller, and its
    own.
    """
    return [*(each for each in WIDTHS if each < width), min(width, WIDTHS[-1])]


def file_name(key: str, width: int, kind: str) -> str:
    """Return the name of a picture's file within the storage."""
    return f"blog/{key}/{width}.{kind}"


class PostQuerySet(models.QuerySet["Post"]):
    """Posts, by when everybody may read them."""

    def published(self) -> Self:
        """Return the posts that everybody may read by the database's clock, the newest first."""
        return self.filter(draft=False, publish_at__lte=Now()).order_by("-publish_at", "-pk")

    def waiting(self) -> Self:
        """Return the posts that will be published by themselves, the next first."""
        return self.filter(draft=False, publish_at__gt=Now()).order_by("publish_at", "pk")


def validate_slug_is_free(slug: str) -> None:
    """Refuse the addresses of the blog's own pages (ValidationError)."""
    if slug in public_urls.RESERVED:
        raise ValidationError(_("The blog itself has a page at this address; choose another."), code="reserved")


class Post(models.Model):
    """An article. `content` is HTML that was cleaned when it was saved (`verbs.save_post`)."""

    title = fields.one_line(_("title"), 200)
    slug = models.SlugField(
        _("address"),
        max_length=200,
        unique=True,
        validators=[validate_slug_is_free],
        help_text=_("The end of the post's address: small Latin letters, digits and hyphens."),
        error_messages={"unique": _("Another post has this address already.")},
    )
    language = models.CharField(_("language"), max_length=8, choices=settings.LANGUAGES, default="en")
    excerpt = models.TextField(
        _("excerpt"),
        blank=True,
        validators=[fields.validate_text, MaxLengthValidator(LONGEST_EXCERPT)],
        help_text=_("For lists and search engines. Left empty, it is the beginning of the text."),
    )
    content = models.TextField(_("text"), validators=[fields.validate_text, MaxLengthValidator(LONGEST_CONTENT)])
    picture = models.ForeignKey(
        Picture, models.SET_NULL, null=True, blank=True, related_name="posts", verbose_name=_("image")
    )
    draft = models.BooleanField(_("draft"), default=True, help_text=_("Only those who write the blog see it."))
    publish_at = models.DateTimeField(
        _("publication date"),
        null=True,
        blank=True,
        help_text=_(
            "Left empty: when it is published. A moment to come: the post, if no draft, appears then by itself."
        ),
    )
    views = models.PositiveBigIntegerField(_("views"), default=0, editable=False)  # to the last flush: view_counter.py
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = PostQuerySet.as_manager()

    class Meta:
        verbose_name = _("post")
        verbose_name_plural = _("posts")
        constraints = [
            models.CheckConstraint(condition=Q(draft=True) | Q(publish_at__isnull=False), name="post_has_a_date")
        ]
        indexes = [
            # Pages of the blog, the feed, the next publication.
            models.Index(fields=["-publish_at", "-id"], name="post_published", condition=Q(draft=False)),
        ]

    def __str__(self) -> str:
        return str(self.title)

    def get_absolute_url(self) -> str:
        """Return the path of its page in its own language."""
        return public_urls.post(self.language, self.slug)

    def clean(self) -> None:
        if self.publish_at and self.publish_at.year not in YEARS:
            years = {"first": YEARS[0], "last": YEARS[-1]}
            raise ValidationError(
                {"publish_at": ValidationError(_("A year from %(first)d to %(last)d is wanted."), "year", years)}
            )
        if not self.draft and self.publish_at is None:
            self.publish_at = clock.now()

    def is_published(self, now: datetime) -> bool:
        """Say whether everybody may read it at that moment."""
        return not self.draft and self.publish_at is not None and self.publish_at <= now


class ViewBatch(models.Model):
    """Counted views that were added to their posts.

    Its row is written together with the sums: nothing is added twice.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    added = models.JSONField(default=dict)  # how many views, by the posts' slugs
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["added_at"], name="viewbatch_added")]  # forgetting old ones
