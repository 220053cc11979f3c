"""The feed: RSS 2.0, the newest posts with their beginnings."""

from datetime import UTC, datetime

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.utils.feedgenerator import Enclosure, Rss201rev2Feed
from django.utils.html import escape
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from vestnik.blog.models import Picture, file_name
from vestnik.front import public_urls
from web.blog import reading, texts
from web.front.public import public


class Feed(Rss201rev2Feed):
    def latest_post_date(self) -> datetime:
        """Return when the newest was published or changed; of an empty feed, always the same."""
        changes = [max(item["pubdate"], item["updateddate"]) for item in self.items]
        return max(changes, default=datetime.fromtimestamp(0, UTC))


@public(reading.SECONDS)
@require_safe
def rss(request: HttpRequest) -> HttpResponse:
    """Return the newest posts for feed readers (RSS 2.0)."""
    language = get_language()
    feed = Feed(
        title=_("Vestnik’s blog"),
        link=public_urls.absolute(public_urls.blog(language)),
        description=_("How mailings are sent, and how one can prove it."),
        language=language,
        feed_url=public_urls.absolute(public_urls.feed(language)),
    )
    for card in reading.latest():
        address = public_urls.absolute(public_urls.post(card.language, card.slug))
        feed.add_item(
            title=texts.line(card.title),
            link=address,
            description=escape(card.summary),  # readers take it for HTML
            pubdate=card.publish_at,
            updateddate=card.updated_at,
            unique_id=address,
            enclosures=[_enclosure(card.picture)] if card.picture else [],
        )
    return HttpResponse(feed.writeString("utf-8"), content_type=feed.content_type)


def _enclosure(picture: Picture) -> Enclosure:
    width = picture.widths[-1]
    try:
        size = default_storage.size(file_name(picture.key, width, "jpg"))
    except OSError:
        size = 0
    return Enclosure(public_urls.absolute(picture.address(width)), str(size), "image/jpeg")
