"""What search engines are told: which pages there are, and which are not theirs to look at."""

from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from vestnik.blog.models import Post
from vestnik.front import public_urls
from web.blog import reading
from web.front.public import public

MOST = 50_000
"""Addresses in one sitemap, says the protocol."""

CLOSED = (
    *("admin", "overview", "profile", "clients", "lists", "messages", "mailings", "runs", "dead-letters"),
    *("sharing", "panel", "senders", "suppressions", "u", "webhooks"),
)


@public(reading.SECONDS)
@require_safe
def sitemap(request: HttpRequest) -> HttpResponse:
    """List the public pages: those of the front in each language, each post in its own (https://www.sitemaps.org)."""
    languages = public_urls.languages()
    published = Post.objects.published().values_list("language", "slug", "publish_at", "updated_at")
    posts = [
        (language, slug, max(published_at or updated_at, updated_at))
        for language, slug, published_at, updated_at in published[: MOST - 2 * len(languages)]
    ]
    newest = max((changed for _language, _slug, changed in posts), default=None)
    entries = []
    for address in (public_urls.home, public_urls.blog):
        same = {language: public_urls.absolute(address(language)) for language in languages}
        entries += [_entry(same[language], newest, same) for language in languages]
    entries += [
        _entry(public_urls.absolute(public_urls.post(language, slug)), changed) for language, slug, changed in posts
    ]
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">\n'
        f"{''.join(entries)}</urlset>\n"
    )
    return HttpResponse(xml, content_type="application/xml")


@public(reading.SECONDS)
@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Tell search engines what is for everybody (RFC 9309): the public pages; rooms of signed-in people have nothing to
    be found.
    """
    closed = [f"/{room}/" for room in CLOSED] + [f"/{language}/accounts/" for language in public_urls.languages()]
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in closed), ""]
    lines.append(f"Sitemap: {public_urls.absolute(public_urls.SITEMAP)}")
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


def _entry(address: str, changed: datetime | None, same: dict[str, str] | None = None) -> str:
    links = "".join(
        f'<xhtml:link rel="alternate" hreflang="{language}" href={quoteattr(other)}/>'
        for language, other in (same or {}).items()
    )
    lastmod = f"<lastmod>{changed:%Y-%m-%dT%H:%M:%SZ}</lastmod>" if changed else ""
    return f"<url><loc>{escape(address)}</loc>{lastmod}{links}</url>\n"
