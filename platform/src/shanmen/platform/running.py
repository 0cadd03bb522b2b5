"""Which installation of this checkout runs now, for the commands that look at it from outside."""

from datetime import timedelta
from typing import Final

import httpx

from shanmen.platform.installation import Installation, ports_from_environment
from shanmen.platform.localclock import CHANNELS, advance_clock, move_world, read_duration
from shanmen.platform.separate import MODE as UP
from shanmen.platform.separate import SeparateProcesses
from shanmen.platform.servers.errors import ServerError
from shanmen.platform.servers.ports import LOOPBACK
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.postgres_access import PostgresAccess, postgres_from_environment
from shanmen.platform.servers.state import StateDir
from shanmen.platform.single import MODE as SINGLE

MODES: Final = (SINGLE, UP)


class NothingRuns(ServerError):
    """There is nothing to look at."""

    def __init__(self) -> None:
        super().__init__("Nothing runs. Start it with `make run` or `make up` first.")


def running_installation(mode: str | None = None) -> Installation:
    """The installation that runs, of this mode if one is named. Raises ServerError."""
    if mode not in {None, *MODES}:
        raise ServerError(f"There is no mode {mode!r}. There are: {', '.join(MODES)}.")
    if mode != SINGLE:
        processes = SeparateProcesses()
        if any(row.pid for row in processes.status() if row.name.endswith("-worker")):
            return processes.installation
        if mode == UP:
            raise NothingRuns
    return _single_installation()


async def move_time(duration: str) -> timedelta:
    """Move the time forward by a duration like `36h`; returns by how much it is ahead now.

    Channels that do not run take the time over when they start. Raises ClockRefusal.
    """
    by, state, ports = read_duration(duration), StateDir.of_checkout(), ports_from_environment()
    urls = {name: f"http://{LOOPBACK}:{ports[name]}" for name in CHANNELS}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        try:
            return await move_world(state, urls, client, by)
        except httpx.TransportError:
            return advance_clock(state, by)


def _single_installation() -> Installation:
    state = StateDir.of_checkout()
    postgres: PostgresAccess | None = postgres_from_environment()
    if postgres is None:
        server = EmbeddedPostgres(state, name=f"postgres-{SINGLE}")
        if server.pid is None:
            raise NothingRuns
        postgres = server
    return Installation(SINGLE, state, postgres, ports_from_environment())
