"""What every template may use: icons, states, times, and links that keep the rest of the address."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import template
from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.paginator import Paginator
from django.forms import BaseForm
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import translate_url
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from vestnik import __version__, access, addresses, clock, demo, mode
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings import outages
from vestnik.mailings.ledger import dead_letters as waiting
from vestnik.mailings.models import Mailing
from web import pages
from web.front.public import is_personal
from web.messages.letters import has_pictures
from web.runs import tiles

register = template.Library()
register.filter("has_pictures", has_pictures)
register.filter("as_written", addresses.shown)


@register.filter
def suppressed_because(reason: str) -> str:
    """Return a suppression's reason in words."""
    return str(dict(SuppressionReason.choices).get(reason, reason))


@register.filter
def left_out(numbers: dict[str, int]) -> str:
    """Return how many of an audience are left out, by reason, in words; nothing where nobody is."""
    total = sum(numbers.values())
    if not total:
        return ""
    said = ngettext("%(number)s is left out: %(why)s", "%(number)s are left out: %(why)s", total)
    most_first = sorted(numbers.items(), key=lambda each: -each[1])
    each = pgettext("left out", "%(why)s – %(number)s")
    why = ", ".join(each % {"why": suppressed_because(reason), "number": intcomma(n)} for reason, n in most_first)
    return said % {"number": intcomma(total), "why": why}


@register.simple_tag
def version() -> str:
    """Return the version that serves the page."""
    return __version__


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
    "bounced": "orange",
    "complained": "red",
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

STATUSES = dict(Mailing.Status.choices)
"""Mailings' words, which differ from their values."""


@register.simple_tag
def icon(name: str) -> str:
    """Show an icon of the sprite that `npm ci` makes of the names found here and in the templates."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("web/vendor/icons.svg"), name
    )


@register.simple_tag
def state(value: str, label: Any = None) -> str:
    """Show a state as a coloured word; `label` is the word where it is not the value itself."""
    colour = COLOURS.get(value, "secondary")
    word = label or STATUSES.get(value) or _(value)
    return format_html('<span class="status status-{} text-nowrap">{}</span>', colour, word)


@register.simple_tag(takes_context=True)
def sorted_by(context: Any, key: str, label: str) -> str:
    """Show a column's heading that sorts by it, the other way round at the second click."""
    parameters = context["request"].GET.copy()
    now = context["sort"]
    parameters["sort"] = f"-{key}" if now == key else key
    parameters.pop("page", None)
    direction = {key: "ascending", f"-{key}": "descending"}.get(now, "")
    mark = {"ascending": " ↑", "descending": " ↓"}.get(direction, "")
    return format_html('<a class="text-reset" href="?{}">{}{}</a>', parameters.urlencode(), label, mark)


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Return a length of time in its two largest units, rounded down: “3 min 20 s”."""
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
    """Show an entry of the main menu, marked where the page belongs to it; `badge` stands beside it."""
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
    """Count the dead letters that wait for their owner, as a badge says it: nothing, 7, or 99+."""
    count = waiting.count(user)
    return "" if not count else str(count) if count < waiting.COUNTED else f"{waiting.COUNTED - 1}+"


@register.simple_tag(takes_context=True)
def in_language(context: Any, code: str) -> str:
    """Return this page's address in another language."""
    return str(translate_url(context["request"].get_full_path(), code))


@register.simple_tag
def bar(totals: Any) -> list[tiles.Piece]:
    """Show what became of a run's letters, in pieces of a bar."""
    return tiles.bar(totals)


@register.simple_tag
def zone() -> str:
    """Return the time zone that the page's times are in, by its name."""
    words = _("Times in the time zone %(zone)s") % {"zone": timezone.get_current_timezone()}
    return format_html('<p class="zone">{}{}</p>', icon("clock"), words)


@register.filter
def breakable(address: str) -> SafeString:
    """Let lines with an address, or two, break after an @ or a dot."""
    return mark_safe(re.sub(r"([@.])(?=\w)", r"\1<wbr>", escape(address)))  # noqa: S308


@register.simple_tag
def cursor(form: BaseForm) -> str:
    """Put the cursor into the first field that is wrong, or else into the first there is."""
    fields = [field for field in form if not field.is_hidden and not field.field.disabled]
    for field in [field for field in fields if field.errors] or fields:
        field.field.widget.attrs["autofocus"] = True
        break
    return ""


@register.filter
def layout(request: HttpRequest) -> str:
    """Return the layout of a page that people see signed in or not."""
    return "signed_in.html" if is_personal(request) and request.user.is_authenticated else "public.html"


@register.filter
def has_rooms(user: Any) -> bool:
    """Say whether the menu leads this user to the rooms of those who own objects."""
    return pages.has_rooms(user)


@register.filter
def supervises(user: Any) -> bool:
    """Say whether the panel is open to this user."""
    return access.may_supervise(user)


@register.filter
def writes_blog(user: Any) -> bool:
    """Say whether this user finds the blog in the admin site."""
    return access.may_write_blog(user) and (user.is_staff or not user.is_superuser)


@register.filter
def elided(paginator: Paginator, number: int) -> Any:
    """Return the page numbers around `number`, the first and the last, with gaps."""
    return paginator.get_elided_page_range(number, on_each_side=1, on_ends=1)


@register.inclusion_tag("account/_inbox.html")
def inbox() -> dict[str, Any]:
    """Return the address where letters are seen that go to nobody, in a trial and in `make run`."""
    return {"inbox": settings.INBOX_URL}


@register.inclusion_tag("account/_demo.html")
def demo_accounts() -> dict[str, Any]:
    """Return who can sign in to the demo, and how: on nobody's machine but one's own (`make run`)."""
    shown = settings.MODE == mode.LOCAL and demo.is_there()
    return {"accounts": demo.ACCOUNTS if shown else (), "password": demo.password() if shown else ""}


@register.inclusion_tag("panel/_outage.html", takes_context=True)
def outage(context: dict[str, Any]) -> dict[str, Any]:
    """Return what is the matter with the mail service, if something is; in its own words for superusers alone."""
    found = outages.current()
    return {
        "outage": found,
        "trying": found is not None and found.next_probe <= clock.now(),
        "in_its_words": context["request"].user.is_superuser,
    }
