"""The time of a local installation, which a person may move forward: `shanmen clock`.

The simulated channels go along: their days, yields and bills are of the same time.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx

from shanmen.common.clock import MAX_SHIFT, UnusableShift, read_shift, write_shift
from shanmen.platform.servers.errors import ServerError
from shanmen.platform.servers.state import StateDir

FILE: Final = "clock-shift"
CHANNELS: Final = ("alipay", "huijinbao")
"""The simulators that have a time of their own."""
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhd])")


class ClockRefusal(ServerError):
    """The local clock cannot be moved like that."""


def shift_file(state: StateDir) -> Path:
    """The file that holds by how many seconds an installation's time is ahead."""
    return state.path / FILE


def local_shift(state: StateDir) -> timedelta:
    """By how much the installation's time is ahead. Raises ClockRefusal for a file not ours."""
    try:
        return read_shift(shift_file(state))
    except UnusableShift as error:
        raise ClockRefusal(f"{error}.") from error


def advance_clock(state: StateDir, by: timedelta) -> timedelta:
    """Move the time forward, in one step; returns by how much it is ahead now.

    There is no way back: what has expired would be valid again. Raises ClockRefusal.
    """
    ahead = local_shift(state) + by
    if ahead > MAX_SHIFT:
        raise ClockRefusal(f"The time cannot be moved further ahead than {MAX_SHIFT.days} days.")
    write_shift(shift_file(state), ahead)
    return ahead


async def move_world(
    state: StateDir, urls: Mapping[str, str], client: httpx.AsyncClient, by: timedelta
) -> timedelta:
    """Move the installation's time forward, and that of its simulated channels.

    `urls` are the base URLs of the channels. Theirs comes first, so that none is asked in a future
    that it does not know yet. Returns by how much the time is ahead now. Raises ClockRefusal,
    httpx.HTTPError when a channel does not answer.
    """
    ahead = local_shift(state) + by
    if ahead <= MAX_SHIFT:
        await _keep_time(urls, client, ahead)
    return advance_clock(state, by)


async def keep_time(state: StateDir, urls: Mapping[str, str], client: httpx.AsyncClient) -> None:
    """Bring the simulated channels to the installation's time; they never go back."""
    await _keep_time(urls, client, local_shift(state))


async def _keep_time(urls: Mapping[str, str], client: httpx.AsyncClient, ahead: timedelta) -> None:
    for name in CHANNELS:
        clock = f"{urls[name]}/admin/clock"
        there = (await client.get(clock)).raise_for_status().json()["now"]
        behind = datetime.now(UTC) + ahead - datetime.fromisoformat(there)
        if (seconds := round(behind.total_seconds())) > 0:
            answer = await client.post(clock, json={"advance_s": seconds}, timeout=60)
            answer.raise_for_status()


def read_duration(text: str) -> timedelta:
    """A duration like `90s`, `15m`, `36h` or `3d`. Raises ClockRefusal."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        back = " Time moves forward only." if text.strip().startswith("-") else ""
        raise ClockRefusal(f"{text!r} is no duration. Write 90s, 15m, 36h or 3d.{back}")
    return timedelta(**{_UNITS[match["unit"]]: int(match["number"])})
