"""Moving a local installation's time: forward, by what a person writes."""

from datetime import timedelta
from pathlib import Path

import pytest

from shanmen.common.clock import MAX_SHIFT, ShiftedClock
from shanmen.platform.localclock import (
    ClockRefusal,
    advance_clock,
    local_shift,
    read_duration,
    shift_file,
)
from shanmen.platform.servers.state import StateDir


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 36h ", timedelta(hours=36)),
        ("3d", timedelta(days=3)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert read_duration(text) == span


@pytest.mark.parametrize("text", ["", "3", "d", "1.5h", "3 d", "-3d", "1w", "٣d", "9999999999s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ClockRefusal, match="Write 90s, 15m, 36h or 3d"):
        read_duration(text)


def test_steps_add_up_and_running_services_see_them(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    running = ShiftedClock(shift_file(state))

    assert local_shift(state) == running.shift == timedelta()
    assert advance_clock(state, timedelta(hours=36)) == timedelta(hours=36)
    assert advance_clock(state, timedelta(seconds=1)) == timedelta(hours=36, seconds=1)
    assert running.shift == timedelta(hours=36, seconds=1)


def test_a_step_too_far_changes_nothing(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    advance_clock(state, timedelta(days=1))

    with pytest.raises(ClockRefusal, match="3660 days"):
        advance_clock(state, MAX_SHIFT)
    assert local_shift(state) == timedelta(days=1)


def test_a_file_that_is_not_ours_is_named(tmp_path: Path) -> None:
    shift_file(StateDir(tmp_path)).write_text("tomorrow")

    with pytest.raises(ClockRefusal, match=str(tmp_path)):
        local_shift(StateDir(tmp_path))
