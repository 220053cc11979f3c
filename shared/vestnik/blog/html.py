"""What a post's HTML may be made of, and how its pictures are shown.

What is stored is simple HTML that nh3 has cleaned: each tag well formed, each value between double quotes, no "<"
within one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

import nh3
from django.conf import settings
from django.core.files.storage import default_storage

from vestnik.blog.models import Picture, file_name, widths
from vestnik.front import public_urls

TAGS = {
    *("p", "br", "hr", "h2", "h3", "h4", "blockquote", "pre", "code"),
    *("ul", "ol", "li", "strong", "em", "b", "i", "u", "s", "sub", "sup", "a"),
    *("figure", "figcaption", "img", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "th": {"colspan", "rowspan"},
    "td": {"colspan", "rowspan"},
}
NUMBERS = {"width", "height", "start", "colspan", "rowspan"}

MOST_READINGS = 10

SIZES = "(min-width: 48rem) 45rem, 100vw"
"""The width of pictures in a text, as browsers are told."""

IMG = re.compile(r"<img\b([^>]*)>")
VALUE = re.compile(r'([a-z]+)="([^"]*)"')
OWN = re.compile(r"blog/([0-9a-f]{32})/([1-9][0-9]{0,4})\.(?:jpg|webp)")
FIRST_LINES = re.compile(r"<pre>\n+")  # browsers and nh3 drop one at each reading
TAG = re.compile(r"<[^>]*>")
UNSEEN = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff\u00ad")


def clean(html: str) -> str:
    """Return the HTML without scripts, handlers, styles, frames, foreign schemes and others' pictures.

    Cleaned HTML stays as it is when it is cleaned again: parsers move tags that stand where they may not, in rare cases
    once more at the next reading.
    """
    for _reading in range(MOST_READINGS):
        cleaned = _cleaned(html)
        if cleaned == html:
            break
        html = cleaned
    return html


def is_empty(content: str) -> bool:
    """Say whether cleaned HTML shows neither text nor a picture."""
    return not IMG.search(content) and not unescape(TAG.sub("", content)).translate(UNSEEN).strip()


def pictures(content: str) -> set[str]:
    """Return the keys of the pictures that cleaned HTML shows."""
    return {own[1] for img in IMG.finditer(content) if (own := _own(_values(img[1])))}


def with_sizes(content: str, known: Mapping[str, Picture]) -> str:
    """Return cleaned HTML with each picture in its largest form and with its size; those not in `known`, by key, are
    left out.
    """

    def sized(img: re.Match[str]) -> str:
        values = _values(img[1])
        own = _own(values)
        picture = known.get(own[1]) if own else None
        if picture is None:
            return ""
        source, alt = picture.address(picture.width), values.get("alt", "")
        return f'<img src="{source}" alt="{alt}" width="{picture.width}" height="{picture.height}">'

    return IMG.sub(sized, content)


def responsive(content: str) -> str:
    """Return a post's text as pages show it: each picture in all its widths, as WebP and JPEG, loaded lazily."""
    return IMG.sub(_responsive, content)


def _cleaned(html: str) -> str:
    cleaned = nh3.clean(
        html, tags=TAGS, attributes=ATTRIBUTES, url_schemes={"http", "https", "mailto"}, attribute_filter=_filtered
    )
    return FIRST_LINES.sub("<pre>", IMG.sub(lambda img: img[0] if _own(_values(img[1])) else "", cleaned))


def _filtered(tag: str, name: str, value: str) -> str | None:
    if name in NUMBERS:
        return value if re.fullmatch(r"[0-9]{1,5}", value) else None
    if tag == "img" and name == "src":
        return value.removeprefix(public_urls.absolute(""))  # as it comes when copied from a page of ours
    return value


def _values(attributes: str) -> dict[str, str]:
    return dict(VALUE.findall(attributes))


def _own(values: Mapping[str, str]) -> re.Match[str] | None:
    """Return the match of OWN, if the image's address is a picture of ours."""
    source = values.get("src", "")
    base = settings.MEDIA_URL
    return OWN.fullmatch(source, len(base)) if source.startswith(base) else None


def _responsive(img: re.Match[str]) -> str:
    values = _values(img[1])
    own = _own(values)
    if own is None:
        return img[0]
    key, width = own[1], int(own[2])

    def every(kind: str) -> str:
        return ", ".join(f"{default_storage.url(file_name(key, each, kind))} {each}w" for each in widths(width))

    kept = "".join(f' {name}="{values[name]}"' for name in ("alt", "width", "height") if name in values)
    return (
        f'<picture><source type="image/webp" srcset="{every("webp")}" sizes="{SIZES}">'
        f'<img src="{values["src"]}" srcset="{every("jpg")}" sizes="{SIZES}"{kept} loading="lazy" decoding="async">'
        "</picture>"
    )
