"""What came back of letters, as pages tell it: beside what was sent, never instead."""

import csv

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.web.ledger import make_run
from vestnik import access
from vestnik.mailings.ledger import events
from vestnik.mailings.ledger.models import BounceKind, DeliveryEvent, EventKind

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture
def run(alice):
    """A run of twelve sent letters: one bounced, another's reader complained."""
    run = make_run(alice, sent=12)
    bounced, complained = run.deliveries.order_by("client_id")[:2]
    words = f"550 5.1.1 <{bounced.address}>: no such mailbox"
    events.note(
        bounced.pk,
        events.Report(kind=EventKind.BOUNCED, bounce=BounceKind.HARD, status="5.1.1", answer=words, source="mail"),
    )
    events.note(complained.pk, events.Report(kind=EventKind.COMPLAINED, answer="abuse", source="mail"))
    return run


def letters(run):
    return list(run.deliveries.order_by("client_id"))


def test_the_run_tells_them_apart_from_what_was_sent(client, alice, run):
    client.force_login(alice)
    page = " ".join(client.get(reverse("runs:detail", args=[run.pk])).content.decode().split())
    said = page[page.index("Of the sent ones:") :][:1_200]
    assert "bounced" in said
    assert f'<a href="/runs/{run.pk}/letters/?state=bounced">1</a> (8.3 %)' in said
    assert f'<a href="/runs/{run.pk}/letters/?state=complained">1</a> (8.3 %)' in said
    assert "delivered" not in page


def test_where_nothing_came_back_nothing_is_said_of_it(client, alice):
    client.force_login(alice)
    page = client.get(reverse("runs:detail", args=[make_run(alice, sent=2).pk])).content.decode()
    assert "Of the sent ones" not in page


@pytest.mark.parametrize(("state", "place"), [("bounced", 0), ("complained", 1)])
def test_the_journal_is_narrowed_to_them(client, alice, run, state, place):
    client.force_login(alice)
    answer = client.get(reverse("runs:letters", args=[run.pk]), {"state": state})
    assert [line.delivery.pk for line in answer.context["lines"]] == [letters(run)[place].pk]


def test_the_journal_goes_on_from_page_to_page_of_what_bounced(client, alice, run):
    client.force_login(alice)
    for letter in letters(run)[2:]:
        events.note(letter.pk, events.Report(kind=EventKind.BOUNCED, bounce=BounceKind.SOFT, source="mail"))
    first = letters(run)[5]
    answer = client.get(reverse("runs:letters", args=[run.pk]), {"state": "bounced", "after": first.client_id})
    assert [line.delivery.pk for line in answer.context["lines"]] == [each.pk for each in letters(run)[6:]]


def test_the_letters_page_quotes_what_came_back(client, alice, run):
    client.force_login(alice)
    bounced, complained = letters(run)[:2]
    page = client.get(reverse("runs:delivery", args=[run.pk, bounced.pk])).content.decode()
    assert "hard bounce: there is no such mailbox" in page
    assert f"550 5.1.1 &lt;{bounced.address}&gt;: no such mailbox" in page
    page = client.get(reverse("runs:delivery", args=[run.pk, complained.pk])).content.decode()
    assert "Its reader reported it as spam." in page


def test_whoever_else_sees_the_run_sees_no_address_in_it(client, maria, run):
    client.force_login(maria)
    bounced, *_ = letters(run)
    page = client.get(reverse("runs:delivery", args=[run.pk, bounced.pk])).content.decode()
    assert "5.1.1" in page
    assert bounced.address not in page
    assert bounced.address.partition("@")[0] not in page


def test_the_table_has_a_column_of_it(client, alice, run):
    client.force_login(alice)
    answer = client.get(reverse("runs:csv", args=[run.pk]))
    rows = list(csv.reader(b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()))
    assert [row[-1] for row in rows[:4]] == ["came back", "bounced", "complaint", ""]
    narrowed = client.get(reverse("runs:csv", args=[run.pk]), {"state": "complained"})
    assert len(b"".join(narrowed.streaming_content).decode().splitlines()) == 2


def test_the_overview_reports_it(client, alice, run):
    client.force_login(alice)
    page = client.get(reverse("overview")).content.decode()
    assert page.count("Of the sent ones:") == 2


def test_a_page_of_many_asks_no_more_than_one_of_few(client, alice, run, django_assert_num_queries):
    client.force_login(alice)
    address = reverse("runs:letters", args=[run.pk])
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for letter in letters(run)[2:]:
        events.note(letter.pk, events.Report(kind=EventKind.COMPLAINED, source="mail"))
    assert DeliveryEvent.objects.count() == 12
    with django_assert_num_queries(len(few)):
        client.get(address)


def test_the_question_about_many_names_both_ways(client, alice):
    run = make_run(alice, sent=40)
    for letter in letters(run)[:25]:
        events.note(
            letter.pk, events.Report(kind=EventKind.BOUNCED, bounce=BounceKind.HARD, status="5.1.1", source="mail")
        )
    client.force_login(alice)
    page = " ".join(client.get(reverse("runs:detail", args=[run.pk])).content.decode().split())
    assert "25 addresses of 40 were refused, or their letters came back" in page
    assert access.may(alice, "change", run.mailing)
