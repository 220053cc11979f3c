"""Where a mailing stands, in any order of what people do and time does to it: state, words and buttons say the same."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dispatcher.ledger import closing, statements
from dispatcher.runs import launching, ticking
from tests.elsewhere import elsewhere
from vestnik import jobs, locks, supervision
from vestnik.accounts.models import User
from vestnik.mailings import mailing_status, verbs
from vestnik.mailings.ledger.models import Delivery, Run, RunState, Worker
from vestnik.mailings.mailing_status import Stage
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_mailing

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def fresh(mailing):
    return Mailing.objects.select_related("owner", "message").get(pk=mailing.pk)


def passes(mailing, by):
    """So much time goes by for the mailing and its runs; then the tick comes around."""
    Mailing.objects.filter(pk=mailing.pk).update(
        **{name: F(name) - by for name in ("start", "end", "created_at", "next_at", "paused_at", "released_at")}
    )
    Run.objects.filter(mailing=mailing).update(
        **{name: F(name) - by for name in ("occurrence", "window_end", "opened_at", "filled_at")}
    )
    tick(mailing)


def tick(mailing):
    for run in mailing.runs.filter(state=RunState.OPEN):
        closing.close(run.pk)
    if Mailing.objects.due().filter(pk=mailing.pk).exists():
        launching.launch(mailing.pk)


class World:
    """A mailing, its owner, a manager, and a worker that may have a letter in hand."""

    def __init__(self, periodicity, starts_in, maria):
        self.owner = User.objects.create_user(f"owner{User.objects.count()}@example.org", confirmed_at=timezone.now())
        self.maria = maria
        self.worker = Worker.objects.create(name="w", provider="memory", beat_at="2100-01-01T00:00Z").pk
        start = timezone.now() + starts_in
        self.mailing = make_mailing(self.owner, 2, periodicity=periodicity, start=start, end=start + 2 * DAY + HOUR)
        tick(self.mailing)

    def does(self, step):
        at = mailing_status.of(fresh(self.mailing))
        match step:
            case "pause" if at.may_pause:
                verbs.pause(self.mailing)
            case "resume" if at.is_paused:
                verbs.resume(self.mailing)
            case "cancel" if at.may_cancel:
                verbs.cancel(self.mailing)
            case "send now" if at.may_send:
                verbs.send_now(fresh(self.mailing))
            case "switch off" | "switch on" | "block" | "unblock":
                self.pulls(step)
            case "write letters":
                launching.launch(self.mailing.pk)
            case "claim":
                for run in Run.objects.filter(mailing=self.mailing, state=RunState.OPEN):
                    statements.claim(run.pk, self.worker, 1, None)
            case "settle":
                letters = Delivery.objects.filter(run__mailing=self.mailing, state="sending")
                statements.give_back(list(letters.values_list("pk", "claim")))
                for run in self.mailing.runs.filter(state=RunState.OPEN):
                    closing.close(run.pk)
                    closing.finish(run.pk)
            case "an hour" | "a day" | "three days":
                passes(self.mailing, {"an hour": HOUR, "a day": DAY, "three days": 3 * DAY}[step])
            case "extend" if fresh(self.mailing).end > timezone.now():
                mailing = fresh(self.mailing)
                mailing.end += DAY
                verbs.save_mailing(mailing)

    def pulls(self, step):
        mailing = fresh(self.mailing)
        try:
            match step:
                case "switch off":
                    supervision.switch_off(mailing, self.maria, "complaints")
                case "switch on":
                    supervision.switch_on(mailing, self.maria)
                case "block":
                    supervision.block(mailing.owner, self.maria, "spam")
                case "unblock":
                    supervision.unblock(mailing.owner, self.maria)
        except ValidationError:
            pass  # it is so already

    def agrees(self):
        mailing = fresh(self.mailing)
        at = mailing_status.of(mailing)
        run = mailing.runs.filter(state=RunState.OPEN).first()
        sends = any(turn for turn in [statements.next_run(mailing.owner_id)] if turn)
        assert (at.stage == Stage.UNDER_WAY) == sends, at
        assert at.run == run
        assert (at.stage == Stage.OVER) <= (run is None and at.starts_at is None)
        assert ("under way" in at.sentence) == (at.stage == Stage.UNDER_WAY)
        assert ("starts" in at.sentence.replace("Nothing new starts", "")) <= (not mailing.holds), at.sentence
        assert ("cancelled" in at.sentence) == (run is not None and run.cancelled_at is not None)
        if mailing.holds:
            assert at.starts_at is None
            assert not at.may_send
        if mailing.paused_at:
            going = run is not None and run.cancelled_at is None
            assert going or mailing.next_at is not None, "a pause that holds up nothing stands for good"
        if at.stage == Stage.STARTING:
            assert launching.launch(mailing.pk), "it was to start this very second"
        if at.stage == Stage.HELD:
            assert at.may_pause != at.is_paused
        assert ("switched off" in mailing.holds) <= ("witched off" in at.sentence or not at.holds or at.stage in ENDS)
        return at


ENDS = (Stage.CANCELLING, Stage.ENDING)
STEPS = [
    *("pause", "resume", "cancel", "send now", "switch off", "switch on", "block", "unblock"),
    *("write letters", "claim", "settle", "an hour", "a day", "three days", "extend"),
]


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["once", "daily"]),
    st.sampled_from([timedelta(), 2 * HOUR]),
    st.lists(st.sampled_from(STEPS), max_size=9),
)
@example("once", timedelta(), ["pause", "cancel"])
@example("once", timedelta(), ["claim", "pause", "cancel", "settle"])
@example("once", timedelta(), ["pause", "three days"])
@example("once", 2 * HOUR, ["pause", "three days", "resume"])
@example("once", timedelta(), ["pause", "switch off", "resume", "switch on"])
@example("daily", timedelta(), ["switch off", "pause", "switch on", "a day", "resume"])
@example("daily", timedelta(), ["block", "a day", "pause", "unblock", "three days"])
def test_state_and_words_agree_in_any_order(db, maria, valkey, periodicity, starts_in, steps):
    world = World(periodicity, starts_in, maria)
    world.agrees()
    for step in steps:
        world.does(step)
        world.agrees()


def page(person, mailing):
    browser = Browser()
    browser.force_login(person)
    return browser.get(reverse("mailings:detail", args=[mailing.pk])).content.decode()


def pressed(person, name, mailing):
    """What is said after this button."""
    browser = Browser()
    browser.force_login(person)
    answer = browser.post(reverse(name, args=[mailing.pk]), follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_a_paused_run_that_is_cancelled_leaves_nothing_paused(alice, valkey):
    mailing = make_mailing(alice, 3)
    (run,) = launching.launch(mailing.pk)
    statements.claim(run.pk, Worker.objects.create(name="w", provider="memory").pk, 1, None)
    verbs.pause(mailing)
    verbs.cancel(mailing)

    shown = page(alice, mailing)
    assert "The run is cancelled: what was queued is not sent, what is in hand is being settled." in shown
    assert "A run is under way" not in shown
    assert "aused" not in shown
    Delivery.objects.filter(run=run).update(state="cancelled", due_at=None, worker=None)
    closing.close(run.pk)
    assert fresh(mailing).paused_at is None
    shown = page(alice, mailing)
    assert "aused" not in shown
    assert "Send now" in shown, "it is not over before its end"


def test_a_mailing_that_nobody_cancelled_stays_paused_until_its_next_date(alice, valkey):
    mailing = make_mailing(alice, 3, periodicity="daily", end=timezone.now() + 5 * DAY)
    launching.launch(mailing.pk)
    verbs.pause(mailing)
    verbs.cancel(mailing)
    assert fresh(mailing).paused_at is not None


def switched_off(mailing, maria):
    supervision.switch_off(mailing, maria, "complaints")


def blocked(mailing, maria):
    User.objects.filter(pk=mailing.owner_id).update(is_active=False)


def unconfirmed(mailing, maria):
    User.objects.filter(pk=mailing.owner_id).update(confirmed_at=None)


def over(mailing, maria):
    Run.objects.filter(mailing=mailing).update(window_end=timezone.now() - HOUR)


def cancelled(mailing, maria):
    Run.objects.filter(mailing=mailing).update(cancelled_at=timezone.now())


@pytest.mark.parametrize(
    ("also", "said"),
    [
        (lambda mailing, maria: None, "A run is under way."),
        (switched_off, "Switched off by a manager. What is queued stays queued; after "),
        (over, "The time of the run is up: "),
        (cancelled, "The run is cancelled: "),
    ],
)
def test_resuming_says_what_is_so_then(alice, maria, valkey, also, said):
    mailing = make_mailing(alice, 3)
    launching.launch(mailing.pk)
    verbs.pause(mailing)
    also(mailing, maria)
    (message,) = pressed(alice, "mailings:resume", mailing)
    assert message == "The pause is over."
    assert page(alice, mailing).count(said) == 1


def test_what_follows_is_said_once_whatever_is_pressed(alice, valkey):
    mailing = make_mailing(alice, 3)
    browser = Browser()
    browser.force_login(alice)
    for name, said in (("pause", "Paused since "), ("resume", "Its time has come: it is about to start.")):
        shown = browser.post(reverse(f"mailings:{name}", args=[mailing.pk]), follow=True).content.decode()
        assert shown.count(said) == 1


def test_a_paused_mailing_whose_time_has_passed_is_not_said_to_start(alice, valkey):
    mailing = make_mailing(alice, 3, start=timezone.now() + HOUR, end=timezone.now() + 2 * HOUR)
    verbs.pause(mailing)
    Mailing.objects.filter(pk=mailing.pk).update(
        **{name: F(name) - 3 * HOUR for name in ("start", "end", "next_at", "created_at")}
    )
    (message,) = pressed(alice, "mailings:resume", mailing)
    assert message == "The pause is over. No further run is planned."


@pytest.mark.parametrize(
    ("also", "said"),
    [
        (lambda mailing, maria: None, "A run is under way."),
        (lambda mailing, maria: verbs.pause(mailing), "Paused since "),
        (blocked, "The owner's account is blocked. "),
        (unconfirmed, "The owner's mailbox is not confirmed yet. "),
        (over, "The time of the run is up: "),
    ],
)
def test_switching_on_says_what_is_so_then_to_manager_and_owner(alice, maria, valkey, mailoutbox, also, said):
    mailing = make_mailing(alice, 3)
    launching.launch(mailing.pk)
    switched_off(mailing, maria)
    also(mailing, maria)
    (message,) = pressed(maria, "panel:switch-on", mailing)
    assert message.startswith(f"Switched on. Its owner is told. {said}")
    assert said in mailoutbox[-1].body
    assert "goes on" not in mailoutbox[-1].body


def test_what_is_stopped_shows_no_date_at_which_it_would_start(alice, valkey):
    mailing = make_mailing(alice, 1, start=timezone.now() + DAY, end=timezone.now() + 2 * DAY)
    assert "The next run starts by itself: " in page(alice, mailing)
    verbs.pause(mailing)
    shown = page(alice, mailing)
    assert "starts by itself" not in shown
    assert "Nothing starts while it is stopped." in shown
    browser = Browser()
    browser.force_login(alice)
    Mailing.objects.update(next_at=timezone.now() - HOUR)
    table = browser.get(reverse("mailings:list")).content.decode()
    assert f"{timezone.now() - HOUR:%Y, %H}" not in table


def test_letters_that_are_being_written_are_said_to_be(alice, valkey, transactional_db):
    """In a transaction of their own, of which nothing is to be seen before they are all there."""
    mailing = make_mailing(alice, 1)
    assert mailing_status.of(fresh(mailing)).sentence == "Its time has come: it is about to start."
    said = []
    with transaction.atomic():
        assert locks.take(locks.LAUNCH, mailing.pk)
        elsewhere(lambda: said.append(mailing_status.of(fresh(mailing)).sentence))
    assert said == ["It starts: its letters are being prepared."]
    assert mailing_status.of(fresh(mailing)).sentence == "Its time has come: it is about to start."


def test_an_end_is_hinted_at_by_launch_edit_and_tick_where_it_is_near_and_not_otherwise(alice, valkey, monkeypatch):
    hints = []
    monkeypatch.setattr(jobs, "close", lambda run_id, delay=None: hints.append(delay))
    far = make_mailing(alice, 1, end=timezone.now() + DAY)
    launching.launch_and_wake(far.pk)
    assert hints == []
    near = make_mailing(alice, 1, end=timezone.now() + timedelta(seconds=30))
    launching.launch_and_wake(near.pk)
    assert [20 < hint.total_seconds() < 30 for hint in hints] == [True]
    ticking.close()
    assert len(hints) == 2
    edited = fresh(far)
    edited.end = timezone.now() + timedelta(seconds=20)
    verbs.save_mailing(edited)
    assert 10 < hints[-1].total_seconds() < 20


def test_pauses_that_were_over_before_the_upgrade_end_with_it_and_others_stay(alice, maria, valkey):
    going = make_mailing(alice, 1)
    launching.launch(going.pk)
    planned = make_mailing(alice, 1, start=timezone.now() + DAY, end=timezone.now() + 2 * DAY)
    over_and_done, being_cancelled = make_mailing(alice, 1), make_mailing(alice, 1)
    launching.launch(being_cancelled.pk)
    cancelled(being_cancelled, maria)
    Mailing.objects.filter(pk__in=[over_and_done.pk, being_cancelled.pk, going.pk]).update(next_at=None)
    Mailing.objects.update(paused_at=timezone.now() - DAY)
    with connection.cursor() as cursor:
        cursor.execute(import_module("vestnik.mailings.migrations.0009_pauses_that_are_over").END)
    assert set(Mailing.objects.filter(paused_at=None)) == {over_and_done, being_cancelled}
    assert set(Mailing.objects.exclude(released_at=None)) == {over_and_done, being_cancelled}
    assert planned.pk in Mailing.objects.filter(paused_at__isnull=False).values_list("pk", flat=True)
