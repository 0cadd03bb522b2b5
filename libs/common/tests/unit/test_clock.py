"""The installation's time, moved by a file."""

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shanmen.common.clock import (
    MAX_SHIFT,
    Clock,
    ManualClock,
    ShiftedClock,
    SystemClock,
    UnusableShift,
    open_clock,
    read_shift,
    write_shift,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the shift is written; not there yet."""
    return tmp_path / "clock"


def ahead(clock: Clock) -> timedelta:
    """How far a clock is ahead of the machine's, to the second."""
    return timedelta(seconds=round((clock.now() - datetime.now(UTC)).total_seconds()))


def test_without_a_file_it_is_the_machines_clock(file: Path) -> None:
    clock = ShiftedClock(file)
    assert (clock.shift, ahead(clock)) == (timedelta(), timedelta())
    assert clock.now().tzinfo is UTC


def test_it_moves_when_the_file_is_written(file: Path) -> None:
    clock, another = ShiftedClock(file), ShiftedClock(file)
    for shift in (36 * HOUR, 37 * HOUR, 370 * HOUR):
        write_shift(file, shift)
        assert (clock.shift, ahead(clock)) == (shift, shift)
        assert another.shift == shift
    assert ShiftedClock(file).shift == 370 * HOUR
    assert [path.name for path in file.parent.iterdir()] == [file.name], "no draft is left"


def test_it_sees_a_change_of_the_same_size_at_the_same_time(file: Path) -> None:
    """A file system's time may be coarser than two writes are apart."""
    clock = ShiftedClock(file)
    for hours in (1, 2):
        write_shift(file, hours * HOUR)
        os.utime(file, ns=(0, 0))
        assert clock.shift == hours * HOUR


def test_time_never_goes_back_within_a_process(file: Path) -> None:
    write_shift(file, 3 * HOUR)
    clock = ShiftedClock(file)
    write_shift(file, HOUR)
    assert clock.shift == 3 * HOUR
    file.unlink()
    assert clock.shift == 3 * HOUR
    write_shift(file, 4 * HOUR)
    assert clock.shift == 4 * HOUR
    write_shift(file, HOUR)
    assert ShiftedClock(file).shift == HOUR, "the next process starts from what is written"


BAD = ["", "soon", "36h", "-1", "nan", "inf", "1e300", "1 2", "\xff", str(4000 * 86_400)]


@pytest.mark.parametrize("written", BAD)
def test_what_is_no_shift_stops_a_start_with_a_sentence(file: Path, written: str) -> None:
    file.write_text(written, encoding="latin-1")
    with pytest.raises(UnusableShift, match="must hold one number of seconds"):
        ShiftedClock(file)


@pytest.mark.parametrize("written", BAD)
def test_what_is_no_shift_leaves_a_running_clock_where_it_is(
    file: Path, written: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_shift(file, HOUR)
    clock = ShiftedClock(file)
    file.write_text(written, encoding="latin-1")
    with caplog.at_level(logging.WARNING):
        assert [clock.shift for _ in range(3)] == [HOUR] * 3
    (record,) = caplog.records
    assert str(file) in record.message
    write_shift(file, 2 * HOUR)
    assert clock.shift == 2 * HOUR


@pytest.mark.parametrize("shift", [timedelta(), timedelta(milliseconds=1), 36 * HOUR, MAX_SHIFT])
def test_what_is_written_is_what_is_read(file: Path, shift: timedelta) -> None:
    write_shift(file, shift)
    assert read_shift(file) == shift


def test_a_process_has_the_machines_clock_unless_a_file_is_named(file: Path) -> None:
    write_shift(file, HOUR)
    assert isinstance(open_clock(""), SystemClock)
    assert open_clock(str(file)).shift == HOUR


def test_other_clocks_are_not_shifted() -> None:
    manual = ManualClock()
    manual.advance(HOUR)
    assert ahead(manual) == HOUR
    assert manual.shift == SystemClock().shift == timedelta()
