"""Which installation of this checkout runs now, for the commands that look at it from outside."""

from typing import Final

from shanmen.platform.installation import Installation, ports_from_environment
from shanmen.platform.separate import MODE as UP
from shanmen.platform.separate import SeparateProcesses
from shanmen.platform.servers.errors import ServerError
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


def _single_installation() -> Installation:
    state = StateDir.of_checkout()
    postgres: PostgresAccess | None = postgres_from_environment()
    if postgres is None:
        server = EmbeddedPostgres(state, name=f"postgres-{SINGLE}")
        if server.pid is None:
            raise NothingRuns
        postgres = server
    return Installation(SINGLE, state, postgres, ports_from_environment())
