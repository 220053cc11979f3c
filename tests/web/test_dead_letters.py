"""The pages of dead letters: the owner's, with what can be done, and the panel's, to look at."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from guardian.shortcuts import assign_perm

from tests.web.ledger import make_run
from vestnik.accounts.models import User
from vestnik.mailings import verbs
from vestnik.mailings.ledger import dead_letters
from vestnik.mailings.ledger.models import Attempt, Run
from vestnik.mailings.models import Mailing

pytestmark = pytest.mark.usefixtures("valkey")

SCRIPT = "<script>alert(1)</script>"
REFUSED = "failed-permanent-550"
LIST = reverse("dead-letters:list")
PANEL = reverse("panel:dead-letters")
LETTERS = reverse("dead-letters:letters", args=[REFUSED])
IN_PANEL = reverse("panel:dead-letters-of-cause", args=[REFUSED])


def browser_of(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def browser(alice: User) -> Browser:
    return browser_of(alice)


def read(browser: Browser, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def press(browser: Browser, action: str, key: uuid.UUID | None = None, **data: Any) -> list[str]:
    """Press a button; what is said then."""
    form = {"cause": REFUSED, "form_key": key or uuid.uuid4(), **data}
    answer: Any = browser.post(reverse(f"dead-letters:{action}"), form, follow=True)
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


def states(run: Run) -> list[str]:
    return sorted(run.deliveries.values_list("state", flat=True))


def ids(run: Run) -> list[int]:
    return list(run.deliveries.order_by("pk").values_list("pk", flat=True))


# What is seen


def test_dead_letters_stand_by_reason_with_their_number_and_an_answer(browser: Browser, alice: User) -> None:
    make_run(alice, failed=3, sent=1, answer="No such user, said the service")
    make_run(alice, unknown=2, answer="")
    page = read(browser, LIST)
    for said in ("550: the mailbox was refused", "No such user, said the service", "it may have arrived", LETTERS):
        assert said in page
    assert [(group.letters, group.runs) for group, _answer in browser.get(LIST).context["groups"]] == [(3, 1), (2, 1)]


def test_a_reason_opens_to_its_letters(browser: Browser, alice: User) -> None:
    run = make_run(alice, failed=2, unknown=1, name="Weekly news")
    page = read(browser, LETTERS)
    for letter in run.deliveries.filter(state="failed"):
        assert letter.address in page
    assert run.deliveries.get(state="unknown").address not in page
    assert "Weekly news" in page


def test_letters_that_may_have_arrived_are_told_to_be_such(browser: Browser, alice: User) -> None:
    make_run(alice, unknown=1)
    address = reverse("dead-letters:letters", args=["unknown-unknown"])
    assert "may get them twice" in read(browser, address)
    assert "may get them twice" not in read(browser, LETTERS)


def test_whoever_has_none_is_told_so(browser: Browser) -> None:
    assert "No dead letters" in read(browser, LIST)
    assert "No dead letters of this reason" in read(browser, LETTERS)


@pytest.mark.parametrize("key", ["sent", "failed-permanent-x", "failed-550"])
def test_a_reason_that_is_none_is_not_found(browser: Browser, key: str) -> None:
    assert browser.get(reverse("dead-letters:letters", args=[key])).status_code == 404


def test_many_letters_are_paged_and_none_is_left_out(browser: Browser, alice: User) -> None:
    runs = [make_run(alice, failed=40) for _ in range(3)]
    seen, address = [], LETTERS
    for _ in range(3):
        context = browser.get(address).context
        seen += [line.delivery.pk for line in context["lines"]]
        address = f"{LETTERS}?after={context['following']}"
    assert context["following"] == ""
    assert sorted(seen) == sorted(pk for run in runs for pk in ids(run))


@pytest.mark.parametrize("after", ["x", "1", "1-2-3", "-1--2", "٣-٣", "9" * 40 + "-1"])
def test_a_place_that_makes_no_sense_is_the_beginning(browser: Browser, alice: User, after: str) -> None:
    make_run(alice, failed=1)
    assert len(browser.get(LETTERS, {"after": after}).context["lines"]) == 1


def test_nothing_of_others_is_seen(alice: User, bob: User) -> None:
    make_run(alice, failed=1, name="Weekly news")
    strangers = browser_of(bob)
    assert "No dead letters" in read(strangers, LIST)
    assert "Weekly news" not in read(strangers, LETTERS)


def test_whoever_may_edit_a_mailing_sees_its_dead_letters_without_whole_addresses(alice: User, bob: User) -> None:
    run = make_run(alice, failed=1, name="Weekly news")
    letter = run.deliveries.get()
    local = letter.address.partition("@")[0]
    Attempt.objects.filter(delivery=letter).update(answer=f"{local}: unknown, <{letter.address}> refused")
    for permission in ("view_mailing", "change_mailing"):
        assign_perm(f"mailings.{permission}", bob, run.mailing)
    for address in (LIST, LETTERS):
        page = read(browser_of(bob), address)
        assert local not in page
        assert "c…: unknown" in page
    assert "c…@example.org" in page
    assert press(browser_of(bob), "try-again", letter=[letter.pk]) == ["The letters of 1 run are on their way again."]
    assert states(run) == ["queued"]


def test_names_and_answers_are_shown_as_text(browser: Browser, alice: User, maria: User) -> None:
    make_run(alice, failed=1, name=SCRIPT, answer=SCRIPT)
    for reader, address in (
        (browser, LIST),
        (browser, LETTERS),
        (browser_of(maria), PANEL),
        (browser_of(maria), IN_PANEL),
    ):
        page = read(reader, address)
        assert SCRIPT not in page
        assert "&lt;script&gt;" in page


def test_the_menu_counts_them_up_to_a_hundred(browser: Browser, alice: User) -> None:
    overview = reverse("overview")
    assert "badge bg-red" not in read(browser, overview)
    run = make_run(alice, failed=7)
    assert '<span class="badge bg-red text-red-fg ms-1">7</span>' in read(browser, overview)
    make_run(alice, unknown=100)
    assert '<span class="badge bg-red text-red-fg ms-1">99+</span>' in read(browser, overview)
    for made in (run, Run.objects.latest("pk")):
        dead_letters.dismiss(Run.objects.all(), ids(made))
    assert "badge bg-red" not in read(browser, overview)


def test_a_dismissed_letter_s_own_page_says_so(browser: Browser, alice: User) -> None:
    run = make_run(alice, failed=1)
    address = reverse("runs:delivery", args=[run.pk, ids(run)[0]])
    assert "Dismissed" not in read(browser, address)
    press(browser, "dismiss", all=1)
    assert "Dismissed" in read(browser, address)


def test_a_run_offers_to_try_again_what_is_not_dismissed(browser: Browser, alice: User) -> None:
    run = make_run(alice, failed=1, unknown=1)
    address = reverse("runs:detail", args=[run.pk])
    assert [state for state, _count in browser.get(address).context["again"]] == ["failed", "unknown"]
    press(browser, "dismiss", all=1)
    assert [state for state, _count in browser.get(address).context["again"]] == ["unknown"]


@pytest.mark.parametrize("address", [LIST, LETTERS, PANEL, IN_PANEL])
def test_a_page_asks_as_much_of_the_database_for_thirty_runs_as_for_one(alice: User, maria: User, address: str) -> None:
    browser = browser_of(maria if "panel" in address else alice)
    counts = []
    for number in (1, 29):
        for _ in range(number):
            make_run(alice, failed=1)
        browser.get(address)
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        counts.append(len(queries))
    assert counts[0] == counts[1]


# What can be done


def test_all_of_a_reason_are_tried_again(browser: Browser, alice: User) -> None:
    first, second = make_run(alice, failed=2, unknown=1), make_run(alice, failed=1)
    assert press(browser, "try-again", all=1) == ["The letters of 2 runs are on their way again."]
    assert (states(first), states(second)) == (["queued", "queued", "unknown"], ["queued"])


def test_those_ticked_are_tried_again_or_dismissed(browser: Browser, alice: User) -> None:
    run = make_run(alice, failed=4)
    letters = ids(run)
    assert press(browser, "try-again", letter=letters[:1]) == ["The letters of 1 run are on their way again."]
    assert press(browser, "dismiss", letter=letters[1:3]) == ["2 letters are dismissed."]
    assert states(run) == ["failed"] * 3 + ["queued"]
    assert [line.delivery.pk for line in browser.get(LETTERS).context["lines"]] == letters[3:]


def test_a_letter_s_own_button_is_about_it_alone_whatever_is_ticked(browser: Browser, alice: User) -> None:
    run = make_run(alice, failed=3)
    letters = ids(run)
    press(browser, "try-again", letter=letters, only=letters[0])
    assert states(run) == ["failed", "failed", "queued"]


def test_all_of_a_reason_are_dismissed(browser: Browser, alice: User) -> None:
    make_run(alice, failed=2, unknown=1)
    assert press(browser, "dismiss", all=1) == ["2 letters are dismissed."]
    assert [group.cause.key for group, _answer in browser.get(LIST).context["groups"]] == ["unknown-unknown"]


def test_what_is_refused_is_told_by_mailing_and_the_rest_is_done(browser: Browser, alice: User) -> None:
    over, paused, well = (make_run(alice, failed=1, name=name) for name in ("Over", "Paused", "Well"))
    past = timezone.now() - timedelta(hours=1)
    Mailing.objects.filter(pk=over.mailing_id).update(start=past - timedelta(hours=1), end=past)
    verbs.pause(paused.mailing)
    assert sorted(press(browser, "try-again", all=1)) == [
        "The letters of 1 run are on their way again.",
        "“Over”: not tried again. The mailing is over; move its end first.",
        "“Paused”: not tried again. Nothing of this mailing may be sent now: paused.",
    ]
    assert (states(over), states(paused), states(well)) == (["failed"], ["failed"], ["queued"])


def test_runs_of_one_mailing_are_told_to_wait_for_each_other(browser: Browser, alice: User) -> None:
    older, newer = make_run(alice, failed=1), make_run(alice, failed=1)
    Run.objects.filter(pk=newer.pk).update(mailing=older.mailing_id)
    assert press(browser, "try-again", all=1) == [
        "The letters of 1 run are on their way again.",
        "1 run of the same mailings waits until these are over: then press once more.",
    ]
    assert (states(older), states(newer)) == (["failed"], ["queued"])


def test_a_refusal_names_five_mailings_and_counts_the_others(browser: Browser, alice: User) -> None:
    for n in range(7):
        verbs.pause(make_run(alice, failed=1, name=f"M{n}").mailing)
    (said,) = press(browser, "try-again", all=1)
    assert said.startswith("“M6”, “M5”, “M4”, “M3”, “M2” and 2 more: not tried again.")


def test_the_letters_of_a_deleted_mailing_can_be_dismissed_only(browser: Browser, alice: User) -> None:
    run = make_run(alice, failed=1)
    verbs.delete_mailing(run.mailing)
    assert press(browser, "try-again", all=1) == ["A deleted mailing: not tried again. The mailing was deleted."]
    assert press(browser, "dismiss", letter=ids(run)) == ["1 letter is dismissed."]


@pytest.mark.parametrize("action", ["try-again", "dismiss"])
def test_nothing_ticked_is_nothing_done(browser: Browser, alice: User, action: str) -> None:
    run = make_run(alice, failed=1)
    assert press(browser, action) == ["Tick the letters first."]
    assert press(browser, action, letter=["x", "-1", "0"]) == ["Tick the letters first."]
    assert press(browser, action, all=1, cause="sent") == [
        "This button was not pressed on its page; try again from there."
    ]
    assert (states(run), dead_letters.count(alice)) == (["failed"], 1)


@pytest.mark.parametrize("action", ["try-again", "dismiss"])
def test_nobody_does_anything_to_others_letters(alice: User, bob: User, action: str) -> None:
    run = make_run(alice, failed=1)
    shown = make_run(alice, failed=1)
    assign_perm("mailings.view_mailing", bob, shown.mailing)
    for data in ({"all": 1}, {"letter": [*ids(run), *ids(shown)]}):
        press(browser_of(bob), action, **data)
    assert (states(run), states(shown), dead_letters.count(alice)) == (["failed"], ["failed"], 2)


def test_a_double_click_tries_them_again_once(browser: Browser, alice: User) -> None:
    run, key = make_run(alice, failed=1), uuid.uuid4()
    press(browser, "try-again", key, all=1)
    run.deliveries.update(state="failed", due_at=None, settled_at=timezone.now())
    press(browser, "try-again", key, all=1)
    assert states(run) == ["failed"]


def test_a_double_click_dismisses_what_was_there_at_the_first(browser: Browser, alice: User) -> None:
    make_run(alice, failed=1)
    key = uuid.uuid4()
    assert press(browser, "dismiss", key, all=1) == ["1 letter is dismissed."]
    make_run(alice, failed=1)
    assert press(browser, "dismiss", key, all=1) == []
    assert dead_letters.count(alice) == 1


def test_who_goes_back_and_ticks_others_means_these(browser: Browser, alice: User) -> None:
    first, second = ids(make_run(alice, failed=2))
    key = uuid.uuid4()
    assert press(browser, "dismiss", key, letter=[first]) == ["1 letter is dismissed."]
    assert press(browser, "dismiss", key, letter=[second]) == ["1 letter is dismissed."]


def test_managers_look_at_what_they_own_and_do_nothing(maria: User) -> None:
    run = make_run(maria, failed=1)
    browser = browser_of(maria)
    assert "try-again" not in read(browser, LETTERS)
    data = {"cause": REFUSED, "form_key": uuid.uuid4(), "all": 1}
    assert browser.post(reverse("dead-letters:try-again"), data).status_code == 403
    assert states(run) == ["failed"]


def test_signing_in_again_to_press_a_button_leads_to_the_list(browser: Browser) -> None:
    for action in ("try-again", "dismiss"):
        assert browser.get(reverse(f"dead-letters:{action}"))["Location"] == LIST


# The panel


def test_managers_see_everybody_s_without_whole_addresses_and_without_buttons(
    alice: User, bob: User, maria: User
) -> None:
    runs = [make_run(alice, failed=2, name="Weekly news"), make_run(bob, failed=1)]
    letters = [letter for run in runs for letter in run.deliveries.all()]
    for letter in letters:
        Attempt.objects.filter(delivery=letter).update(answer=f"{letter.address.partition('@')[0]}: no such user")
    browser = browser_of(maria)
    page = read(browser, PANEL)
    assert [(group.letters, group.runs) for group, _answer in browser.get(PANEL).context["groups"]] == [(3, 2)]
    of_cause = read(browser, IN_PANEL)
    for letter in letters:
        assert letter.address.partition("@")[0] not in page + of_cause
    assert "c…@example.org" in of_cause
    for run in runs:
        assert reverse("panel:mailing", args=[run.mailing_id]) in of_cause
        assert reverse("runs:detail", args=[run.pk]) in of_cause
    assert "try-again" not in of_cause
    assert 'type="checkbox"' not in of_cause


def test_the_panel_looks_at_the_runs_of_the_last_thirty_days(alice: User, maria: User) -> None:
    run = make_run(alice, failed=1)
    Run.objects.filter(pk=run.pk).update(opened_at=timezone.now() - timedelta(days=31))
    assert "No dead letters" in read(browser_of(maria), PANEL)


def test_the_panel_s_dead_letters_are_not_for_owners(browser: Browser, alice: User) -> None:
    make_run(alice, failed=1)
    for address in (PANEL, IN_PANEL):
        assert browser.get(address).status_code == 404
