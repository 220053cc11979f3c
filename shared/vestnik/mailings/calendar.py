"""When a mailing occurs: pure functions of its schedule, without a clock or a database.

Occurrence 0 is the schedule's start itself; the n-th is the start's wall-clock time in the schedule's zone, n days,
weeks or months later, while it lies before the end. The 31st means the last day of a shorter month, and the 31st
again after it. A wall-clock time that daylight saving skips moves forward by what was skipped, that day only; one that
comes twice means the first (PEP 495, fold=0).

Every function takes aware datetimes and returns UTC instants, to the microsecond. What would fall after year 9999, on
the wall or in UTC, does not occur.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile
from zoneinfo import ZoneInfo


class Periodicity(StrEnum):
    """How often a mailing repeats."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in UTC that a wall-clock time means, and by how much it was moved as the clocks skip that time."""

    instant: datetime
    moved: timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a mailing's occurrences follow from. Raises ValueError for a start or end without a time zone.

    `moved` is that of the start's `Moment`: occurrences after the first are counted from the time that was meant. It is
    dropped where it does not fit the zone, as after another zone was chosen.
    """

    start: datetime
    end: datetime
    periodicity: Periodicity
    zone: ZoneInfo
    moved: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _utc(self.start))
        object.__setattr__(self, "end", _utc(self.end))
        if self.moved and of_wall(self.wall_start, self.zone) != Moment(self.start, self.moved):
            object.__setattr__(self, "moved", timedelta(0))

    @property
    def wall_start(self) -> datetime:
        """The wall-clock time that the start was given as, without a zone; the clocks of its day may skip it."""
        return self.start.astimezone(self.zone).replace(tzinfo=None) - self.moved


def of_wall(wall: datetime, zone: ZoneInfo) -> Moment:
    """Return what a wall-clock time (a datetime without a zone) means in the zone.

    Raises OverflowError before year 1 and after year 9999.
    """
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    shown = instant.astimezone(zone).replace(tzinfo=None, fold=0)
    return Moment(instant, max(shown - wall.replace(fold=0), timedelta(0)))


def occurrences(schedule: Schedule, after: datetime | None = None) -> Iterator[datetime]:
    """Yield the occurrences, strictly increasing; only those later than `after`, if it is given."""
    n = 0 if after is None else _first_index_after(schedule, _utc(after))
    latest: datetime | None = None
    while (moment := _nominal(schedule, n)) is not None and moment < schedule.end:
        if latest is None or moment > latest:
            yield moment
            latest = moment
        n += 1


def next_occurrence(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first occurrence later than `after`; None if there is none."""
    return next(occurrences(schedule, after), None)


def latest_occurrence(schedule: Schedule, until: datetime) -> datetime | None:
    """Return the last occurrence not later than `until`; None if there is none."""
    until = _utc(until)
    if until < schedule.start or schedule.end <= schedule.start:
        return None
    n = _first_index_after(schedule, min(until, schedule.end - datetime.resolution))
    passed = (_nominal(schedule, index) for index in range(max(0, n - 2), n))
    return max(moment for moment in passed if moment is not None)


def between(schedule: Schedule, first: datetime, last: datetime) -> list[datetime]:
    """Return the occurrences from `first` to `last`, both included."""
    after = None if _utc(first) <= schedule.start else _utc(first) - datetime.resolution
    return list(takewhile(lambda moment: moment <= last, occurrences(schedule, after)))


def upcoming(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the first `count` occurrences later than `after`, or as many as there are."""
    return list(islice(occurrences(schedule, after), count))


def window_end(schedule: Schedule, moment: datetime) -> datetime:
    """Return the end of the window of a run launched at `moment`: the next occurrence or the schedule's end."""
    return next_occurrence(schedule, moment) or schedule.end


def first_planned(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the occurrence that a mailing created at `now` launches first; None if the schedule is over, or empty.

    It is the start if that is to come, else the latest occurrence, whose window is open.
    """
    if schedule.end <= now:
        return None
    return latest_occurrence(schedule, max(_utc(now), schedule.start))


def replanned(
    schedule: Schedule, now: datetime, last_planned: datetime | None, next_at: datetime | None
) -> datetime | None:
    """Return the next occurrence to launch after an edit at `now` gave a mailing this schedule; None if there is none.

    `last_planned` is the last occurrence that became a run, `next_at` the one planned before the edit. One that is due
    and waits inside its window (a pause, a launch of this second) stays if the new schedule has it too.
    """
    if last_planned is None:
        return first_planned(schedule, now)
    if next_at is not None and last_planned < next_at <= now < window_end(schedule, next_at):
        waiting = latest_occurrence(schedule, next_at)
        if waiting == _utc(next_at):
            return waiting
    return next_occurrence(schedule, max(last_planned, now))


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError(f"A moment without a time zone: {moment}")
    return moment.astimezone(UTC)


def _nominal(schedule: Schedule, n: int) -> datetime | None:
    """Return the instant of the n-th wall-clock time; None if there is none.

    Instants need not increase: in a zone that crosses the date line a whole day is skipped, and two of them are the
    same. As an offset is less than a day, though, each is later than all but the one before it.
    """
    if n == 0:
        return schedule.start
    try:
        wall = schedule.wall_start
        match schedule.periodicity:
            case Periodicity.ONCE:
                return None
            case Periodicity.DAILY:
                wall += timedelta(days=n)
            case Periodicity.WEEKLY:
                wall += timedelta(weeks=n)
            case Periodicity.MONTHLY:
                years, month = divmod(wall.month - 1 + n, 12)
                if (year := wall.year + years) > MAXYEAR:
                    return None
                day = min(wall.day, monthrange(year, month + 1)[1])
                wall = wall.replace(year=year, month=month + 1, day=day)
        return of_wall(wall, schedule.zone).instant
    except OverflowError:
        return None


def _first_index_after(schedule: Schedule, after: datetime) -> int:
    """Return the least n whose nominal occurrence is later than `after`, or does not exist; in a few steps from a
    guess.

    The guess counts periods in UTC, and one less: more than the offsets of any two occurrences can make up for. A start
    that was moved forward only makes later occurrences earlier, and the guess too small.
    """
    start = schedule.start
    match schedule.periodicity:
        case Periodicity.ONCE:
            n = 0
        case Periodicity.DAILY:
            n = (after - start) // timedelta(days=1)
        case Periodicity.WEEKLY:
            n = (after - start) // timedelta(weeks=1)
        case Periodicity.MONTHLY:
            n = (after.year - start.year) * 12 + after.month - start.month
    n = max(0, n - 1)
    while (moment := _nominal(schedule, n)) is not None and moment <= after:
        n += 1
    return n
