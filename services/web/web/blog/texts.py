"""Posts in few words."""

from __future__ import annotations

import html
import re
from typing import Any

from django.utils.html import strip_tags

LENGTH = 220
UNREAD = re.compile(r"<(pre|table|figcaption)\b.*?(</\1>|$)", re.DOTALL)
BETWEEN = re.compile(r"</?(?:p|br|hr|h\d|li|ul|ol|blockquote|figure)\b[^>]*>")
UNFINISHED = re.compile(r"<[^>]*$")
UNWRITTEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")  # XML does not have them all


def summary(post: Any) -> str:
    """Return the post's excerpt, or the beginning of its text (of `beginning`, if that is all that was fetched)."""
    return line(post.excerpt) or beginning(getattr(post, "beginning", None) or post.content)


def beginning(content: str, length: int = LENGTH) -> str:
    """Return the HTML's text, cut at the end of a word."""
    flat = strip_tags(BETWEEN.sub(" ", UNFINISHED.sub("", UNREAD.sub(" ", content))))
    return cut(html.unescape(flat), length)


def line(text: str) -> str:
    """Return the text in one line, without control characters."""
    return " ".join(UNWRITTEN.sub(" ", text).split())


def cut(text: str, length: int) -> str:
    """Return the text in one line, cut at the end of a word where it is longer than `length` characters."""
    whole = line(text)
    if len(whole) <= length:
        return whole
    words = whole[:length].rpartition(" ")[0] or whole[: length - 1]
    return words.rstrip(" .,;:–—-") + "…"
