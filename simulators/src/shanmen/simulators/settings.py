"""What the simulator is told when it starts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


def _system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Settings:
    """Where the books are and how the channel behaves.

    `notify_scale` multiplies the waits of the notification schedule (1 is the channel's own, up to
    15 h). `admin_token`, when set, is asked of every `/admin` call as a bearer token. `clock`
    tells the time, aware, in UTC.
    """

    data_dir: Path
    seed_file: Path | None = None
    admin_token: str | None = field(default=None, repr=False)
    notify_scale: float = 1.0
    notify_timeout_s: float = 10.0
    clock: Callable[[], datetime] = _system_clock
