"""When a quarter of an hour began: the tallies' step."""

from datetime import UTC, datetime


def quarter(moment: datetime) -> datetime:
    """The beginning of the quarter that the moment is in."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
