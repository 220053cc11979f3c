"""What templates of the public pages use."""

from datetime import datetime
from typing import Any

from django import template
from django.utils.html import json_script
from django.utils.safestring import SafeString, mark_safe

from vestnik.blog.models import Picture, Post
from vestnik.front import public_urls
from web.blog import reading, texts

register = template.Library()

DESCRIPTION = 200  # characters that search engines and other sites show
TERRITORIES = {"en": "en_US", "ru": "ru_RU"}


@register.filter
def absolute(path: str) -> str:
    """Return the path with the installation's own address before it."""
    return public_urls.absolute(path)


@register.filter
def text_of(post: Post) -> SafeString:
    """Return the post's HTML, which was cleaned when it was saved."""
    return mark_safe(reading.text_of(post))  # noqa: S308


@register.filter
def description(post: Post) -> str:
    """Return the post in a sentence or two."""
    return texts.cut(texts.summary(post), DESCRIPTION)


@register.filter
def changed_at(post: Post) -> datetime:
    """Return when the post, as it is, was first there to be read."""
    return max(post.publish_at or post.updated_at, post.updated_at)


@register.filter
def home_page(language: str) -> str:
    """Return the path of the home page."""
    return public_urls.home(language)


@register.filter
def blog_page(language: str, number: int) -> str:
    """Return the path of a page of the blog."""
    return public_urls.blog(language, number)


@register.filter
def territory(language: str) -> str:
    """Return the language as Open Graph names it (https://ogp.me)."""
    return TERRITORIES.get(language, language)


@register.filter
def largest(picture: Picture) -> str:
    """Return the whole address of the picture's largest JPEG."""
    return public_urls.absolute(picture.address(picture.widths[-1]))


@register.inclusion_tag("blog/_picture.html")
def picture(picture: Picture, sizes: str, at_once: bool = False) -> dict[str, Any]:
    """Show a picture in all its widths; `sizes` tells browsers how wide it is shown.

    It is loaded when it comes near, if not `at_once`.
    """
    sets = {
        kind: ", ".join(f"{picture.address(width, kind)} {width}w" for width in picture.widths)
        for kind in ("webp", "jpg")
    }
    source = picture.address(picture.widths[0])  # for whoever knows no sets
    return {"picture": picture, "sizes": sizes, "at_once": at_once, "source": source, **sets}


@register.simple_tag
def linked_data(post: Post) -> str:
    """Return the post as search engines read it (https://schema.org/BlogPosting)."""
    data = {
        "@context": "https://schema.org",
        "@type": "BlogPosting",
        "headline": post.title,
        "description": description(post),
        "inLanguage": post.language,
        "datePublished": (post.publish_at or post.updated_at).isoformat(),
        "dateModified": changed_at(post).isoformat(),
        "url": public_urls.absolute(post.get_absolute_url()),
    }
    if post.picture:
        data["image"] = largest(post.picture)
    return mark_safe(json_script(data).replace("application/json", "application/ld+json", 1))  # noqa: S308
