"""Days of validity become instants of the spot's own time zone."""

from datetime import UTC, date, datetime

import pytest

from shanmen.orders.usecases.issuing import start_of_day

STARTS = [
    (date(2026, 11, 5), "Asia/Shanghai", "2026-11-04T16:00:00Z"),
    (date(2026, 11, 5), "UTC", "2026-11-05T00:00:00Z"),
    (date(2026, 11, 1), "America/New_York", "2026-11-01T04:00:00Z"),
    (date(2026, 11, 2), "America/New_York", "2026-11-02T05:00:00Z"),  # winter time since
    (date(2026, 4, 24), "Africa/Cairo", "2026-04-23T22:00:00Z"),  # 00:00 to 01:00 is left out
    (date(2026, 10, 25), "Atlantic/Azores", "2026-10-25T00:00:00Z"),  # 00:00 to 01:00 twice
]


@pytest.mark.parametrize(("day", "zone", "instant"), STARTS)
def test_the_first_instant_of_a_day(day: date, zone: str, instant: str) -> None:
    start = start_of_day(day, zone)
    assert start == datetime.fromisoformat(instant)
    assert start.tzinfo is UTC
