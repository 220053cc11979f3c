"""The blog's pages."""

import re

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from vestnik.blog import view_counter
from vestnik.blog.affected_pages import ON_A_PAGE, REFRESHED
from vestnik.blog.models import Post
from vestnik.front import public_urls
from web.blog import reading
from web.front import readers
from web.front.public import public

PAGE_NUMBER = re.compile(r"[1-9][0-9]{0,4}")  # what nginx keeps copies of


@public(reading.SECONDS, paged=True)
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show the posts, a dozen a page."""
    asked = request.GET.get("page")
    if asked == "1":
        return HttpResponsePermanentRedirect(public_urls.blog(get_language()))
    paginator = Paginator(range(reading.count()), ON_A_PAGE)
    number = int(asked or 1) if PAGE_NUMBER.fullmatch(asked or "1") else 0
    if number not in paginator.page_range:
        return render(request, "blog/no_page.html", {"last": paginator.num_pages}, status=404)
    posts = reading.page(number)
    response = render(request, "blog/list.html", {"posts": posts, "page_obj": paginator.page(number)})
    if number > REFRESHED:
        response.front_seconds = 0  # type: ignore[attr-defined]
    return response


@public(reading.SECONDS)
@require_safe
def post(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a published post. Drafts and what waits for its date are not there yet."""
    try:
        found = reading.post(slug)
    except Post.DoesNotExist:
        raise Http404(_("There is no such post.")) from None
    if not request.by_front and readers.reads(request):  # type: ignore[attr-defined]
        view_counter.count_view(slug)  # where there is nginx, it tells of views itself
    return render(request, "blog/post.html", {"post": found})
