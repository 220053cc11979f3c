"""What a post's HTML may be made of. Whatever else was typed or smuggled in is left out (by nh3)."""

import nh3

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


def clean(html: str) -> str:
    """The HTML without scripts, handlers, styles, frames and foreign schemes."""
    return nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, url_schemes={"http", "https", "mailto"})
