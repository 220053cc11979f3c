"""The overview: what to do next, what is under way, and the report of the account."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dispatcher.pace.breaker import Breaker
from dispatcher.providers.errors import Misconfigured
from tests.web.ledger import make_run
from vestnik import __version__
from vestnik.mailings.ledger.models import Run, Tally
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_clients, make_mailing, make_message

SCRIPT = "<script>alert(1)</script>"
HTMX = {"HX-Request": "true"}

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture
def as_alice(client, alice):
    client.force_login(alice)
    return client


def overview(client, **asked):
    return client.get(reverse("overview"), asked)


def text(response):
    return (b"".join(response.streaming_content) if response.streaming else response.content).decode()


def in_hour(run, moment):
    """As if the run's letters had come to their ends then."""
    Tally.objects.filter(run=run).update(hour=moment)
    Run.objects.filter(pk=run.pk).update(opened_at=moment)


# First steps


def test_the_first_steps_are_shown_one_after_the_other_until_all_are_done(as_alice, alice):
    def next_step():
        step = overview(as_alice).context["next_step"]
        return step and step.title

    assert next_step() == "Add clients"
    make_clients(alice, 1)
    assert next_step() == "Write a message"
    message = make_message(alice)
    assert next_step() == "Set up a mailing"
    make_mailing(alice, message=message)
    assert next_step() == "Watch it being sent"
    make_run(alice, sent=1)
    assert next_step() is None
    assert "First steps" not in text(overview(as_alice))


def test_who_made_something_is_led_to_the_next_of_the_first_steps(as_alice, alice):
    form = {"email": "anna@example.org", "full_name": "Anna", "attributes": "", "comment": ""}
    said = text(as_alice.post(reverse("clients:new"), form, follow=True))
    assert "The client is added. The next step:" in said
    assert f'<a class="alert-link" href="{reverse("messages:new")}">' in said

    make_run(alice, sent=1)
    said = text(as_alice.post(reverse("clients:new"), form | {"email": "boris@example.org"}, follow=True))
    assert "The client is added." in said
    assert "The next step" not in said


def test_what_was_sent_within_a_minute_is_a_share_of_all_that_ended(as_alice, alice):
    make_run(alice, sent=1, failed=3, queued=4)
    assert overview(as_alice).context["within_minute"] == 25.0


def test_what_others_have_done_is_no_step_of_one_s_own(as_alice, bob):
    make_run(bob, sent=1)
    assert overview(as_alice).context["next_step"].title == "Add clients"


def test_a_manager_is_not_asked_to_take_steps(client, maria):
    client.force_login(maria)
    page = text(client.get(reverse("overview"), follow=True))
    assert "First steps" not in page
    assert reverse("mailings:new") not in page


# Under way


def test_runs_under_way_are_watched_only_while_there_are_any(as_alice, alice):
    assert "every 2s" not in text(overview(as_alice))
    run = make_run(alice, sent=1, queued=1, name="Spring news")
    page = overview(as_alice)
    assert "every 2s" in text(page)
    fragment = as_alice.get(reverse("overview-under-way"), {"ids": page.context["under_way_ids"]}, headers=HTMX)
    assert "Spring news" in text(fragment)
    assert "50 %" in text(fragment)
    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=timezone.now())
    over = as_alice.get(reverse("overview-under-way"), {"ids": page.context["under_way_ids"]}, headers=HTMX)
    assert over.headers["HX-Refresh"] == "true"
    assert "every 2s" not in text(overview(as_alice))


def test_why_nothing_goes_out_is_said_where_letters_wait_for_it(as_alice, alice):
    Breaker("memory://").failed(Misconfigured("the service is at lunch."))
    words = "refuses this installation&#x27;s settings. The next try is at"
    assert words not in text(overview(as_alice)), "nothing of hers waits"
    make_run(alice, sent=1, queued=1)
    page = overview(as_alice)
    assert words in text(page)
    fragment = as_alice.get(reverse("overview-under-way"), {"ids": page.context["under_way_ids"]}, headers=HTMX)
    assert words in text(fragment)


def test_strangers_runs_are_not_seen(as_alice, bob):
    make_run(bob, sent=1, queued=1, name="Secret plans")
    make_run(bob, failed=2, name="Past secrets")
    page = overview(as_alice)
    assert "ecret" not in text(page)
    assert page.context["report"].totals.total == 0


def test_a_paused_run_is_said_to_be_paused(as_alice, alice):
    run = make_run(alice, sent=1, queued=1)
    Mailing.objects.filter(pk=run.mailing_id).update(paused_at=timezone.now())
    assert "paused</span>" in text(overview(as_alice))


# The report


def test_the_report_adds_up_the_letters_of_the_period(as_alice, alice):
    make_run(alice, sent=3, failed=1, unknown=1)
    in_hour(make_run(alice, sent=5), timezone.now() - timedelta(days=20))
    month, week = overview(as_alice), overview(as_alice, period="7")
    assert (month.context["report"].totals.sent, week.context["report"].totals.sent) == (8, 3)
    assert len(month.context["rows"]) == 30
    assert len(week.context["rows"]) == 7
    assert [series["colour"] for series in week.context["chart"]["series"]] == ["green", "red", "yellow"]
    assert [series["values"][-1] for series in week.context["chart"]["series"]] == [3, 1, 1]
    assert "No such user here" in text(week)


def test_the_report_of_today_is_by_the_hour(as_alice, alice):
    make_run(alice, sent=2)
    page = overview(as_alice, period="today")
    assert len(page.context["rows"]) in (23, 24, 25)
    assert sum(page.context["chart"]["series"][0]["values"]) == 2


def test_days_are_those_of_the_reader_s_own_calendar(as_alice, alice):
    alice.time_zone = "Pacific/Kiritimati"  # 14 hours ahead: its day begins at ten in the morning of UTC's day before
    alice.save()
    today = datetime.now(UTC) + timedelta(hours=14)
    begins = today.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=14)
    in_hour(make_run(alice, sent=2), begins)
    in_hour(make_run(alice, sent=1), begins - timedelta(hours=1))
    assert overview(as_alice, period="7").context["chart"]["series"][0]["values"][-2:] == [1, 2]


@pytest.mark.parametrize("asked", ["nonsense", "0", "-1", "1e9", ""])
def test_a_period_nobody_offers_is_the_usual_one(as_alice, asked):
    assert overview(as_alice, period=asked).context["period"] == "30"


def test_the_report_as_a_table_for_spreadsheets(as_alice, alice):
    make_run(alice, sent=3, failed=1)
    alice.language = "en"
    response = as_alice.get(reverse("overview-csv"), {"period": "7"})
    lines = text(response).splitlines()
    assert lines[0] == '\ufeff"from","sent","failed","expired","cancelled","unknown"'
    assert len(lines) == 8
    assert lines[-1].endswith(',"3","1","0","0","0"')


def test_an_account_without_letters_reads_well(as_alice):
    page = text(overview(as_alice))
    assert "No run yet" in page
    assert "No letters in this period" in page


# All of it


def test_runs_of_deleted_mailings_stay_among_the_latest(as_alice, alice):
    run = make_run(alice, sent=3)
    Mailing.objects.all().delete()
    page = overview(as_alice)
    assert [found.pk for found in page.context["latest"]] == [run.pk]
    assert page.context["latest"][0].totals.sent == 3
    assert run.subject in text(page)


def test_what_others_wrote_is_never_run(as_alice, alice):
    run = make_run(alice, failed=1, queued=1, name=SCRIPT, answer=SCRIPT)
    Run.objects.filter(pk=run.pk).update(subject=SCRIPT)
    assert SCRIPT not in text(overview(as_alice))


def test_the_overview_asks_as_much_of_the_database_for_many_runs_as_for_one(as_alice, alice):
    counts = []
    for number in (1, 9):
        for _ in range(number):
            make_run(alice, sent=1, failed=1, queued=1)
        overview(as_alice)  # notes when the user was seen
        with CaptureQueriesContext(connection) as queries:
            overview(as_alice)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_overview_is_for_those_who_signed_in(client):
    for name in ("overview", "overview-under-way", "overview-csv"):
        assert client.get(reverse(name)).status_code == 302


def test_the_foot_of_a_page_says_which_version_serves_it(as_alice):
    assert f"Vestnik {__version__}" in text(overview(as_alice))
