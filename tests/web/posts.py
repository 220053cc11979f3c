"""Posts of the blog as verbs make them, and pictures without looking at a file."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from vestnik import clock
from vestnik.blog import verbs
from vestnik.blog.models import Picture, Post, file_name

_numbers = count(1)


def make_post(title: str = "", age: timedelta = timedelta(0), **fields: Any) -> Post:
    """A published post, so much older than now; each a second older than one that is made after it."""
    number = next(_numbers)
    fields.setdefault("slug", f"post-{number}")
    fields.setdefault("content", "<p>Text.</p>")
    fields.setdefault("draft", False)
    fields.setdefault("publish_at", clock.now() - timedelta(days=1) + timedelta(seconds=number) - age)
    return verbs.save_post(Post(title=title or f"Post {number}", **fields))


def make_picture(width: int = 1600, height: int = 900, alt: str = "A drawing") -> Picture:
    """A picture with files that say no more than what they are."""
    picture = Picture.objects.create(key=f"{next(_numbers):032x}", width=width, height=height, alt=alt)
    for each in picture.widths:
        for kind in ("webp", "jpg"):
            name = file_name(picture.key, each, kind)
            default_storage.delete(name)
            default_storage.save(name, ContentFile(f"{kind} {each}".encode()))
    return picture
