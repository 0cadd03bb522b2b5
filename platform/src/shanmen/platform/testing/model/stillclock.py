"""A clock that stands still: the same life takes the same course on every machine."""

from datetime import UTC, datetime, timedelta
from typing import Final


class StillClock:
    """A Clock that only `advance` moves; it begins at a fixed instant."""

    shift: Final = timedelta()
    """See Clock."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """The present moment of this clock."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move time forward."""
        self._now += by
