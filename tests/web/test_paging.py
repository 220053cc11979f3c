"""Tables of any length: how many rows there are, exactly, and every page of them."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from vestnik.accounts.models import User
from vestnik.clients.models import Client
from vestnik.testing import factories
from web import paging
from web.clients.views import Clients
from web.paging import ExactPaginator

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture
def clients(alice: User, bob: User) -> Any:
    """Alice's, of whom some have one name; the first page holds seven."""
    factories.make_clients(alice, 100)
    factories.make_clients(bob, 5)
    Client.objects.filter(owner=alice, pk__in=Client.objects.values("pk")[:30]).update(name_key="one name")
    return Client.objects.filter(owner=alice)


@pytest.mark.parametrize("sort", Clients.sorts)
@pytest.mark.parametrize("far", [0, 20, 1000])
@pytest.mark.parametrize(("searched", "few"), [(False, 0), (True, 99), (True, 100)])
def test_every_page_is_what_a_plain_slice_would_be_from_whichever_end_it_is_reached(
    clients: Any, sort: str, far: int, searched: bool, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "FAR", far)
    monkeypatch.setattr(paging, "FEW", few)
    rows = clients.order_by(*Clients.sorts[sort])
    pages = ExactPaginator(rows, 7, searched=searched)
    assert (pages.count, pages.num_pages) == (100, 15)
    whole = list(rows)
    assert [list(page) for page in pages] == [whole[begin : begin + 7] for begin in range(0, 100, 7)]


def test_of_what_lies_before_a_far_page_only_keys_are_read_and_from_the_nearer_end(
    clients: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "FAR", 10)
    pages = ExactPaginator(clients.order_by("name_key", "pk"), 7)
    assert pages.count == 100
    with CaptureQueriesContext(
        connection,
    ) as asked:
        list(pages.page(14))
    keys, _rows = (query["sql"] for query in asked.captured_queries)
    assert re.match(r'SELECT "clients_client"."id" (AS "\w+" )?FROM ', keys)
    assert "DESC" in keys
    assert keys.endswith("LIMIT 7 OFFSET 2")


def test_the_number_of_clients_is_said_exactly_and_a_page_is_reached_by_its_number(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.make_clients(alice, 2001)
    monkeypatch.setattr(Clients, "paginate_by", 50)
    browser = Browser()
    browser.force_login(alice)
    page = browser.get(reverse("clients:list"), {"page": "31", "sort": "added"})
    assert "1,501–1,550 of 2,001" in page.content.decode()
    assert 'max="41"' in page.content.decode()
    last = browser.get(reverse("clients:list"), {"page": "999", "sort": "added"})
    assert [client.email for client in last.context["page_obj"]] == [alice.clients.order_by("-pk")[0].email]


def test_what_takes_long_to_count_is_counted_once_in_a_while(clients: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "SLOW", 0)
    assert ExactPaginator(clients.order_by("pk"), 7).count == 100
    clients[0].delete()
    assert ExactPaginator(clients.order_by("pk"), 7).count == 100
    assert ExactPaginator(clients.filter(name_key="one name").order_by("pk"), 7).count in (29, 30)
    assert ExactPaginator(clients.none().order_by("pk"), 7).count == 0
