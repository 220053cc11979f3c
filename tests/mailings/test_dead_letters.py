"""Dead letters in the core: which they are, by cause; dismissing them, and trying those of several runs again."""

import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from guardian.shortcuts import assign_perm

from tests.web.ledger import make_run
from vestnik import client_deletion
from vestnik.accounts.models import User
from vestnik.clients.models import Client
from vestnik.mailings import verbs
from vestnik.mailings.ledger import dead_letters
from vestnik.mailings.ledger.causes import Cause, sentence
from vestnik.mailings.ledger.models import Attempt, Delivery, Run, Tally
from vestnik.mailings.models import Mailing

pytestmark = pytest.mark.usefixtures("valkey")

REFUSED = Cause("failed", "permanent", 550)
FULL = Cause("failed", "permanent", 552)
SET_ASIDE = Cause("unknown", "unknown", None)


def of(user: User) -> list[tuple[str, int]]:
    """The user's dead letters: each cause and how many."""
    found, _more = dead_letters.groups(dead_letters.runs_of(user))
    return [(group.cause.key, group.letters) for group in found]


def states(run: Run) -> list[str]:
    return sorted(run.deliveries.values_list("state", flat=True))


def died_of(code: int | None, *letters: Delivery) -> None:
    Attempt.objects.filter(delivery__in=letters).update(code=code)


def window_over(*runs: Run) -> None:
    """As if the runs' windows had closed, before their mailings' ends."""
    Run.objects.filter(pk__in=[run.pk for run in runs]).update(window_end=timezone.now() - timedelta(seconds=1))


def over(run: Run, state: str) -> None:
    """As if every letter of the run had ended so."""
    run.deliveries.update(state=state, due_at=None, settled_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=timezone.now())


def try_all(user: User, cause: Cause, key: uuid.UUID | None = None) -> dead_letters.Tried:
    return dead_letters.try_again(dead_letters.runs_of(user), cause, key or uuid.uuid4())


def try_these(user: User, *letters: Delivery) -> dead_letters.Tried:
    return dead_letters.try_again(dead_letters.runs_of(user), [letter.pk for letter in letters], uuid.uuid4())


# Which they are


def test_dead_letters_are_those_that_failed_or_were_set_aside(alice: User) -> None:
    make_run(alice, sent=1, failed=2, unknown=3, expired=4, cancelled=1, queued=1)
    assert of(alice) == [("unknown-unknown", 3), ("failed-permanent-550", 2)]


def test_each_cause_tells_how_many_runs_and_mailings_and_gives_an_example(alice: User) -> None:
    first, second = make_run(alice, failed=2, answer="no such user"), make_run(alice, failed=1, answer="gone")
    Run.objects.filter(pk=second.pk).update(mailing=first.mailing_id)
    make_run(alice, failed=2)
    died_of(552, *first.deliveries.all(), *second.deliveries.all())
    found, more = dead_letters.groups(dead_letters.runs_of(alice))
    assert [(group.cause, group.letters, group.runs, group.mailings) for group in found] == [
        (FULL, 3, 2, 1), (REFUSED, 2, 1, 1),
    ]  # fmt: skip
    full = found[0]
    assert (full.answer, full.example.run_id) == ("gone", second.pk)
    assert full.last_at == second.deliveries.get().settled_at
    assert not more


def test_the_dead_letters_of_a_deleted_mailing_stay(alice: User) -> None:
    run = make_run(alice, failed=1)
    verbs.delete_mailing(run.mailing)
    found, _more = dead_letters.groups(dead_letters.runs_of(alice))
    assert [(group.letters, group.runs, group.mailings) for group in found] == [(1, 1, 0)]


def test_nothing_of_others_is_among_them_but_of_mailings_shared_to_edit(alice: User, bob: User) -> None:
    shown, edited = make_run(alice, failed=1), make_run(alice, failed=2)
    assert of(bob) == []
    assign_perm("mailings.view_mailing", bob, shown.mailing)
    assign_perm("mailings.view_mailing", bob, edited.mailing)
    assign_perm("mailings.change_mailing", bob, edited.mailing)
    assert of(bob) == [("failed-permanent-550", 2)]
    assert of(alice) == [("failed-permanent-550", 3)]


def test_the_blocked_have_none(alice: User) -> None:
    make_run(alice, failed=1)
    alice.is_active = False
    assert of(alice) == []


def test_a_letter_without_an_attempt_of_its_last_claim_is_not_forgotten(alice: User) -> None:
    run = make_run(alice, failed=1)
    run.deliveries.update(claim=2)
    assert of(alice) == [("failed", 1)]
    assert len(dead_letters.page(dead_letters.runs_of(alice), Cause("failed", None, None))[0]) == 1


def test_a_letter_that_a_later_run_has_tried_again_is_dead_no_longer(alice: User) -> None:
    run = make_run(alice, failed=2)
    window_over(run)
    (again,) = try_all(alice, REFUSED).runs
    assert (of(alice), dead_letters.count(alice)) == ([], 0)
    over(again, "failed")
    found, _more = dead_letters.page(dead_letters.runs_of(alice), Cause("failed", None, None))
    assert {letter.run_id for letter in found} == {again.pk}
    assert dead_letters.count(alice) == 2


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_it_is_dead_again_if_that_run_never_came_to_it(alice: User, end: str) -> None:
    run = make_run(alice, failed=2)
    window_over(run)
    (again,) = try_all(alice, REFUSED).runs
    over(again, end)
    assert of(alice) == [("failed-permanent-550", 2)]


# Page by page


def test_every_letter_of_a_cause_is_on_one_page_newest_runs_first(alice: User) -> None:
    made = [make_run(alice, failed=3, unknown=1) for _ in range(3)]
    runs, seen, after = dead_letters.runs_of(alice), [], None
    for size in (2, 2, 2, 2, 2):
        letters, after = dead_letters.page(runs, REFUSED, after, size)
        seen.append([letter.pk for letter in letters])
    assert [len(letters) for letters in seen] == [2, 2, 2, 2, 1]
    assert after is None
    flat = [pk for letters in seen for pk in letters]
    assert len(set(flat)) == 9
    assert [Delivery.objects.get(pk=pk).run_id for pk in flat] == [run.pk for run in reversed(made) for _ in range(3)]


def test_no_more_letters_are_looked_at_than_told_and_older_ones_are_found_on_later_pages(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_run(alice, failed=1)
    died_of(552, *old.deliveries.all())
    make_run(alice, failed=5)
    monkeypatch.setattr(dead_letters, "LATEST", 3)
    runs = dead_letters.runs_of(alice)
    found, more = dead_letters.groups(runs)
    assert ([(group.cause, group.letters) for group in found], more) == ([(REFUSED, 3)], True)
    letters, after = dead_letters.page(runs, FULL)
    assert letters == []
    assert after is not None
    letters, after = dead_letters.page(runs, FULL, after)
    assert [letter.run_id for letter in letters] == [old.pk]


def test_a_page_of_which_only_some_letters_were_looked_at_is_followed_by_the_others(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(alice, failed=5)
    monkeypatch.setattr(dead_letters, "LATEST", 3)
    runs, found = dead_letters.runs_of(alice), []
    letters, after = dead_letters.page(runs, REFUSED)
    while letters:
        found += [letter.pk for letter in letters]
        letters, after = dead_letters.page(runs, REFUSED, after) if after else ([], None)
    assert (sorted(found), after) == (sorted(run.deliveries.values_list("pk", flat=True)), None)


def test_the_statements_are_as_many_for_thirty_runs_as_for_one(alice: User) -> None:
    counts = []
    for number in (1, 29):
        for _ in range(number):
            make_run(alice, failed=2)
        with CaptureQueriesContext(connection) as queries:
            dead_letters.groups(dead_letters.runs_of(alice))
            dead_letters.page(dead_letters.runs_of(alice), REFUSED)
            dead_letters.count(alice)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_hundred_are_counted_and_no_more(alice: User, bob: User) -> None:
    make_run(alice, failed=70)
    make_run(alice, unknown=31)
    make_run(bob, failed=2)
    assert (dead_letters.count(alice), dead_letters.count(bob)) == (dead_letters.COUNTED, 2)


# Dismissing


def test_the_dismissed_are_dead_letters_no_longer_and_still_failed(alice: User) -> None:
    run = make_run(alice, failed=2, unknown=1)
    assert dead_letters.dismiss(dead_letters.runs_of(alice), REFUSED) == (2, False)
    assert of(alice) == [("unknown-unknown", 1)]
    assert states(run) == ["failed", "failed", "unknown"]
    assert sum(Tally.objects.values_list("failed", flat=True)) == 2


def test_one_or_several_can_be_chosen_to_be_dismissed(alice: User) -> None:
    run = make_run(alice, sent=1, failed=3)
    failed = list(run.deliveries.filter(state="failed"))
    sent = run.deliveries.get(state="sent")
    chosen = [failed[0].pk, failed[1].pk, sent.pk]
    assert dead_letters.dismiss(dead_letters.runs_of(alice), chosen) == (2, False)
    sent.refresh_from_db()
    assert (of(alice), sent.dismissed_at) == ([("failed-permanent-550", 1)], None)


def test_nobody_dismisses_others_letters(alice: User, bob: User) -> None:
    run = make_run(alice, failed=2)
    mine = dead_letters.runs_of(bob)
    assert dead_letters.dismiss(mine, REFUSED) == (0, False)
    assert dead_letters.dismiss(mine, [letter.pk for letter in run.deliveries.all()]) == (0, False)
    assert of(alice) == [("failed-permanent-550", 2)]


def test_dismissing_nothing_dismisses_nothing(alice: User) -> None:
    make_run(alice, failed=2)
    assert dead_letters.dismiss(dead_letters.runs_of(alice), []) == (0, False)
    assert of(alice) == [("failed-permanent-550", 2)]


@pytest.mark.parametrize("why", ["cancelled", "deleted"])
def test_letters_of_cancelled_runs_and_deleted_mailings_can_only_be_dismissed(alice: User, why: str) -> None:
    run = make_run(alice, failed=1)
    if why == "cancelled":
        Run.objects.filter(pk=run.pk).update(state="cancelled", cancelled_at=timezone.now())
    else:
        Mailing.objects.filter(pk=run.mailing_id).delete()
    tried = try_all(alice, REFUSED)
    assert (tried.runs, list(map(len, tried.refused.values()))) == ([], [1])
    assert why in next(iter(tried.refused))
    assert dead_letters.dismiss(dead_letters.runs_of(alice), REFUSED) == (1, False)
    assert of(alice) == []


# Trying them again


def test_all_of_a_cause_are_tried_again_in_each_of_their_runs(alice: User) -> None:
    first, second = make_run(alice, sent=1, failed=2, unknown=1), make_run(alice, failed=2)
    other = second.deliveries.order_by("pk")[0]
    died_of(552, other)
    tried = try_all(alice, REFUSED)
    assert {run.pk for run in tried.runs} == {first.pk, second.pk}
    assert (states(first), states(second)) == (["queued", "queued", "sent", "unknown"], ["failed", "queued"])
    other.refresh_from_db()
    assert other.state == "failed"
    assert of(alice) == [("failed-permanent-552", 1), ("unknown-unknown", 1)]


def test_after_the_window_only_those_of_the_cause_are_in_the_new_run(alice: User) -> None:
    run = make_run(alice, failed=3)
    other = run.deliveries.order_by("pk")[0]
    died_of(552, other)
    window_over(run)
    (again,) = try_all(alice, REFUSED).runs
    assert again.pk != run.pk
    assert set(again.deliveries.values_list("client_id", flat=True)) == set(
        run.deliveries.exclude(pk=other.pk).values_list("client_id", flat=True)
    )
    assert of(alice) == [("failed-permanent-552", 1)]


def test_chosen_letters_of_several_runs_are_tried_again(alice: User) -> None:
    first, second = make_run(alice, failed=2, unknown=1), make_run(alice, failed=2)
    of_first = [first.deliveries.filter(state="failed")[0], first.deliveries.get(state="unknown")]
    tried = try_these(alice, *of_first, second.deliveries.all()[0])
    assert {run.pk for run in tried.runs} == {first.pk, second.pk}
    assert (states(first), states(second)) == (["failed", "queued", "queued"], ["failed", "queued"])


def test_what_one_run_is_refused_does_not_keep_the_others(alice: User) -> None:
    ended, paused, well = (make_run(alice, failed=1, name=name) for name in ("Ended", "Paused", "Well"))
    past = timezone.now() - timedelta(hours=1)
    Mailing.objects.filter(pk=ended.mailing_id).update(start=past - timedelta(hours=1), end=past)
    verbs.pause(paused.mailing)
    tried = try_all(alice, REFUSED)
    assert [run.pk for run in tried.runs] == [well.pk]
    told = {why: [run.mailing.name for run in runs] for why, runs in tried.refused.items() if runs}
    assert told == {
        "The mailing is over; move its end first.": ["Ended"],
        "Nothing of this mailing may be sent now: paused.": ["Paused"],
    }
    assert (states(ended), states(paused), states(well)) == (["failed"], ["failed"], ["queued"])


def test_of_one_mailing_one_run_is_tried_at_a_time_and_the_others_wait(alice: User) -> None:
    older, newer = make_run(alice, failed=1), make_run(alice, failed=1)
    Run.objects.filter(pk=newer.pk).update(mailing=older.mailing_id)
    window_over(older, newer)
    tried = try_all(alice, REFUSED)
    assert ([run.again_of_id for run in tried.runs], tried.later, dict(tried.refused)) == ([newer.pk], [older], {})
    over(tried.runs[0], "sent")
    tried = try_all(alice, REFUSED)
    assert ([run.again_of_id for run in tried.runs], tried.later) == ([older.pk], [])


def test_nobody_tries_others_letters_again(alice: User, bob: User) -> None:
    run = make_run(alice, failed=2)
    for tried in (try_all(bob, REFUSED), try_these(bob, *run.deliveries.all())):
        assert (tried.runs, dict(tried.refused)) == ([], {})
    assert states(run) == ["failed", "failed"]


def test_one_key_tries_them_once_in_each_run(alice: User) -> None:
    runs = [make_run(alice, failed=1) for _ in range(2)]
    key = uuid.uuid4()
    assert len(try_all(alice, REFUSED, key).runs) == 2
    for run in runs:
        run.deliveries.update(state="failed", due_at=None, settled_at=timezone.now())
    try_all(alice, REFUSED, key)
    assert [states(run) for run in runs] == [["failed"], ["failed"]]
    try_all(alice, REFUSED)
    assert [states(run) for run in runs] == [["queued"], ["queued"]]


def test_letters_to_deleted_clients_are_told_and_stay(alice: User) -> None:
    run = make_run(alice, failed=1)
    client_deletion.delete_clients(alice, list(Client.objects.filter(pk=run.deliveries.get().client_id)))
    tried = try_all(alice, REFUSED)
    assert list(tried.refused) == ["There are no letters to try again."]
    assert states(run) == ["failed"]


def test_an_action_that_takes_too_long_leaves_the_rest_for_the_next(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(alice, failed=1), make_run(alice, failed=1)]
    begins, is_over = 1000.0, 1000.5 + dead_letters.AT_MOST
    seconds = iter([begins, begins, is_over, begins, begins, is_over])
    monkeypatch.setattr(dead_letters, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(dead_letters, "CHUNK", 1)
    tried = try_all(alice, REFUSED)
    assert ([run.mailing for run in tried.runs], tried.more) == ([runs[1].mailing], True)
    assert dead_letters.dismiss(dead_letters.runs_of(alice), REFUSED) == (1, True)
    assert next(seconds, None) is None


# The dismissed, when others are tried again


def test_the_dismissed_are_left_alone_when_all_are_tried_again(alice: User) -> None:
    run = make_run(alice, failed=2)
    resting = run.deliveries.order_by("pk")[0]
    dead_letters.dismiss(dead_letters.runs_of(alice), [resting.pk])
    verbs.try_again(run)
    resting.refresh_from_db()
    assert (resting.state, states(run)) == ("failed", ["failed", "queued"])


def test_the_dismissed_are_left_alone_when_a_new_run_is_made(alice: User) -> None:
    run = make_run(alice, failed=2)
    resting = run.deliveries.order_by("pk")[0]
    dead_letters.dismiss(dead_letters.runs_of(alice), [resting.pk])
    window_over(run)
    run.refresh_from_db()
    again = verbs.try_again(run)
    assert again.total == 1
    assert resting.client_id not in again.deliveries.values_list("client_id", flat=True)


@pytest.mark.parametrize("after", [False, True], ids=["inside the window", "after it"])
def test_a_dismissed_letter_that_is_chosen_is_tried_again_and_is_dismissed_no_longer(alice: User, after: bool) -> None:
    run = make_run(alice, failed=2)
    resting = run.deliveries.order_by("pk")[0]
    dead_letters.dismiss(dead_letters.runs_of(alice), REFUSED)
    if after:
        window_over(run)
        run.refresh_from_db()
    again = verbs.try_again(run, delivery_ids=[resting.pk])
    resting.refresh_from_db()
    assert resting.dismissed_at is None
    assert list(again.deliveries.filter(state="queued").values_list("client_id", flat=True)) == [resting.client_id]


def test_where_all_are_dismissed_there_is_nothing_to_try_again(alice: User) -> None:
    run = make_run(alice, failed=2)
    dead_letters.dismiss(dead_letters.runs_of(alice), REFUSED)
    with pytest.raises(ValidationError, match="no letters"):
        verbs.try_again(run)


# Causes in words


@pytest.mark.parametrize("cause", [REFUSED, SET_ASIDE, Cause("failed", None, None), Cause("failed", "temporary", None)])
def test_a_cause_is_found_by_its_key(cause: Cause) -> None:
    assert Cause.of(cause.key) == cause


@pytest.mark.parametrize(
    "key", ["", "sent", "failed-", "failed-550", "failed-permanent-", "failed-permanent-x", "failed-permanent-99999",
            "failed-permanent-550-1", "failed-permanent-٥٥٠", "FAILED"],
)  # fmt: skip
def test_other_keys_name_no_cause(key: str) -> None:
    assert Cause.of(key) is None


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        ("temporary", 451, "451: the service had a fault"),
        ("permanent", 451, "451: refused for good"),  # HTTP: unavailable for legal reasons
        ("permanent", 404, "404: the service's address is wrong"),
        ("temporary", 429, "429: the service wanted fewer letters"),
        ("temporary", 599, "599: refused for now"),
        ("unknown", 200, "200: no readable answer"),
        ("temporary", None, "the connection broke"),
        ("permanent", None, "the letter could not be written"),
        ("unknown", None, "no answer"),
        (None, None, "no answer"),
    ],
)
def test_what_the_service_said_is_told_by_outcome_and_code(outcome: Any, code: Any, said: str) -> None:
    assert sentence(outcome, code) == said
