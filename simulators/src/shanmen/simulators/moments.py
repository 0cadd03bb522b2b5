"""Moments as people and merchants read them: China time for the channels, UTC for the admin."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

CHINA: Final = timezone(timedelta(hours=8))
DAY_MS: Final = 24 * 60 * 60 * 1000

_TIME: Final = "%Y-%m-%d %H:%M:%S"


def china_time(at_ms: int) -> str:
    """A moment as answers carry it: China time, no zone."""
    return datetime.fromtimestamp(at_ms / 1000, CHINA).strftime(_TIME)


def china_rfc3339(at_ms: int) -> str:
    """A moment in China time with its zone, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, CHINA).isoformat()


def china_date(at_ms: int) -> date:
    """The day that it is in China."""
    return datetime.fromtimestamp(at_ms / 1000, CHINA).date()


def china_midnight_ms(day: date) -> int:
    """When a day begins in China."""
    return round(datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp()) * 1000


def utc_time(at_ms: int | None) -> str | None:
    """A moment as the admin API carries it: RFC 3339, UTC."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
