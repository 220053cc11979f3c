"""What every template may use: icons, states, times, and links that keep the rest of the address."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import template
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import translate_url
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vestnik import access, clock
from vestnik.mailings import dead_letters as waiting
from vestnik.mailings import service
from web.front.public import is_personal
from web.messages.letters import has_pictures

register = template.Library()
register.filter("has_pictures", has_pictures)

COLOURS = {
    # of mailings
    "created": "secondary",
    "running": "blue",
    "completed": "green",
    "paused": "yellow",
    "switched off": "red",
    # of runs
    "open": "blue",
    "finished": "green",
    "missed": "red",
    "skipped": "secondary",
    # of letters
    "queued": "secondary",
    "sending": "blue",
    "sent": "green",
    "failed": "red",
    "expired": "orange",
    "cancelled": "secondary",
    "unknown": "yellow",
    # of attempts
    "accepted": "green",
    "temporary": "orange",
    "permanent": "red",
    # of imports
    "done": "green",
    "refused": "red",
    # of users
    "active": "green",
    "not confirmed": "yellow",
    # of what supervisors do
    "switched on": "green",
    "blocked": "red",
    "unblocked": "green",
    "shared": "blue",
    "requeued": "blue",
    "discarded": "red",
}


@register.simple_tag
def icon(name: str) -> str:
    """An icon of the sprite that `npm ci` makes of the names found here and in the templates."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("web/vendor/icons.svg"), name
    )


@register.simple_tag
def state(value: str, label: Any = None) -> str:
    """A state as a coloured word; `label` is the word where it is not the value itself."""
    colour = COLOURS.get(value, "secondary")
    return format_html('<span class="status status-{} text-nowrap">{}</span>', colour, label or _(value))


@register.simple_tag(takes_context=True)
def sorted_by(context: Any, key: str, label: str) -> str:
    """A column's heading that sorts by it, the other way round at the second click."""
    parameters = context["request"].GET.copy()
    now = context["sort"]
    parameters["sort"] = f"-{key}" if now == key else key
    parameters.pop("page", None)
    direction = {key: "ascending", f"-{key}": "descending"}.get(now, "")
    mark = {"ascending": " ↑", "descending": " ↓"}.get(direction, "")
    return format_html('<a class="text-reset" href="?{}">{}{}</a>', parameters.urlencode(), label, mark)


@register.filter
def duration(value: timedelta | float | None) -> str:
    """A length of time in its two largest units, rounded down: “3 min 20 s”."""
    if value is None:
        return "–"
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if 0 < seconds < 1:
        return _("%(number)s s") % {"number": number_format(seconds, 2)}
    units: tuple[tuple[int, Callable[[int], str]], ...] = (
        (86400, lambda n: ngettext("%(n)d day", "%(n)d days", n) % {"n": n}),
        (3600, lambda n: _("%(n)d h") % {"n": n}),
        (60, lambda n: _("%(n)d min") % {"n": n}),
        (1, lambda n: _("%(n)d s") % {"n": n}),
    )
    words: list[str] = []
    rest = int(seconds)
    for length, say in units:
        count, rest = divmod(rest, length)
        if count or (length == 1 and not words):
            words.append(say(count))
        elif words:
            break
    return " ".join(words[:2])


@register.simple_tag(takes_context=True)
def menu_item(context: Any, address: str, icon_name: str, label: str, badge: str = "") -> str:
    """An entry of the main menu, marked where the page belongs to it; `badge` stands beside it."""
    here = context["request"].path.startswith(address)
    return format_html(
        '<li class="nav-item{}"><a class="nav-link" href="{}"{}>'
        '<span class="nav-link-icon d-lg-none d-xxl-inline-block">{}</span>'
        '<span class="nav-link-title text-nowrap">{}</span>{}</a></li>',
        " active" if here else "",
        address,
        mark_safe(' aria-current="page"') if here else "",
        icon(icon_name),
        label,
        format_html(' <span class="badge bg-red text-red-fg ms-1">{}</span>', badge) if badge else "",
    )


@register.simple_tag
def dead_letters(user: Any) -> str:
    """How many dead letters wait for their owner, as a badge says it: nothing, 7, or 99+."""
    count = waiting.count(user)
    return "" if not count else str(count) if count < waiting.COUNTED else f"{waiting.COUNTED - 1}+"


@register.simple_tag(takes_context=True)
def in_language(context: Any, code: str) -> str:
    """This page's address in another language."""
    return str(translate_url(context["request"].get_full_path(), code))


@register.filter
def layout(request: HttpRequest) -> str:
    """The layout of a page that people see signed in or not."""
    return "signed_in.html" if is_personal(request) and request.user.is_authenticated else "public.html"


@register.filter
def supervises(user: Any) -> bool:
    """Whether the panel is open to this user."""
    return access.may_supervise(user)


@register.filter
def writes_blog(user: Any) -> bool:
    """Whether this user finds the blog in the admin site."""
    return access.may_write_blog(user) and (user.is_staff or not user.is_superuser)


@register.filter
def elided(paginator: Paginator, number: int) -> Any:
    """The page numbers around `number`, the first and the last, with gaps."""
    return paginator.get_elided_page_range(number, on_each_side=1, on_ends=1)


@register.inclusion_tag("panel/_outage.html")
def outage() -> dict[str, Any]:
    """What is the matter with the mail service, if something is."""
    found = service.outage()
    return {"outage": found, "trying": found is not None and found.next_probe <= clock.now()}
