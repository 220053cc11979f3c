"""What pages show of runs, mailings and accounts: right, and by as many queries for fifty as for one."""

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatcher.ledger import closing, rows, statements
from dispatcher.pace.breaker import Breaker
from dispatcher.providers.base import Outcome
from dispatcher.providers.errors import Misconfigured
from dispatcher.runs import launching
from tests.quarters import quarter
from vestnik import client_deletion, clock, zones
from vestnik.clients import verbs as clients
from vestnik.clients.models import Client
from vestnik.mailings import outages, verbs
from vestnik.mailings.ledger import runs, statistics, tallies
from vestnik.mailings.ledger.models import Attempt, Delivery, Run, Tally, Worker
from vestnik.testing.factories import make_mailing, make_message

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOSCOW, SAO_PAULO = ZoneInfo("Europe/Moscow"), ZoneInfo("America/Sao_Paulo")

ACCEPTED = (Outcome.ACCEPTED, 250, "2.0.0 Ok")
REFUSED = (Outcome.PERMANENT, 550, "5.1.1 no such user")
LATER = (Outcome.TEMPORARY, 450, "4.2.1 try again later")


@pytest.fixture(autouse=True)
def _empty_cache(valkey):
    """Samples and notes of other tests are gone."""


@pytest.fixture
def worker(db):
    return Worker.objects.create(name="w", provider="memory", beat_at="2100-01-01T00:00Z").pk


def launched(owner, number, **settings) -> Run:
    (run,) = launching.launch(make_mailing(owner, number, **settings).pk)
    return run


def settle(run, worker, *answers, retry_after=600.0):
    """Claim a letter for each answer, and settle it so."""
    letters = statements.claim(run.pk, worker, len(answers), None)
    now = time.monotonic()
    statements.settle(
        [
            rows.Settlement(letter.delivery_id, letter.claim, worker, *answer, now, 0.1, retry_after)  # type: ignore[call-arg]
            for letter, answer in zip(letters, answers, strict=True)
        ],
        now,
    )


@contextmanager
def queries(number):
    with CaptureQueriesContext(connection) as captured:
        yield
    assert len(captured) == number, [query["sql"] for query in captured]


# Totals


def test_totals_say_how_many_letters_ended_how(alice, worker):
    run = launched(alice, 6)
    settle(run, worker, ACCEPTED, ACCEPTED, REFUSED, LATER)
    totals = statistics.of_runs([run.pk])[run.pk]
    assert totals == statistics.Totals(total=6, sent=2, failed=1, attempts=4)
    assert (totals.done, totals.not_sent, totals.other, totals.left, totals.percent) == (3, 1, 0, 3, 50)
    verbs.cancel(run.mailing)
    closing.close(run.pk)
    totals = statistics.of_runs([run.pk])[run.pk]
    assert (totals.cancelled, totals.other, totals.left, totals.percent) == (3, 3, 0, 100)


def test_a_hundred_per_cent_is_all_of_them():
    assert statistics.Totals(total=1_000_000, sent=999_999).percent == 99
    assert statistics.Totals(total=3, sent=2, failed=1).percent == 100
    assert statistics.Totals().percent == 0


def test_totals_of_many_runs_are_as_many_queries_as_of_one(alice, worker):
    mailing = make_mailing(alice, 1)
    over = {"state": "finished", "window_end": mailing.end, "finished_at": timezone.now(), "total": 2}
    made = [
        runs.open_run(mailing, mailing.end),
        *[Run.objects.create(mailing=mailing, owner_id=alice.pk, **over) for _ in range(49)],
    ]
    for run in made[1:]:
        Tally.objects.create(run=run, worker_id=worker, hour=timezone.now(), sent=1)
        Tally.objects.create(run=run, worker_id=0, hour=timezone.now(), expired=1)
    with queries(2):
        statistics.of_runs([made[0].pk])
    with queries(2):
        totals = statistics.of_runs([run.pk for run in made])
    assert totals[made[0].pk] == statistics.Totals()
    assert [totals[run.pk].done for run in made[1:]] == [2] * 49
    with queries(2):
        of_mailing = statistics.of_mailings([mailing.pk, -1])
    assert of_mailing == {mailing.pk: statistics.Totals(total=98, sent=49, expired=49), -1: statistics.Totals()}


# Time


def test_tallies_know_how_long_letters_took(alice, worker):
    run = launched(alice, 4)
    for seconds in (0, 30, 1800, 7200):
        Run.objects.filter(pk=run.pk).update(filled_at=timezone.now() - timedelta(seconds=seconds))
        settle(run, worker, ACCEPTED)
    report = today(alice)
    assert (report.within_second, report.within_minute, report.within_hour) == (1, 2, 3)
    assert report.totals.sent == 4
    assert report.average == pytest.approx((30 + 1800 + 7200) / 4, abs=2)


def test_what_was_not_sent_took_no_time(alice, worker):
    run = launched(alice, 2)
    settle(run, worker, REFUSED, LATER)
    report = today(alice)
    assert (report.average, report.within_hour) == (None, 0)


# Progress


def test_progress_counts_what_is_in_hand_and_the_average_speed(alice, worker):
    run = launched(alice, 10)
    statements.claim(run.pk, worker, 3, None)
    settle(run, worker, *[ACCEPTED] * 5)
    Run.objects.filter(pk=run.pk).update(filled_at=clock.now() - timedelta(seconds=10))
    run.refresh_from_db()
    progress = statistics.progress(run)
    assert (progress.sending, progress.sent, progress.left, progress.waiting) == (3, 5, 5, "")
    assert progress.rate == pytest.approx(0.5, rel=0.1)
    assert progress.time_left.total_seconds() == pytest.approx(10, rel=0.1)


def test_the_speed_is_that_since_somebody_looked_a_moment_ago(alice, worker):
    run = launched(alice, 100)
    Run.objects.filter(pk=run.pk).update(filled_at=clock.now() - DAY)
    run.refresh_from_db()
    settle(run, worker, *[ACCEPTED] * 20)
    assert statistics.progress(run).rate < 0.001
    key = f"vestnik:progress:{run.pk}"
    ((looked, done),) = cache.get(key)
    assert done == 20
    cache.set(key, [(looked - 100, 0), (looked - 4, 20)])
    settle(run, worker, *[ACCEPTED] * 40)
    progress = statistics.progress(run)
    assert progress.rate == pytest.approx(10, rel=0.1)
    assert progress.time_left.total_seconds() == pytest.approx(4, rel=0.1)
    assert [done for _, done in cache.get(key)] == [20, 60]


def test_letters_that_are_tried_again_do_not_make_the_speed_negative(alice, worker):
    run = launched(alice, 2)
    settle(run, worker, REFUSED, REFUSED)
    cache.set(f"vestnik:progress:{run.pk}", [(clock.now().timestamp() - 5, 2)])
    verbs.try_again(run)
    progress = statistics.progress(run)
    assert (progress.rate, progress.time_left) == (0.0, None)


def test_without_a_cache_the_speed_is_the_average(alice, worker, settings):
    nowhere = "unix:///nowhere/valkey.sock"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": nowhere}}
    run = launched(alice, 2)
    settle(run, worker, ACCEPTED)
    assert statistics.progress(run).rate > 0


def test_a_run_that_is_over_waits_for_nothing(alice, worker):
    run = launched(alice, 1)
    settle(run, worker, ACCEPTED)
    verbs.pause(run.mailing)
    assert closing.finish(run.pk)
    run = Run.objects.get()
    progress = statistics.progress(run)
    assert (progress.percent, progress.waiting, progress.time_left, progress.sending) == (100, "", None, 0)
    assert progress.rate == pytest.approx(1 / (run.finished_at - run.filled_at).total_seconds())


def waiting(run):
    return statistics.progress(Run.objects.select_related("mailing__owner").get(pk=run.pk)).waiting


def test_progress_says_why_nothing_moves(alice, maria, worker):
    run = launched(alice, 3)
    assert waiting(run) == ""
    verbs.pause(run.mailing)
    assert waiting(run) == "Paused by the owner."
    type(alice).objects.update(confirmed_at=None)
    assert waiting(run) == "The owner's mailbox is not confirmed yet."
    type(alice).objects.update(is_active=False)
    assert waiting(run) == "The owner's account is blocked."
    verbs.switch_off(run.mailing, maria, "")
    assert waiting(run) == "Switched off by a manager."
    verbs.switch_on(run.mailing)
    verbs.switch_off(run.mailing, maria, "complaints")
    assert waiting(run) == "Switched off by a manager: complaints"
    statements.claim(run.pk, worker, 1, None)
    verbs.cancel(run.mailing)
    assert waiting(run) == "Cancelled; what is in hand is being settled."


def test_progress_says_that_letters_are_being_written(alice):
    mailing = make_mailing(alice, 1, start=timezone.now() + HOUR)
    assert waiting(verbs.send_now(mailing)) == "Its letters are being written."


def test_progress_says_that_the_window_has_closed(alice, worker):
    run = launched(alice, 1)
    Run.objects.update(window_end=timezone.now() - HOUR)
    assert waiting(run) == "Its time is up; what is in hand is being settled."


def test_progress_says_that_the_mailing_is_gone(alice):
    run = launched(alice, 1)
    Run.objects.update(mailing=None)
    assert waiting(run) == "The mailing was deleted; its run is about to be cancelled."


def test_progress_says_what_is_the_matter_with_the_service_and_when_it_is_asked_next(alice, valkey):
    """In a sentence for everybody: its own words name hosts, and whomever else it wrote to."""
    run = launched(alice, 1)
    breaker = Breaker("memory://")
    breaker.failed(Misconfigured("smtp.internal:587: <bob@example.com> is at lunch."))
    next_probe = timezone.localtime(outages.current().next_probe)
    assert waiting(run) == (
        f"The mail service refuses this installation's settings. The next try is at {next_probe:%H:%M:%S}."
    )
    assert statistics.progress(run).outage.message == "smtp.internal:587: <b…@example.com> is at lunch."
    redis.Redis.from_url(settings.REDIS_URL).delete(outages.KEY)
    assert waiting(run) == ""


def test_progress_says_when_a_limit_lets_letters_go_again(alice, bob, valkey):
    run = launched(alice, 1)
    outages.note_limit(bob.pk, timedelta(hours=1))
    assert waiting(run) == ""
    outages.note_limit(alice.pk, timedelta(minutes=2))
    assert waiting(run).startswith("A limit of letters is reached; it goes on at ")


def test_progress_names_the_domain_whose_limit_is_reached(alice, worker, valkey):
    run = launched(alice, 1)
    run.deliveries.update(due_at=timezone.now() + timedelta(minutes=2), address="bob@xn--e1afmkfd.xn--p1ai")
    assert waiting(run).startswith("All letters that are left are to be tried later")
    outages.note_domain_limit("xn--e1afmkfd.xn--p1ai", timedelta(minutes=2))
    assert waiting(run).startswith("The limit for пример.рф is reached; it goes on at ")
    run.deliveries.update(address="bob@example.org")
    assert waiting(run).startswith("All letters that are left are to be tried later")


def test_progress_says_when_the_next_try_is(alice, worker):
    run = launched(alice, 2)
    settle(run, worker, LATER, retry_after=600)
    assert waiting(run) == ""
    settle(run, worker, LATER, retry_after=1200)
    due = timezone.localtime(run.deliveries.order_by("due_at").first().due_at)
    said = waiting(run)
    assert said.startswith("All letters that are left are to be tried later; the next try is at ")
    assert said.endswith(f"{due:%H:%M:%S}.")


def test_progress_says_that_no_worker_is_running(alice, worker):
    run = launched(alice, 1)
    Worker.objects.update(beat_at=timezone.now() - timedelta(seconds=11))
    assert waiting(run) == ""  # due this very moment: somebody may just be starting
    run.deliveries.update(due_at=timezone.now() - timedelta(seconds=11))
    assert waiting(run) == "No worker is running."
    Worker.objects.update(beat_at=timezone.now())
    assert waiting(run) == ""


def test_progress_is_a_handful_of_queries(alice, worker):
    run = launched(alice, 3)
    run = Run.objects.select_related("mailing__owner").get(pk=run.pk)
    with queries(5):
        statistics.progress(run)


# The journal


def pages(run, **narrowed):
    """All pages of the journal, letter by letter."""
    after, found = None, []
    while True:
        page, after = statistics.journal(run, after=after, size=3, **narrowed)
        found.append(page)
        if after is None:
            return found


def test_the_journal_shows_every_letter_once_page_after_page(alice, worker):
    run = launched(alice, 8)
    settle(run, worker, ACCEPTED, REFUSED, REFUSED)
    found = pages(run)
    assert [len(page) for page in found] == [3, 3, 2]
    in_order = [delivery.client_id for page in found for delivery in page]
    assert in_order == sorted(run.deliveries.values_list("client_id", flat=True))


@pytest.mark.parametrize("size", [4, 8])
def test_there_is_no_page_after_the_last_letter(alice, size):
    run = launched(alice, 8)
    page, after = statistics.journal(run, size=size)
    if size == 4:
        page, after = statistics.journal(run, size=size, after=after)
    assert (len(page), after) == (size, None)


@pytest.mark.parametrize(
    ("state", "count"),
    [("sent", 4), ("failed", 5), ("sending", 4), ("queued", 7), ("expired", 0), ("unknown", 0)],
)  # fmt: skip
def test_the_journal_narrows_to_a_state(alice, worker, state, count):
    run = launched(alice, 20)
    settle(run, worker, *[ACCEPTED, REFUSED] * 4, REFUSED)
    statements.claim(run.pk, worker, 4, None)
    found = [delivery for page in pages(run, state=state) for delivery in page]
    assert [delivery.state for delivery in found] == [state] * count
    assert len({delivery.pk for delivery in found}) == count


def test_queued_letters_stand_as_they_will_go(alice, worker):
    run = launched(alice, 7)
    settle(run, worker, LATER, LATER)
    in_order = [delivery.pk for page in pages(run, state="queued") for delivery in page]
    assert in_order == list(run.deliveries.order_by("due_at", "pk").values_list("pk", flat=True))
    assert in_order != sorted(in_order)


def test_a_page_of_the_queue_goes_on_after_letters_that_have_left_it(alice, worker):
    run = launched(alice, 7)
    _, after = statistics.journal(run, "queued", size=3)
    settle(run, worker, *[ACCEPTED] * 3)
    page, _ = statistics.journal(run, "queued", after=after, size=3)
    assert [delivery.pk for delivery in page] == list(run.deliveries.order_by("pk").values_list("pk", flat=True)[3:6])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("ANNA_", ["anna_b@example.org"]), ("a_b", ["anna_b@example.org"]), ("%", []), ("_", ["anna_b@example.org"]),
     ("@example", ["anna_b@example.org", "annaxb@example.org"]), (" xb@ ", ["annaxb@example.org"]), ("\\", []),
     ("пример.рф", ["ivan@xn--e1afmkfd.xn--p1ai"]), ("Ivan@ПРИМЕР.рф", ["ivan@xn--e1afmkfd.xn--p1ai"]),
     ("ivan@при", []), ("\x00", ["anna_b@example.org", "annaxb@example.org", "ivan@xn--e1afmkfd.xn--p1ai"]),
     ("я", []), ("." * 300, [])],
)  # fmt: skip
def test_an_address_is_found_by_any_part_of_it_as_it_is_written(alice, wanted, found):
    people = [
        clients.save_client(Client(owner=alice, email=email))
        for email in ("anna_b@example.org", "annaxb@example.org", "ivan@пример.рф")
    ]
    run = launched(alice, 0, clients=people)
    assert sorted(delivery.address for page in pages(run, address=wanted) for delivery in page) == sorted(found)


def test_the_last_attempts_of_a_page_are_one_query(alice, worker):
    run = launched(alice, 3)
    settle(run, worker, LATER, REFUSED, retry_after=0.0)
    settle(run, worker, ACCEPTED)
    settle(run, worker, ACCEPTED)
    page, _ = statistics.journal(run)
    with queries(1):
        last = statistics.last_attempts([delivery.pk for delivery in page])
    tried_twice = next(delivery for delivery in page if delivery.claim == 2)
    assert last[tried_twice.pk].outcome == "accepted"
    assert sorted(attempt.outcome for attempt in last.values()) == ["accepted", "accepted", "permanent"]
    with queries(1):
        tried = [(attempt.outcome, attempt.worker.name) for attempt in statistics.attempts(tried_twice)]
    assert tried == [("temporary", "w"), ("accepted", "w")]


def test_an_export_tells_every_letter_with_its_last_answer(alice, worker):
    run = launched(alice, 4)
    gone, *_ = run.deliveries.order_by("pk")
    settle(run, worker, REFUSED, LATER)
    client_deletion.delete_clients(alice, [Client.objects.get(pk=gone.client_id)])
    given_back = statements.claim(run.pk, worker, 1, None)
    statements.give_back([letter.key for letter in given_back])
    with queries(1):
        exported = list(statistics.export(run))
    assert [(row.full_name.split(" ")[0], row.state, row.attempts, row.code, row.answer) for row in exported] == [
        ("", "failed", 1, 550, "5.1.1 no such user"),
        ("Client", "queued", 1, 450, "4.2.1 try again later"),
        ("Client", "queued", 0, None, ""),
        ("Client", "queued", 0, None, ""),
    ]
    assert exported[0].settled_at.tzinfo is not None
    assert [row.address for row in statistics.export(run, "failed")] == [gone.address]
    assert [row.address for row in statistics.export(run, address=gone.address)] == [gone.address]


def test_an_export_streams_outside_a_transaction_and_can_be_left(transactional_db, alice):
    run = launched(alice, 30)
    exported = statistics.export(run)
    assert next(exported).state == "queued"
    exported.close()  # type: ignore[attr-defined]
    assert len(list(statistics.export(run))) == 30


# Reports


def today(user, zone=UTC):
    now = clock.now()
    return statistics.report(user, now - HOUR, now + HOUR, zone)


def tally(owner, *ends, state="finished"):
    """A run with these ends of letters: (when, how many sent, how many failed)."""
    now = timezone.now()
    run = Run.objects.create(
        owner_id=owner.pk, state=state, window_end=now, finished_at=now, opened_at=min(end[0] for end in ends)
    )
    for when, sent, failed in ends:
        Tally.objects.create(run=run, worker_id=0, hour=quarter(when), sent=sent, failed=failed, attempts=sent + failed)
    return run


def test_a_report_is_of_the_users_own_runs(alice, bob, worker):
    settle(launched(alice, 2), worker, ACCEPTED, REFUSED)
    settle(launched(bob, 1), worker, ACCEPTED)
    report = today(alice)
    assert report.totals == statistics.Totals(total=2, sent=1, failed=1, attempts=2)
    assert [reason.count for reason in report.reasons] == [1]


def test_a_report_goes_day_by_day_in_the_zone_with_zeros_where_nothing_happened(alice):
    def at(day, hour):
        return datetime(2026, 3, day, hour, 30, tzinfo=MOSCOW)

    tally(alice, (at(1, 23), 100, 0), (at(2, 0), 1, 2), (at(2, 23), 10, 0), (at(4, 12), 3, 4), (at(5, 0), 100, 0))
    report = statistics.report(alice, at(2, 9), datetime(2026, 3, 5, tzinfo=MOSCOW), MOSCOW)
    assert [(part.at.isoformat(), part.sent, part.failed) for part in report.parts] == [
        ("2026-03-02T00:00:00+03:00", 11, 2),
        ("2026-03-03T00:00:00+03:00", 0, 0),
        ("2026-03-04T00:00:00+03:00", 3, 4),
    ]
    assert (report.totals.sent, report.totals.failed, report.totals.total) == (14, 6, 20)


def test_two_days_are_reported_by_the_hour(alice):
    since = datetime(2026, 3, 1, 12, 40, tzinfo=UTC)
    tally(alice, (since - HOUR, 100, 0), (since, 1, 0), (since + HOUR, 2, 0), (since + 48 * HOUR, 3, 0))
    parts = statistics.report(alice, since, since + 2 * DAY, UTC).parts
    assert len(parts) == 49  # the hours it begins and ends in are whole
    assert [part.sent for part in parts if part.sent] == [1, 2, 3]
    assert parts[0].at == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Eucla", "Australia/Lord_Howe", "UTC"]
)
def test_a_days_letters_are_that_zones_days_at_half_past_and_at_a_quarter_too(alice, name):
    zone = ZoneInfo(name)
    midnight, second = datetime(2026, 3, 2, tzinfo=zone), timedelta(seconds=1)
    tally(alice, (midnight - second, 1, 0), (midnight, 2, 0), (midnight + DAY - second, 3, 0), (midnight + DAY, 9, 0))
    by_day = statistics.report(alice, midnight - 3 * DAY, midnight + DAY, zone).parts
    assert [part.sent for part in by_day] == [0, 0, 1, 5]
    by_hour = statistics.report(alice, midnight - HOUR, midnight + 2 * HOUR, zone).parts
    assert [(f"{part.at:%H:%M}", part.sent) for part in by_hour] == [("23:00", 1), ("00:00", 2), ("01:00", 0)]


def test_in_every_zone_a_day_begins_with_a_quarter_of_an_hour_as_letters_are_counted(db):
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(0, 3 * 365, 31)]
    midnights = [day.replace(tzinfo=ZoneInfo(name)).astimezone(UTC) for name in zones.names() for day in days]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT moment, {tallies.QUARTER.format('moment')} FROM unnest(%s) AS moment", [midnights])
        assert [moment for moment, begun in cursor if moment != begun] == []


@pytest.mark.parametrize("days", [1, 5])
def test_a_night_with_its_hour_twice_or_its_midnight_skipped_is_reported_too(alice, days):
    for zone, day in (
        (ZoneInfo("Europe/Berlin"), datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin"))),
        (SAO_PAULO, datetime(2018, 11, 4, tzinfo=SAO_PAULO)),
    ):
        hours = [day.astimezone(UTC) + number * HOUR for number in range(24)]
        tally(alice, *[(hour, 1, 0) for hour in hours])
        parts = statistics.report(alice, day, day + days * DAY, zone).parts
        assert sum(part.sent for part in parts) in (23, 24)
        assert all(earlier.at.timestamp() < later.at.timestamp() for earlier, later in pairwise(parts))


def test_failures_are_told_by_reason(alice, worker, settings):
    settings.MAX_ATTEMPTS = 1
    run = launched(alice, 9)
    settle(
        run, worker, REFUSED, REFUSED, (Outcome.PERMANENT, 550, "5.7.1 blocked"), ACCEPTED, LATER,
        (Outcome.TEMPORARY, None, "the connection broke"), (Outcome.UNKNOWN, None, "no answer in 60 s"),
        (Outcome.PERMANENT, None, "The letter cannot be written"), (Outcome.PERMANENT, 571, "no"),
    )  # fmt: skip
    told = statistics.reasons(run)
    assert [(reason.count, reason.sentence) for reason in told[:1]] == [(3, "550: the mailbox was refused")]
    assert told[0].example in ("5.1.1 no such user", "5.7.1 blocked")
    assert sorted(reason.sentence for reason in told[1:]) == [
        "450: the mailbox was busy",
        "571: refused for good",
        "no answer",
        "the connection broke",
        "the letter could not be written",
    ]
    assert statistics.reasons(run) == today(alice).reasons


def test_at_most_ten_reasons_are_told(alice, worker):
    run = launched(alice, 13)
    settle(run, worker, (Outcome.PERMANENT, 599, "x"), *[(Outcome.PERMANENT, 520 + n // 2, "x") for n in range(12)])
    Attempt.objects.filter(code__in=(523, 524)).update(code=None)
    told = statistics.reasons(run)
    assert (len(told), told[0].count, told[0].sentence) == (6, 4, "the letter could not be written")
    Attempt.objects.all().update(code=None)
    for code, attempt in enumerate(Attempt.objects.all(), 530):
        Attempt.objects.filter(pk=attempt.pk).update(code=code)
    assert len(statistics.reasons(run)) == 10


def test_reasons_of_a_report_are_those_of_its_period(alice, worker):
    run = launched(alice, 2)
    settle(run, worker, REFUSED, (Outcome.PERMANENT, 554, "spam"))
    before = Delivery.objects.filter(tries__code=554)
    long_ago = clock.now() - 5 * DAY
    before.update(settled_at=long_ago)
    Run.objects.update(opened_at=long_ago)
    Tally.objects.update(failed=1)
    Tally.objects.create(
        run=run, worker_id=0, hour=long_ago.replace(minute=0, second=0, microsecond=0), failed=1, attempts=1
    )
    assert [reason.code for reason in today(alice).reasons] == [550]
    now = clock.now()
    assert [reason.code for reason in statistics.report(alice, now - 6 * DAY, now - 4 * DAY, UTC).reasons] == [554]


def test_a_report_is_as_many_queries_for_many_runs(alice, worker):
    for number in (1, 20):
        for _ in range(number):
            settle(launched(alice, 1, message=make_message(alice)), worker, REFUSED)
        with queries(4):  # the time, the tallies, the runs with failures, their reasons
            today(alice)
