"""Time as a port: UTC inside, the machine's clock, and clocks that a test or the demo moves."""

import logging
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

log = logging.getLogger(__name__)

MAX_SHIFT: Final = timedelta(days=3660)
"""Further than this a clock cannot be moved: a slip of the keyboard, not a wish."""

_NOTHING: Final = timedelta()


class UnusableShift(ValueError):
    """The file that should say how far the time is moved says something else."""

    def __init__(self, file: Path) -> None:
        most_s = MAX_SHIFT // timedelta(seconds=1)
        super().__init__(
            f"{file} must hold one number of seconds, from 0 to {most_s}, or not be there at all"
        )


class Clock(Protocol):
    """Tells the time of day. Durations inside one process use `time.monotonic` instead."""

    @property
    def shift(self) -> timedelta:
        """How far a person has moved this installation's time ahead of the machines' clocks.

        Whoever lets the database tell the time adds it to the database's `now()`.
        """

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    shift: Final = _NOTHING
    """See Clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """The machine's clock plus an offset that only `advance` changes.

    It is one test's own idea of the time, not the installation's, so its shift is zero.
    """

    shift: Final = _NOTHING
    """See Clock."""

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = timedelta() if start is None else start - datetime.now(UTC)

    def now(self) -> datetime:
        """The present moment of this clock, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, by: timedelta) -> None:
        """Move time forward."""
        self._offset += by


class ShiftedClock:
    """The machine's clock, ahead of it by the seconds in a file, which may change at any time.

    The file holds one decimal number; no file means zero. Processes that read the same file agree
    on the time. Time never goes back within a process: a smaller number waits for the next start.
    Raises UnusableShift for a file that holds anything else, at the start; later, what was read
    last stays, and a warning is logged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._version = _version_of(file)
        self._shift = read_shift(file)

    @property
    def shift(self) -> timedelta:
        """See Clock."""
        version = _version_of(self._file)
        if version != self._version:
            self._version = version
            try:
                self._shift = max(self._shift, read_shift(self._file))
            except UnusableShift as error:
                log.warning("the clock stays where it is: %s", error)
        return self._shift

    def now(self) -> datetime:
        """The present moment of this installation, aware, in UTC."""
        return datetime.now(UTC) + self.shift


def open_clock(shift_file: str) -> Clock:
    """The clock of a process: the machine's, or moved by a file if one is named.

    Raises UnusableShift.
    """
    return ShiftedClock(Path(shift_file)) if shift_file else SystemClock()


def read_shift(file: Path) -> timedelta:
    """The shift that a file asks for, zero without one. Raises UnusableShift."""
    try:
        written = file.read_text(encoding="utf-8").strip()
        seconds = float(written)
    except FileNotFoundError:
        return _NOTHING
    except (OSError, ValueError) as error:
        raise UnusableShift(file) from error
    if not (math.isfinite(seconds) and 0 <= seconds <= MAX_SHIFT.total_seconds()):
        raise UnusableShift(file)
    return timedelta(seconds=seconds)


def write_shift(file: Path, shift: timedelta) -> None:
    """Move the time of every process that reads this file; none of them sees half a number."""
    draft = file.with_name(f"{file.name}.draft")
    draft.write_text(f"{shift.total_seconds()}\n", encoding="utf-8")
    draft.replace(file)


def _version_of(file: Path) -> tuple[int, int, int] | None:
    """What changes whenever the file does; None without one."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
