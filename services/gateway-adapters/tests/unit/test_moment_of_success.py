"""The moment that a success is booked at: the channel's, within what can be."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanmen.gateway_adapters.domain.operations import moment_of_success

REQUESTED = datetime(2026, 11, 21, 15, 59, 58, 700_000, UTC)
NOW = REQUESTED + timedelta(days=3)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("moved_at", "booked_at"),
    [
        (None, NOW),
        (REQUESTED + timedelta(minutes=1), REQUESTED + timedelta(minutes=1)),
        (REQUESTED.replace(microsecond=0), REQUESTED),  # the same second, by a clock of seconds
        (REQUESTED - timedelta(days=400), REQUESTED),
        (NOW + timedelta(microseconds=1), NOW),
        (NOW + timedelta(days=400), NOW),
    ],
)
def test_it_is_the_channels_own_between_the_request_and_now(
    moved_at: datetime | None, booked_at: datetime
) -> None:
    assert moment_of_success(moved_at, requested_at=REQUESTED, now=NOW) == booked_at


@given(MOMENTS | st.none(), MOMENTS, MOMENTS)
def test_it_is_never_in_the_future_whatever_the_clocks_say(
    moved_at: datetime | None, requested_at: datetime, now: datetime
) -> None:
    booked_at = moment_of_success(moved_at, requested_at=requested_at, now=now)
    assert min(requested_at, now) <= booked_at <= now
