"""Every address of the project, with things in it; and the roles of those who may ask for it."""

import re
from collections.abc import Iterator
from typing import Any

from django.urls import get_resolver

from tests.dead_jobs import dead_job
from vestnik.blog.models import Picture
from vestnik.mailings import unsubscribe_links
from vestnik.mailings.ledger.models import Run

ROLES = (
    "visitor", "unconfirmed", "owner", "stranger", "viewer", "editor", "manager", "content", "blocked", "superuser",
)  # fmt: skip
KINDS = ("mailing", "message", "list")
PLACE = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")


def routes(resolver: Any = None, before: str = "") -> Iterator[str]:
    """Every address of the project as its pattern has it, the admin site's as one."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = before + str(pattern.pattern)
        if getattr(pattern, "app_name", "") == "admin":
            yield route
        elif hasattr(pattern, "url_patterns"):
            yield from routes(pattern, route)
        elif "<slug:kind>" in route:
            yield from (route.replace("<slug:kind>", kind) for kind in KINDS)
        else:
            yield route


def address(route: str, ids: dict[str, int], run: Run) -> str:
    """The route with Alice's things in it."""
    letter = run.deliveries.order_by("pk")[0]

    def filled(place: re.Match[str]) -> str:
        name = place[1] or place[2]
        if name == "pk" and route.startswith("panel/dead-jobs/"):
            return dead_job().id  # another for each address: what was done to the queue is not undone
        if name == "pk":
            room = next(room for room in ids if route.startswith(f"{room}/"))
            return str(ids[room])
        if name == "token" and route.startswith("senders/"):
            return "a.token.of.nobody"
        if name == "token":
            return unsubscribe_links.signer()(letter.pk).rpartition("/")[2]
        names = {
            "delivery_pk": str(letter.pk),
            "key": "x",
            "uidb36": "1",
            "provider": "postmark",
            "cause": "failed-permanent-550",
        }
        blog = {"slug": "a-post", "picture": Picture.objects.get().key, "width": "480", "suffix": "jpg"}
        return (names | blog)[name]

    return "/" + PLACE.sub(filled, route).replace("^", "").replace("$", "")
