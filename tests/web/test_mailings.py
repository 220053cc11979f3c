"""The pages on which mailings are set up, seen and steered."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from vestnik import clock
from vestnik.accounts.models import User
from vestnik.clients import verbs as clients
from vestnik.mailings import audience, calendar, verbs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing
from vestnik.testing import factories

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture
def browser(alice: User) -> Browser:
    User.objects.filter(pk=alice.pk).update(time_zone="Europe/Moscow")
    alice.refresh_from_db()
    browser = Browser()
    browser.force_login(alice)
    return browser


def filled(owner: User, **fields: Any) -> dict[str, Any]:
    form = {
        "name": "Weekly news",
        "message": factories.make_message(owner).pk,
        "lists": [factories.make_list(owner, 3).pk],
        "single": "",
        "sender_name": "",
        "start": "2040-01-31T09:00",
        "end": "2040-04-01T09:00",
        "periodicity": "monthly",
        "time_zone": "Europe/Moscow",
        "form_key": uuid.uuid4(),
    }
    return {**form, **fields}


def test_a_mailing_is_set_up_in_the_wall_clock_time_of_its_zone(browser: Browser, alice: User) -> None:
    answer = browser.post(reverse("mailings:new"), filled(alice), follow=True)

    mailing = Mailing.objects.get()
    assert answer.redirect_chain[-1][0] == reverse("mailings:detail", args=[mailing.pk])
    assert mailing.start == datetime(2040, 1, 31, 6, tzinfo=UTC)
    assert (mailing.periodicity, mailing.time_zone, mailing.next_at) == ("monthly", "Europe/Moscow", mailing.start)
    page = answer.content.decode()
    assert "31 Jan 2040, 09:00" in page
    assert "29 Feb 2040, 09:00" in page
    assert "3 clients" in page


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("2040-01-31T09:00", "The mailing is saved. The next run starts by itself: 31 Jan 2040, 09:00:00."),
        ("2020-01-31T09:00", "Its time has come: it is about to start."),
    ],
)
def test_what_is_said_of_a_new_mailing_is_so(browser: Browser, alice: User, start: str, said: str) -> None:
    sent = filled(alice, start=start, lists=[factories.make_list(alice, 0, name="Empty").pk])
    page = browser.post(reverse("mailings:new"), sent, follow=True).content.decode()

    assert page.count("The mailing is saved.") == 1
    assert page.count(said) == 1
    assert "on their way" not in page
    assert ("starts by itself" in page) == ("starts by itself" in said)


def test_a_start_that_the_clocks_skip_moves_that_day_only_and_says_so(browser: Browser, alice: User) -> None:
    written = filled(alice, start="2040-03-25T02:30", periodicity="daily", time_zone="Europe/Berlin")

    plan = browser.post(reverse("mailings:plan"), written).content.decode()
    assert "skip 02:30" in plan
    assert "25 Mar 2040, 03:30" in plan
    assert "26 Mar 2040, 02:30" in plan

    browser.post(reverse("mailings:new"), written)
    mailing = Mailing.objects.get()
    first = datetime(2040, 3, 25, 1, 30, tzinfo=UTC)
    assert calendar.upcoming(mailing.schedule, first, 2) == [
        datetime(2040, 3, 26, 0, 30, tzinfo=UTC),
        datetime(2040, 3, 27, 0, 30, tzinfo=UTC),
    ]
    assert mailing.next_at == first


def test_a_start_that_the_clocks_skip_is_shown_as_written_and_kept_when_something_else_is_changed(
    browser: Browser, alice: User
) -> None:
    written = filled(alice, start="2040-03-25T02:30", periodicity="daily", time_zone="Europe/Berlin")
    browser.post(reverse("mailings:new"), written)
    mailing = Mailing.objects.get()
    planned = calendar.upcoming(mailing.schedule, mailing.start, 3)
    form = browser.get(reverse("mailings:change", args=[mailing.pk])).context["form"]
    assert form["start"].value() == datetime.fromisoformat("2040-03-25 02:30")

    browser.post(reverse("mailings:change", args=[mailing.pk]), {**written, "name": "Daily news"})
    mailing.refresh_from_db()
    assert mailing.name == "Daily news"
    assert calendar.upcoming(mailing.schedule, mailing.start, 3) == planned

    browser.post(reverse("mailings:change", args=[mailing.pk]), {**written, "time_zone": "Europe/Moscow"})
    mailing.refresh_from_db()
    assert calendar.upcoming(mailing.schedule, mailing.start, 1) == [datetime(2040, 3, 25, 23, 30, tzinfo=UTC)]


def test_a_mailing_to_nobody_is_refused_where_one_could_have_said_to_whom(browser: Browser, alice: User) -> None:
    answer = browser.post(reverse("mailings:new"), filled(alice, lists=[]))
    assert "Choose at least one list" in answer.content.decode()
    assert answer.context["form"].errors.keys() == {"lists"}

    form = filled(alice, lists=[])
    alice.client_lists.all().delete()
    page = browser.post(reverse("mailings:new"), form).content.decode()
    assert "You have no lists yet" in page
    assert "Name at least one client." in page


def test_single_clients_alone_are_not_counted_twice(browser: Browser, alice: User) -> None:
    client = factories.make_clients(alice, 1)[0]
    answer = browser.post(reverse("mailings:new"), filled(alice, lists=[], single=client.email), follow=True)
    page = answer.content.decode()
    assert "1 client" in page
    assert "single client" not in page


def test_a_double_click_makes_one_mailing(browser: Browser, alice: User) -> None:
    form = filled(alice)
    first, second = (browser.post(reverse("mailings:new"), form) for _ in range(2))

    assert Mailing.objects.count() == 1
    assert first["Location"] == second["Location"]


@pytest.mark.parametrize(
    ("fault", "field", "words"),
    [
        ({"end": "2040-01-31T09:00"}, "end", "after the start"),
        ({"start": "2020-01-01T00:00", "end": "2020-01-02T00:00"}, "end", "in the past"),
        ({"start": "yesterday"}, "start", "valid date"),
        ({"start": "0001-01-01T00:00"}, "start", "calendar"),
        ({"end": ""}, "end", "required"),
        ({"name": "x" * 10_000}, "name", "at most 200"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "valid choice"),
        ({"periodicity": "hourly"}, "periodicity", "valid choice"),
        ({"message": "999999"}, "message", "valid choice"),
        ({"lists": ["999999"]}, "lists", "valid choice"),
        ({"lists": []}, "lists", "at least one list"),
        ({"single": "nobody@example.org"}, "single", "None of your clients: nobody@example.org"),
        ({"single": "not an address"}, "single", "@"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_is_kept(
    browser: Browser, alice: User, fault: dict[str, Any], field: str, words: str
) -> None:
    answer = browser.post(reverse("mailings:new"), filled(alice, **fault))

    assert answer.status_code == 200
    assert words in str(answer.context["form"].errors[field])
    assert "Weekly news" in answer.content.decode() or field == "name"
    assert not Mailing.objects.exists()


def test_single_clients_are_named_by_their_addresses(browser: Browser, alice: User) -> None:
    first, second, _third = factories.make_clients(alice, 3)
    written = f"{first.email.upper()}, {second.email};\n{first.email}"
    browser.post(reverse("mailings:new"), filled(alice, lists=[], single=written))

    assert set(Mailing.objects.get().clients.all()) == {first, second}


def test_a_strangers_list_message_and_clients_cannot_be_chosen(browser: Browser, alice: User, bob: User) -> None:
    its = factories.make_list(bob, 1)
    answer = browser.post(
        reverse("mailings:new"),
        filled(alice, lists=[its.pk], message=factories.make_message(bob).pk, single=its.clients.get().email),
    )

    assert set(answer.context["form"].errors) == {"lists", "message", "single"}
    assert not Mailing.objects.exists()


def test_the_form_of_a_mailing_shows_what_is_saved_and_changes_only_what_was_changed(
    browser: Browser, alice: User
) -> None:
    mailing = factories.make_mailing(alice, 2, start=clock.now() + timedelta(days=1, seconds=7), time_zone="Asia/Tokyo")
    address = reverse("mailings:change", args=[mailing.pk])
    shown = browser.get(address).context["form"]
    form = {name: shown[name].value() for name in shown.fields}
    form = {name: "" if value is None else value for name, value in form.items()}
    form["start"], form["end"] = (form[name].strftime("%Y-%m-%dT%H:%M") for name in ("start", "end"))
    form["name"] = "Another name"
    answer = browser.post(address, form)

    assert answer.status_code == 302, answer.context["form"].errors
    changed = Mailing.objects.get()
    assert changed.name == "Another name"
    assert (changed.start, changed.end, changed.next_at) == (mailing.start, mailing.end, mailing.next_at)
    assert list(changed.lists.all()) == list(mailing.lists.all())


def test_the_plan_tells_dates_and_recipients_before_anything_is_saved(browser: Browser, alice: User) -> None:
    client = factories.make_clients(alice, 1)[0]
    plan = browser.post(reverse("mailings:plan"), filled(alice, single=client.email, name="")).content.decode()

    assert "4 clients" in plan
    assert "31 Jan 2040, 09:00" in plan
    assert "31 Mar 2040, 09:00" in plan
    assert not Mailing.objects.exists()


def test_the_plan_and_the_page_count_who_is_on_three_lists_once(browser: Browser, alice: User) -> None:
    members = factories.make_clients(alice, 7)
    lists = [factories.make_list(alice) for _ in range(3)]
    for client_list in lists:
        clients.add_to_list(client_list, members)
    form = filled(alice, lists=[client_list.pk for client_list in lists])

    assert "7 clients" in browser.post(reverse("mailings:plan"), form).content.decode()
    assert "7 clients" in browser.post(reverse("mailings:new"), form, follow=True).content.decode()


def test_the_plan_tells_of_how_many_recipients_a_value_is_empty(browser: Browser, alice: User) -> None:
    clients.create_client(alice, "elsewhere@example.org")
    nameless = clients.create_client(alice, "nobody@example.org")
    plan = browser.post(reverse("mailings:plan"), filled(alice, single=nameless.email)).content.decode()

    assert "1 of 4 clients has no full_name" in plan or "1 of 4 clients have no full_name" in plan


def test_the_plan_of_a_half_filled_form_says_what_it_can(browser: Browser, alice: User) -> None:
    plan = browser.post(reverse("mailings:plan"), {"start": "", "lists": ["x"]})

    assert plan.status_code == 200


def test_a_mailing_is_paused_and_resumed(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1)
    browser.post(reverse("mailings:pause", args=[mailing.pk]))
    assert "Paused since" in browser.get(reverse("mailings:detail", args=[mailing.pk])).content.decode()
    browser.post(reverse("mailings:resume", args=[mailing.pk]))

    mailing.refresh_from_db()
    assert mailing.paused_at is None
    assert mailing.released_at is not None


def test_send_now_asks_first_and_says_to_how_many(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 3, start=clock.now() + timedelta(days=1))
    address = reverse("mailings:send-now", args=[mailing.pk])
    page = browser.get(reverse("mailings:detail", args=[mailing.pk])).content.decode()
    assert f'href="{address}"' in page
    assert f'action="{address}"' not in page

    question = browser.get(address).content.decode()
    assert "is sent to 3 clients at once" in question
    assert "gets it once more" not in question
    assert not Run.objects.exists()

    request_id = re.search(r'name="request_id" value="([^"]+)"', question)
    assert request_id
    browser.post(address, {"request_id": request_id[1]})
    assert Run.objects.get().mailing == mailing


def test_an_address_that_no_client_has_is_said_beside_the_number_and_what_is_missing_too(
    browser: Browser, alice: User
) -> None:
    page = browser.post(reverse("mailings:plan"), filled(alice, single="nobody@example.org")).content.decode()
    assert "None of your clients: nobody@example.org." in page
    assert "clients" not in page.partition("</dd>")[0].replace("None of your clients", "")


def test_all_times_of_a_mailings_page_are_in_its_zone_which_it_names(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1, time_zone="Asia/Tokyo")
    Mailing.objects.filter(pk=mailing.pk).update(paused_at=datetime(2030, 1, 1, 20, tzinfo=UTC))
    page = browser.get(reverse("mailings:detail", args=[mailing.pk])).content.decode()
    assert "Times in the time zone Asia/Tokyo" in page
    assert "2 Jan 2030, 05:00" in page
    assert "Times in the time zone Europe/Moscow" in browser.get(reverse("mailings:list")).content.decode()


def test_send_now_makes_one_run_however_often_it_is_clicked(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1, start=clock.now() + timedelta(days=1))
    address, form = reverse("mailings:send-now", args=[mailing.pk]), {"request_id": str(uuid.uuid4())}
    first, second = browser.post(address, form), browser.post(address, form)

    run = Run.objects.get()
    assert first["Location"] == second["Location"] == reverse("runs:detail", args=[run.pk])


def test_send_now_beside_an_open_run_is_refused_in_words(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1, start=clock.now() + timedelta(days=1))
    verbs.send_now(mailing)
    answer = browser.post(
        reverse("mailings:send-now", args=[mailing.pk]), {"request_id": str(uuid.uuid4())}, follow=True
    )

    assert "A run of this mailing is not over yet." in answer.content.decode()


def test_a_run_is_cancelled(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1, start=clock.now() + timedelta(days=1))
    run = verbs.send_now(mailing)
    browser.post(reverse("mailings:cancel", args=[mailing.pk]))
    again = browser.post(reverse("mailings:cancel", args=[mailing.pk]), follow=True)

    run.refresh_from_db()
    assert run.cancelled_at is not None
    assert again.status_code == 200


def test_a_mailing_under_way_is_not_deleted_and_one_at_rest_is(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1, start=clock.now() + timedelta(days=1))
    run = verbs.send_now(mailing)
    refused = browser.post(reverse("mailings:delete", args=[mailing.pk]))
    assert "cancel it first" in refused.content.decode()

    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=clock.now())
    browser.post(reverse("mailings:delete", args=[mailing.pk]))
    assert not Mailing.objects.exists()
    assert Run.objects.get().mailing is None


def test_a_copy_begins_as_a_filled_form_and_not_as_a_mailing(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1, name="N" * 200)
    form = browser.get(reverse("mailings:new"), {"copy": mailing.pk}).context["form"]

    assert form["name"].value().startswith("Copy of N")
    assert len(form["name"].value()) == 200
    assert form["message"].value() == mailing.message_id
    assert Mailing.objects.count() == 1


@pytest.mark.parametrize("page", ["detail", "change", "delete"])
def test_for_a_stranger_a_mailing_does_not_exist(alice: User, bob: User, page: str) -> None:
    mailing = factories.make_mailing(alice, 1)
    browser = Browser()
    browser.force_login(bob)

    assert browser.get(reverse(f"mailings:{page}", args=[mailing.pk])).status_code == 404


@pytest.mark.parametrize("action", ["change", "delete", "pause", "resume", "cancel", "send-now"])
def test_a_stranger_and_a_manager_move_nothing(alice: User, bob: User, maria: User, action: str) -> None:
    mailing = factories.make_mailing(alice, 1)
    for somebody, status in ((bob, 404), (maria, 403)):
        browser = Browser()
        browser.force_login(somebody)
        answer = browser.post(reverse(f"mailings:{action}", args=[mailing.pk]), {"request_id": str(uuid.uuid4())})
        assert answer.status_code == status

    mailing.refresh_from_db()
    assert mailing.paused_at is None
    assert mailing.released_at is None


def test_why_a_manager_switched_it_off_is_told_to_the_owner(browser: Browser, alice: User, maria: User) -> None:
    mailing = factories.make_mailing(alice, 1)
    verbs.switch_off(mailing, maria, "Complaints <b>came</b>")
    page = browser.get(reverse("mailings:detail", args=[mailing.pk])).content.decode()

    assert "A manager has switched this mailing off" in page
    assert "Complaints &lt;b&gt;came" in page


def test_the_list_is_searched_and_narrowed(browser: Browser, alice: User, bob: User) -> None:
    factories.make_mailing(alice, 1, name="Зимние новости", start=clock.now() + timedelta(days=1))
    factories.make_mailing(alice, 1, name="Summer", start=clock.now() + timedelta(days=1))
    factories.make_mailing(bob, 1, name="Bob's")
    list_of = reverse("mailings:list")

    names = [mailing.name for mailing in browser.get(list_of).context["object_list"]]
    assert names == ["Summer", "Зимние новости"]
    assert len(browser.get(list_of, {"q": "ЗИМНИЕ"}).context["object_list"]) == 1
    assert len(browser.get(list_of, {"status": "created"}).context["object_list"]) == 2
    assert len(browser.get(list_of, {"status": "running"}).context["object_list"]) == 0


def test_a_page_of_mailings_asks_the_same_number_of_queries_however_many_there_are(
    browser: Browser, alice: User, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    mailing = factories.make_mailing(alice, 1)
    browser.get(reverse("mailings:list"))  # once a while it also notes when somebody was last seen
    with django_assert_max_num_queries(10) as few:
        browser.get(reverse("mailings:list"))
    for n in range(30):
        factories.make_mailing(alice, lists=mailing.lists.all(), message=mailing.message, name=f"Another {n}")
    with django_assert_num_queries(len(few)):
        browser.get(reverse("mailings:list"))


def test_a_mailings_page_asks_the_same_number_of_queries_however_many_runs_there_are(
    browser: Browser, alice: User, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    mailing = factories.make_mailing(alice, 1)
    now = clock.now()

    def add_run(number: int) -> None:
        Run.objects.create(
            mailing=mailing, owner_id=alice.pk, state="finished", window_end=now, finished_at=now,
            occurrence=now - timedelta(days=number),
        )  # fmt: skip

    add_run(1)
    address = reverse("mailings:detail", args=[mailing.pk])
    browser.get(address)  # once a while it also notes when somebody was last seen
    with django_assert_max_num_queries(30) as few:
        browser.get(address)
    for number in range(2, 20):
        add_run(number)
    with django_assert_num_queries(len(few)):
        browser.get(address)


@pytest.mark.parametrize(("field", "moment"), [("end", "9999-12-31T23:59"), ("start", "1999-12-31T00:00")])
def test_a_date_at_the_calendars_edge_is_refused(browser: Browser, alice: User, field: str, moment: str) -> None:
    answer = browser.post(reverse("mailings:new"), filled(alice, **{field: moment}))

    assert "A year from 2000 to 2199" in str(answer.context["form"].errors[field])


@pytest.mark.parametrize("odd", ["²", "9" * 5000, "-1", "x", ""])
def test_odd_numbers_in_addresses_name_nothing(browser: Browser, alice: User, odd: str) -> None:
    assert browser.get(reverse("mailings:new"), {"copy": odd}).status_code == 200
    assert browser.post(reverse("mailings:plan") + f"?mailing={odd}", filled(alice)).status_code == 200


def test_a_mailing_that_somebody_deleted_meanwhile_is_deleted(alice: User) -> None:
    mailing = factories.make_mailing(alice, 1)
    again = Mailing.objects.get()
    verbs.delete_mailing(mailing)
    verbs.delete_mailing(again)

    assert not Mailing.objects.exists()


def test_a_button_pressed_after_a_sign_out_does_nothing_and_leads_back(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 1)
    pause = reverse("mailings:pause", args=[mailing.pk])

    assert Browser().post(pause).status_code == 403
    assert browser.get(pause)["Location"] == reverse("mailings:detail", args=[mailing.pk])
    mailing.refresh_from_db()
    assert mailing.paused_at is None


def test_who_is_on_two_lists_and_single_counts_once(alice: User) -> None:
    mailing = factories.make_mailing(alice, 3)
    members = list(mailing.lists.get().clients.all())
    second = factories.make_list(alice, 1)
    clients.add_to_list(second, members[:2])
    mailing.lists.add(second)
    mailing.clients.add(members[0])

    assert audience.count(mailing).to == audience.of(mailing).count() == 4
    assert audience.would_be(mailing.owner_id, [second], members).to == 4
