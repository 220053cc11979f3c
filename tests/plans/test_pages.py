"""What pages ask in an installation that has grown. Each page of the signed-in rooms is opened on the sample, sorted,
searched and turned as people do it; what it asked is planned for all sizes, whatever is known of the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import get_resolver

from tests.plans import reading
from tests.plans.conftest import Known
from tests.plans.sample import RUNS
from vestnik.accounts.models import User
from vestnik.mailings.ledger.models import DeliveryState, EventKind

pytestmark = pytest.mark.usefixtures("valkey")

ROOMS = (
    *("clients/", "lists/", "suppressions/", "messages/", "mailings/", "runs/", "overview/", "dead-letters/", "panel/"),
    "profile/",
)
IDS = {"clients/": 20, "mailings/": RUNS, "messages/": RUNS, "runs/": RUNS, "panel/mailings/": RUNS}
"""What `<int:pk>` means in each room; elsewhere it is 1."""

OF_LETTERS = {
    *("clients_client", "clients_membership", "clients_suppression"),
    *("mailings_delivery", "mailings_attempt", "mailings_deliveryevent", "mailings_tally"),
}
"""Tables of which an installation may have millions of rows."""

NOT_OPENED = {
    "panel/dead-jobs/<uuid:pk>/": "of the queue, which is in Redis",
    "panel/dead-jobs/<uuid:pk>/requeue/": "the same",
    "panel/dead-jobs/<uuid:pk>/discard/": "the same",
    "clients/imports/<int:pk>/refused.csv": "no row was refused",
    "clients/export.csv": "all of an owner's clients are what it shows",
    "runs/<int:pk>/letters.csv": "all of a run's letters are what it shows",
    "runs/<int:pk>/try-again/": "a button",
    "runs/<int:pk>/refused/": "the same",
    "suppressions/<int:pk>/lift/": "the same",
    "suppressions/csv/": "all of an owner's suppressed addresses are what it shows",
}
WORDS = {
    "clients/": ["?q=client12", "?list=1", "?list=1&q=client12", "?page=7"],
    "lists/<int:pk>/": ["?q=client12", "?page=7"],
    "suppressions/": ["?q=client12", "?reason=unsubscribed", "?page=2"],
    "runs/<int:pk>/letters/": [
        *(f"?state={state}" for state in (*DeliveryState.values, *EventKind.values)), "?after=100",
        "?state=queued&after=300", "?q=client12",
    ],
    "mailings/": ["?q=news", "?status=running", "?status=completed", "?whose=shared"],
    "panel/": ["?q=news", "?status=running", "?status=completed"],
    "panel/users/": ["?q=person1", "?state=active"],
    "overview/": ["?since=2020-01-01&until=2030-01-01"],
}  # fmt: skip
"""What else pages are asked for by their addresses."""


def addresses(resolver: Any = None, before: str = "") -> Iterator[str]:
    """Every page of the rooms that is opened by its address, in all orders."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from addresses(pattern, route)
        elif route.startswith(ROOMS) and route not in NOT_OPENED:
            room = max((room for room in IDS if route.startswith(room)), key=len, default="")
            page = "/" + re.sub("<int:pk>", str(IDS.get(room, 1)), route)
            page = page.replace("<int:delivery_pk>", "100").replace("<slug:cause>", "failed-permanent-550")
            view = getattr(pattern.callback, "view_class", None)
            yield page
            yield from (f"{page}?sort={sort}" for sort in getattr(view, "sorts", ()))
            yield from (page + words for words in WORDS.get(route, ()))


def asked(page: str) -> dict[str, str]:
    """What the page asks the database, with and without its values."""
    browser = Browser()
    browser.force_login(User.objects.get(pk=2 if page.startswith("/panel/") else 1))
    with reading.noted() as found:
        answer: Any = browser.get(page)
        if answer.streaming:
            b"".join(answer.streaming_content)
    assert answer.status_code in (200, 302, 405), f"{page}: {answer.status_code}"
    return found


@pytest.mark.parametrize("page", list(dict.fromkeys(addresses())))
def test_a_page_asks_for_what_it_shows_and_no_more(on_the_sample: None, webs: Known, page: str) -> None:
    found = []
    for sql, with_values in asked(page).items():
        for scale, database in webs:
            plan = reading.of(database, with_values)
            if faults := reading.faults(plan, reading.large(database) & OF_LETTERS, to_the_end=False):
                found.append(f"{scale}: {'; '.join(faults)}\n{sql}\n{reading.told(plan)}")
    assert not found, "\n\n".join([f"{page} does not scale.", *found])
