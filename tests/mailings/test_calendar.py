"""The calendar: named days that surprised somebody once, and any schedule against a slow walk from its start."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from itertools import islice, pairwise
from typing import cast
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vestnik.mailings import calendar
from vestnik.mailings.calendar import Periodicity, Schedule

ONCE, DAILY, WEEKLY, MONTHLY = Periodicity
BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"


def at(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def plan(start: str, end: str, periodicity: Periodicity, zone: str = "UTC") -> Schedule:
    return Schedule(at(start, zone), at(end, zone), periodicity, ZoneInfo(zone))


def on_the_wall(schedule: Schedule, count: int = 1000) -> list[str]:
    moments = islice(calendar.occurrences(schedule), count)
    return [moment.astimezone(schedule.zone).strftime("%Y-%m-%d %H:%M") for moment in moments]


# The 31st, and leap years


def test_the_31st_is_the_last_day_of_a_shorter_month_and_the_31st_again_after_it() -> None:
    schedule = plan("2025-01-31 10:00", "2025-06-01", MONTHLY, BERLIN)
    assert on_the_wall(schedule) == [
        "2025-01-31 10:00",
        "2025-02-28 10:00",
        "2025-03-31 10:00",
        "2025-04-30 10:00",
        "2025-05-31 10:00",
    ]


def test_the_31st_is_the_29th_in_the_february_of_a_leap_year() -> None:
    schedule = plan("2023-12-31 10:00", "2024-03-01", MONTHLY)
    assert on_the_wall(schedule) == ["2023-12-31 10:00", "2024-01-31 10:00", "2024-02-29 10:00"]


def test_the_29th_of_february_monthly_is_every_29th_and_the_28th_of_other_februaries() -> None:
    schedule = plan("2024-02-29 10:00", "2028-03-01", MONTHLY)
    days = on_the_wall(schedule)
    assert days[:3] == ["2024-02-29 10:00", "2024-03-29 10:00", "2024-04-29 10:00"]
    assert [day[:10] for day in days if day[5:7] == "02"] == [
        "2024-02-29",
        "2025-02-28",
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
    ]


def test_the_century_that_is_no_leap_year_has_no_29th_of_february() -> None:
    schedule = plan("2100-01-29 10:00", "2100-03-29", MONTHLY)
    assert on_the_wall(schedule) == ["2100-01-29 10:00", "2100-02-28 10:00"]


def test_a_daily_mailing_steps_over_the_end_of_february() -> None:
    assert on_the_wall(plan("2024-02-28 10:00", "2024-03-02", DAILY)) == [
        "2024-02-28 10:00",
        "2024-02-29 10:00",
        "2024-03-01 10:00",
    ]
    assert on_the_wall(plan("2025-02-28 10:00", "2025-03-02", DAILY)) == ["2025-02-28 10:00", "2025-03-01 10:00"]


def test_a_month_is_counted_on_the_wall_not_in_utc() -> None:
    schedule = plan("2025-01-01 00:30", "2025-04-01", MONTHLY, "Asia/Tokyo")
    assert schedule.start == at("2024-12-31 15:30")
    assert on_the_wall(schedule) == ["2025-01-01 00:30", "2025-02-01 00:30", "2025-03-01 00:30"]


def test_a_month_is_counted_on_the_wall_when_utc_has_it_a_month_earlier_only_in_summer() -> None:
    schedule = plan("2025-07-01 00:30", "2026-01-01", MONTHLY, "Europe/London")
    assert schedule.start == at("2025-06-30 23:30")
    assert calendar.next_occurrence(schedule, at("2025-12-01 00:00")) == at("2025-12-01 00:30")


# Daylight saving


@pytest.mark.parametrize(("zone", "sunday"), [(BERLIN, "2025-03-30"), (NEW_YORK, "2025-03-09")])
def test_a_skipped_hour_moves_forward_that_day_only(zone: str, sunday: str) -> None:
    day = datetime.fromisoformat(sunday)
    before, after = day - timedelta(days=1), day + timedelta(days=1)
    schedule = plan(f"{before:%Y-%m-%d} 02:30", f"{after:%Y-%m-%d} 12:00", DAILY, zone)
    assert on_the_wall(schedule) == [f"{before:%Y-%m-%d} 02:30", f"{sunday} 03:30", f"{after:%Y-%m-%d} 02:30"]


@pytest.mark.parametrize(
    ("zone", "wall", "shown", "later"),
    [
        (BERLIN, "2025-03-30 02:30", "2025-03-30 03:30", "2025-03-31 02:30"),
        (NEW_YORK, "2025-03-09 02:00", "2025-03-09 03:00", "2025-03-10 02:00"),
        ("Africa/Cairo", "2025-04-25 00:00", "2025-04-25 01:00", "2025-04-26 00:00"),
        ("America/Havana", "2025-03-09 00:15", "2025-03-09 01:15", "2025-03-10 00:15"),
        ("America/Nuuk", "2025-03-29 23:30", "2025-03-30 00:30", "2025-03-30 23:30"),  # the day is another one, too
        ("Australia/Lord_Howe", "2025-10-05 02:10", "2025-10-05 02:40", "2025-10-06 02:10"),
        ("Pacific/Apia", "2011-12-30 09:00", "2011-12-31 09:00", "2012-01-01 09:00"),  # the 30th was skipped whole
    ],
)
def test_a_start_that_the_clocks_skip_moves_that_day_only(zone: str, wall: str, shown: str, later: str) -> None:
    moment = calendar.of_wall(datetime.fromisoformat(wall), ZoneInfo(zone))
    end = moment.instant + timedelta(days=40)
    schedule = Schedule(moment.instant, end, DAILY, ZoneInfo(zone), moment.moved)
    first, *others = dict.fromkeys(on_the_wall(schedule, 5))
    assert first == shown
    assert others[0] == later
    assert {day[-5:] for day in others} == {wall[-5:]}
    assert f"{schedule.wall_start:%Y-%m-%d %H:%M}" == wall
    assert calendar.latest_occurrence(schedule, moment.instant) == moment.instant
    assert calendar.next_occurrence(schedule, moment.instant) == calendar.upcoming(schedule, moment.instant, 1)[0]


def test_another_zone_chosen_later_forgets_what_the_first_one_skipped() -> None:
    moment = calendar.of_wall(datetime.fromisoformat("2025-03-30 02:30"), ZoneInfo(BERLIN))
    schedule = Schedule(moment.instant, moment.instant + timedelta(days=3), DAILY, ZoneInfo("UTC"), moment.moved)
    assert on_the_wall(schedule) == ["2025-03-30 01:30", "2025-03-31 01:30", "2025-04-01 01:30"]


@pytest.mark.parametrize(
    ("zone", "sunday", "time", "instant"),
    [
        (BERLIN, "2025-10-26", "02:30", "2025-10-26 00:30"),
        (NEW_YORK, "2025-11-02", "01:30", "2025-11-02 05:30"),
        ("Australia/Lord_Howe", "2025-04-06", "01:45", "2025-04-05 14:45"),
    ],
)
def test_a_time_that_comes_twice_means_the_first(zone: str, sunday: str, time: str, instant: str) -> None:
    day = datetime.fromisoformat(f"{sunday} {time}")
    schedule = plan(str(day - timedelta(days=1)), str(day + timedelta(hours=12)), DAILY, zone)
    assert list(calendar.occurrences(schedule))[1:] == [at(instant)]


def test_a_start_in_the_second_of_two_equal_hours_is_kept_exactly() -> None:
    start = at("2025-10-26 02:30", BERLIN, fold=1)
    schedule = Schedule(start, at("2025-10-28", BERLIN), DAILY, ZoneInfo(BERLIN))
    assert list(calendar.occurrences(schedule)) == [at("2025-10-26 01:30"), at("2025-10-27 01:30")]


def test_six_years_after_a_start_in_the_second_of_two_equal_hours_the_first_is_meant() -> None:
    schedule = Schedule(at("2020-10-25 02:30", BERLIN, fold=1), at("2026-10-26"), MONTHLY, ZoneInfo(BERLIN))
    assert calendar.latest_occurrence(schedule, at("2026-10-25 23:00")) == at("2026-10-25 00:30")


def test_half_an_hour_is_skipped_on_lord_howe_island() -> None:
    schedule = plan("2025-10-04 02:15", "2025-10-06 12:00", DAILY, "Australia/Lord_Howe")
    assert on_the_wall(schedule) == ["2025-10-04 02:15", "2025-10-05 02:45", "2025-10-06 02:15"]


@pytest.mark.parametrize(("zone", "start"), [(BERLIN, "2025-03-24 09:00"), (NEW_YORK, "2025-10-27 09:00")])
def test_weekly_over_a_change_of_the_clocks_keeps_the_wall_clock_hour(zone: str, start: str) -> None:
    schedule = plan(start, str(datetime.fromisoformat(start) + timedelta(days=15)), WEEKLY, zone)
    first, second, third = calendar.occurrences(schedule)
    assert [text[-5:] for text in on_the_wall(schedule)] == ["09:00"] * 3
    assert abs(second - first - timedelta(weeks=1)) == timedelta(hours=1)
    assert third - second == timedelta(weeks=1)


# Days that do not exist


def test_the_day_that_samoa_skipped_is_no_second_letter() -> None:
    schedule = plan("2011-12-28 10:00", "2012-01-02", DAILY, "Pacific/Apia")
    assert on_the_wall(schedule) == [
        "2011-12-28 10:00",
        "2011-12-29 10:00",
        "2011-12-31 10:00",
        "2012-01-01 10:00",
    ]


def test_the_day_that_kwajalein_skipped_is_no_second_letter() -> None:
    schedule = plan("1993-08-19 10:00", "1993-08-24", DAILY, "Pacific/Kwajalein")
    instants = list(calendar.occurrences(schedule))
    assert [text[8:10] for text in on_the_wall(schedule)] == ["19", "20", "22", "23"]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(instants))


def test_a_day_that_kwajalein_had_nearly_twice_has_one_letter() -> None:
    schedule = plan("1969-09-28 20:00", "1969-10-02", DAILY, "Pacific/Kwajalein")
    assert on_the_wall(schedule) == ["1969-09-28 20:00", "1969-09-29 20:00", "1969-09-30 20:00", "1969-10-01 20:00"]


class Leap(tzinfo):
    """Clocks go from 23 hours behind UTC to 23 hours ahead of it: the widest leap that offsets allow."""

    AT = datetime.fromisoformat("2025-01-10 00:00")

    def utcoffset(self, moment: datetime | None) -> timedelta:
        assert moment is not None
        skipped_to = self.AT + timedelta(hours=-23 if moment.fold else 23)
        return timedelta(hours=-23 if moment.replace(tzinfo=None) < skipped_to else 23)

    def dst(self, _moment: datetime | None) -> None:
        return None

    def tzname(self, _moment: datetime | None) -> str:
        return "Leap"

    def fromutc(self, moment: datetime) -> datetime:
        return moment + timedelta(hours=-23 if moment.replace(tzinfo=None) < self.AT else 23)


def test_days_that_change_places_count_once() -> None:
    start, end = at("2025-01-05 23:00"), at("2025-01-16 00:00")
    schedule = Schedule(start, end, DAILY, cast(ZoneInfo, Leap()))
    days = [start + timedelta(days=n) for n in range(6)] + [at(f"2025-01-{day} 01:00") for day in (11, 12, 13, 14, 15)]
    assert list(calendar.occurrences(schedule)) == days
    for moment in (start + timedelta(hours=hours) for hours in range(11 * 24)):
        assert calendar.latest_occurrence(schedule, moment) == max(day for day in days if day <= moment)
        assert calendar.upcoming(schedule, moment, 20) == [day for day in days if day > moment]


def test_seconds_of_an_offset_are_kept() -> None:
    schedule = plan("1972-01-05 12:00", "1972-01-09", DAILY, "Africa/Monrovia")
    assert [f"{moment:%d %H:%M:%S}" for moment in calendar.occurrences(schedule)] == [
        "05 12:44:30",
        "06 12:44:30",
        "07 12:00:00",
        "08 12:00:00",
    ]


# The edges of a schedule


def test_once_occurs_exactly_once() -> None:
    schedule = plan("2025-01-31 10:00", "2027-01-01", ONCE)
    assert on_the_wall(schedule) == ["2025-01-31 10:00"]
    assert calendar.next_occurrence(schedule, schedule.start) is None
    assert calendar.window_end(schedule, schedule.start) == schedule.end


def test_nothing_occurs_at_the_end_or_after_it() -> None:
    schedule = plan("2025-01-01 10:00", "2025-01-03 10:00", DAILY)
    assert on_the_wall(schedule) == ["2025-01-01 10:00", "2025-01-02 10:00"]
    assert calendar.next_occurrence(schedule, at("2025-01-02 10:00")) is None
    assert calendar.latest_occurrence(schedule, at("2030-01-01")) == at("2025-01-02 10:00")
    a_microsecond_more = Schedule(schedule.start, schedule.end + datetime.resolution, DAILY, schedule.zone)
    assert len(on_the_wall(a_microsecond_more)) == 3


@pytest.mark.parametrize("periodicity", Periodicity)
@pytest.mark.parametrize("end", ["2025-01-01 10:00", "2024-12-31 10:00"])
def test_a_schedule_that_ends_before_it_starts_is_empty(periodicity: Periodicity, end: str) -> None:
    schedule = plan("2025-01-01 10:00", end, periodicity)
    assert on_the_wall(schedule) == []
    assert calendar.latest_occurrence(schedule, at("2026-01-01")) is None
    assert calendar.first_planned(schedule, at("2024-01-01")) is None


def test_between_two_moments_both_are_included() -> None:
    schedule = plan("2025-01-01 10:00", "2025-02-01", DAILY)
    days = [at(f"2025-01-{day} 10:00") for day in ("03", "04", "05")]
    assert calendar.between(schedule, days[0], days[-1]) == days
    assert calendar.between(schedule, at("2024-01-01"), schedule.start) == [schedule.start]
    assert calendar.between(schedule, days[-1], days[0]) == []


def test_microseconds_are_kept() -> None:
    schedule = plan("2025-01-01 10:00:00.123456", "2025-01-02 12:00", DAILY)
    assert [moment.microsecond for moment in calendar.occurrences(schedule)] == [123456, 123456]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("periodicity", Periodicity)
def test_the_year_9999_ends_quietly(zone: str, periodicity: Periodicity) -> None:
    never = datetime.max.replace(tzinfo=UTC)
    schedule = Schedule(at("9999-10-30 09:00"), never, periodicity, ZoneInfo(zone))
    moments = list(calendar.occurrences(schedule))
    assert len(moments) == {ONCE: 1, DAILY: 63, WEEKLY: 9, MONTHLY: 3}[periodicity]
    assert calendar.latest_occurrence(schedule, never) == moments[-1]
    assert calendar.next_occurrence(schedule, never) is None
    assert calendar.window_end(schedule, moments[-1]) == never
    on_the_last_day = Schedule(never - timedelta(hours=1), never, periodicity, ZoneInfo(zone))
    assert list(calendar.occurrences(on_the_last_day)) == [on_the_last_day.start]


def test_a_far_end_costs_nothing() -> None:
    schedule = Schedule(at("0001-01-02"), datetime.max.replace(tzinfo=UTC), DAILY, ZoneInfo("Asia/Kathmandu"))
    found = calendar.next_occurrence(schedule, at("9000-01-01"))
    assert found is not None
    assert found.astimezone(schedule.zone).time() == schedule.start.astimezone(schedule.zone).time()


def test_moments_without_a_zone_are_refused() -> None:
    naive = at("2025-01-01").replace(tzinfo=None)
    with pytest.raises(ValueError, match="without a time zone"):
        Schedule(naive, at("2026-01-01"), DAILY, ZoneInfo(BERLIN))
    with pytest.raises(ValueError, match="without a time zone"):
        calendar.next_occurrence(plan("2025-01-01", "2026-01-01", DAILY), naive)


def test_moments_are_given_back_in_utc_whatever_zone_they_came_in() -> None:
    schedule = plan("2025-07-01 10:00", "2025-08-01 10:00", DAILY, BERLIN)
    answers = [
        schedule.start,
        calendar.next_occurrence(schedule, at("2025-07-05 10:00", BERLIN)),
        calendar.window_end(schedule, at("2025-07-31 12:00", NEW_YORK)),
        calendar.replanned(
            schedule, at("2025-07-05 11:00", BERLIN), at("2025-07-04 10:00", BERLIN), at("2025-07-05 10:00", BERLIN)
        ),
    ]
    assert [answer.isoformat() if answer else None for answer in answers] == [
        "2025-07-01T08:00:00+00:00",
        "2025-07-06T08:00:00+00:00",
        "2025-08-01T08:00:00+00:00",
        "2025-07-05T08:00:00+00:00",
    ]


# What is launched first, and after an edit


def test_a_mailing_with_a_future_start_begins_at_its_start() -> None:
    schedule = plan("2025-01-10 10:00", "2025-02-01", DAILY)
    assert calendar.first_planned(schedule, at("2025-01-01")) == schedule.start


def test_a_mailing_created_at_its_start_begins_at_once() -> None:
    schedule = plan("2025-01-10 10:00", "2025-02-01", DAILY)
    assert calendar.first_planned(schedule, schedule.start) == schedule.start


def test_a_mailing_created_late_begins_with_the_occurrence_whose_window_is_open() -> None:
    schedule = plan("2025-01-10 10:00", "2025-02-01", DAILY)
    assert calendar.first_planned(schedule, at("2025-01-20 09:59")) == at("2025-01-19 10:00")
    assert calendar.first_planned(schedule, at("2025-01-20 10:00")) == at("2025-01-20 10:00")


def test_a_single_mailing_created_late_begins_with_its_start() -> None:
    schedule = plan("2025-01-10 10:00", "2025-02-01", ONCE)
    assert calendar.first_planned(schedule, at("2025-01-31")) == schedule.start


def test_a_mailing_created_at_its_end_is_over() -> None:
    schedule = plan("2025-01-10 10:00", "2025-02-01", DAILY)
    assert calendar.first_planned(schedule, at("2025-02-01")) is None


def test_an_edit_before_the_first_run_plans_as_if_new() -> None:
    schedule = plan("2025-01-10 10:00", "2025-02-01", DAILY)
    assert calendar.replanned(schedule, at("2025-01-20 12:00"), None, at("2025-01-15 10:00")) == at("2025-01-20 10:00")


def test_an_edit_keeps_an_occurrence_that_waits_inside_its_window() -> None:
    longer = plan("2025-01-10 10:00", "2025-03-01", DAILY)
    waiting = at("2025-01-20 10:00")
    for now in (waiting, at("2025-01-20 15:00")):
        assert calendar.replanned(longer, now, at("2025-01-19 10:00"), waiting) == waiting


def test_an_edit_drops_a_waiting_occurrence_that_the_new_schedule_does_not_have() -> None:
    weekly = plan("2025-01-10 10:00", "2025-03-01", WEEKLY)
    planned = calendar.replanned(weekly, at("2025-01-20 15:00"), at("2025-01-19 10:00"), at("2025-01-20 10:00"))
    assert planned == at("2025-01-24 10:00")


def test_an_edit_drops_a_waiting_occurrence_whose_window_is_over() -> None:
    schedule = plan("2025-01-10 10:00", "2025-03-01", DAILY)
    planned = calendar.replanned(schedule, at("2025-01-22 09:00"), at("2025-01-19 10:00"), at("2025-01-20 10:00"))
    assert planned == at("2025-01-22 10:00")


def test_an_edit_never_plans_an_occurrence_again_that_was_planned() -> None:
    last = at("2025-01-20 10:00")
    earlier = plan("2025-01-10 09:00", "2025-03-01", DAILY)
    assert calendar.replanned(earlier, at("2025-01-20 10:05"), last, None) == at("2025-01-21 09:00")
    same = plan("2025-01-10 10:00", "2025-03-01", DAILY)
    assert calendar.replanned(same, at("2025-01-20 10:05"), last, last) == at("2025-01-21 10:00")


def test_an_edit_that_ends_a_mailing_leaves_nothing_to_plan() -> None:
    shorter = plan("2025-01-10 10:00", "2025-01-20 12:00", DAILY)
    assert calendar.replanned(shorter, at("2025-01-20 11:00"), at("2025-01-20 10:00"), at("2025-01-21 10:00")) is None


# Any schedule against a slow walk from its start

HOURS = [timedelta(hours=hour) for hour in range(-30, 31, 3)]


def stepped(wall: datetime, periodicity: Periodicity, n: int) -> datetime:
    if periodicity is not MONTHLY:
        return wall + n * {ONCE: timedelta.max, DAILY: timedelta(days=1), WEEKLY: timedelta(days=7)}[periodicity]
    month = wall.replace(day=1)
    for _ in range(n):
        month = (month + timedelta(days=31)).replace(day=1)
    return month.replace(day=min(wall.day, monthrange(month.year, month.month)[1]))


@cache
def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant when clocks show `wall`; if none do, when they would have but for the change."""
    readings = {around: (wall.replace(tzinfo=UTC) + around).astimezone(zone).utcoffset() for around in HOURS}
    candidates = [wall.replace(tzinfo=UTC) - (offset or timedelta()) for offset in readings.values()]
    shown = [instant for instant in candidates if instant.astimezone(zone).replace(tzinfo=None) == wall]
    return min(shown) if shown else max(candidates)


def walk(schedule: Schedule) -> list[datetime]:
    """The occurrences, one after the other."""
    found: list[datetime] = []
    wall = schedule.start.astimezone(schedule.zone).replace(tzinfo=None, fold=0) - schedule.moved
    moment, n = schedule.start, 0
    while moment < schedule.end:
        if not found or moment > found[-1]:
            found.append(moment)
        n += 1
        try:
            moment = first_instant(stepped(wall, schedule.periodicity, n), schedule.zone)
        except OverflowError:
            break
    return found


ZONES = sorted(available_timezones())
ODD_ZONES_AND_DAYS = [
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Apia", "1892-07-05"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Pacific/Kwajalein", "1969-10-01"),
    ("Pacific/Kiritimati", "1994-12-31"),
    ("Pacific/Fakaofo", "2011-12-30"),
    ("Asia/Manila", "1844-12-31"),
    ("America/Juneau", "1867-10-18"),
    ("Africa/Monrovia", "1972-01-07"),
    ("Asia/Kathmandu", "1986-01-01"),
    ("Australia/Lord_Howe", "2024-04-07"),
    ("Australia/Lord_Howe", "2024-10-06"),
    ("America/Scoresbysund", "2024-03-31"),
    ("Antarctica/Troll", "2024-03-31"),
    ("Antarctica/Casey", "2023-03-09"),
    ("Africa/Casablanca", "2024-04-14"),
    ("Asia/Pyongyang", "2018-05-05"),
    ("America/Caracas", "2016-05-01"),
    ("Europe/Moscow", "2014-10-26"),
    (BERLIN, "1945-05-24"),
    (NEW_YORK, "2024-11-03"),
]


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    if draw(st.booleans()):
        name, day = draw(st.sampled_from(ODD_ZONES_AND_DAYS))
        about = datetime.fromisoformat(day) - timedelta(minutes=draw(st.integers(0, 5 * 24 * 60)))
        if draw(st.booleans()):
            about -= timedelta(days=draw(st.sampled_from([7, 14, 28, 31, 61])))
    else:
        name = draw(st.sampled_from(ZONES))
        about = draw(st.datetimes(*map(datetime.fromisoformat, ("1840-01-01", "2200-01-01"))))
    zone = ZoneInfo(name)
    begin = calendar.of_wall(about, zone)
    if draw(st.booleans()):  # an instant, as "now" is one: of two equal hours it may be in the second
        begin = calendar.Moment(about.replace(tzinfo=zone, fold=draw(st.integers(0, 1))).astimezone(UTC), timedelta())
    periodicity = draw(st.sampled_from(Periodicity))
    days = {ONCE: 3, DAILY: 12, WEEKLY: 60, MONTHLY: 400}[periodicity]
    end = begin.instant + draw(st.timedeltas(timedelta(), timedelta(days=days)))
    return Schedule(begin.instant, end, periodicity, zone, begin.moved)


@st.composite
def schedules_and_moments(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    schedule = draw(schedules())
    moments = st.sampled_from([schedule.start, schedule.end, *walk(schedule)])
    nudges = st.sampled_from([-datetime.resolution, timedelta(), datetime.resolution]) | st.timedeltas(
        timedelta(days=-40), timedelta(days=40)
    )
    return schedule, draw(moments) + draw(nudges)


@settings(max_examples=200, deadline=None)
@given(schedules())
@example(plan("1844-12-28 12:00", "1845-01-03", DAILY, "Asia/Manila"))
@example(plan("1867-10-15 16:00", "1867-10-22", DAILY, "America/Juneau"))
def test_any_schedule_occurs_as_a_walk_from_its_start_says(schedule: Schedule) -> None:
    assert list(calendar.occurrences(schedule)) == walk(schedule)


@settings(max_examples=250, deadline=None)
@given(schedules_and_moments())
def test_any_question_about_a_moment_is_answered_as_a_walk_from_the_start_says(
    asked: tuple[Schedule, datetime],
) -> None:
    schedule, moment = asked
    walked = walk(schedule)
    earlier = [o for o in walked if o <= moment]
    later = [o for o in walked if o > moment]
    assert list(calendar.occurrences(schedule, moment)) == later
    assert calendar.next_occurrence(schedule, moment) == (later[0] if later else None)
    assert calendar.latest_occurrence(schedule, moment) == (earlier[-1] if earlier else None)
    assert calendar.upcoming(schedule, moment, 5) == later[:5]
    assert calendar.window_end(schedule, moment) == (later[0] if later else schedule.end)
    last = moment + timedelta(days=9)
    assert calendar.between(schedule, moment, last) == [o for o in walked if moment <= o <= last]


@settings(max_examples=200, deadline=None)
@given(schedules_and_moments())
def test_what_a_new_mailing_plans_is_to_come_or_has_its_window_open(asked: tuple[Schedule, datetime]) -> None:
    schedule, now = asked
    planned = calendar.first_planned(schedule, now)
    walked = walk(schedule)
    if planned is None:
        assert schedule.end <= now or not walked
    else:
        assert planned in walked
        assert planned == schedule.start if now < schedule.start else planned <= now
        assert calendar.window_end(schedule, planned) > now


@settings(max_examples=200, deadline=None)
@given(schedules_and_moments(), st.data())
def test_what_an_edit_plans_is_an_occurrence_after_the_last_planned_one(
    asked: tuple[Schedule, datetime], data: st.DataObject
) -> None:
    schedule, now = asked
    walked = walk(schedule)
    some_moment = st.sampled_from([*walked, now]) | st.timedeltas(timedelta(days=-30), timedelta(days=30)).map(
        lambda ago: now + ago
    )
    last_planned, next_at = data.draw(some_moment), data.draw(st.none() | some_moment)
    planned = calendar.replanned(schedule, now, last_planned, next_at)
    to_come = [o for o in walked if o > max(last_planned, now)]
    if planned is not None and planned <= now:
        assert planned in walked
        assert planned == next_at
        assert planned > last_planned
        assert calendar.window_end(schedule, planned) > now
    else:
        assert planned == (to_come[0] if to_come else None)
