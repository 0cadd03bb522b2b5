"""A small installation that has lived, and is at rest: its books can be looked at and spoiled."""

import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from shanmen.platform.installation import EVENTS, PORT_VARIABLES, Installation
from shanmen.platform.sample import Sample
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.state import StateDir
from shanmen.platform.servers.throwaway import throwaway_state
from shanmen.platform.services import SERVICES
from shanmen.platform.simulated import SimulatedWorld
from shanmen.platform.testing.damages.story import live_through_everything

SHANMEN = Path(os.environ.get("VIRTUAL_ENV", ".venv")) / "bin" / "shanmen"
START_WITHIN_S = 60.0
QUICK = {
    # What takes a while at a real channel, or may wait, takes fractions of a second here.
    "gateway-adapters": {"query_delays_s": [0.2, 0.4, 0.8, 1.6, 3.2]},
    "verification": {"expiry_sweep_s": 0.2},
    "settlement": {"liquidate_every_s": 0.2, "pay_waiting_s": 0.5},
}
OWNERS = (*(service.name for service in SERVICES), EVENTS)


@dataclass(frozen=True)
class Books:
    """The databases of an installation that is at rest, and Alipay's books, which still answer."""

    installation: Installation
    postgres: EmbeddedPostgres

    @asynccontextmanager
    async def spoiling(self, owner: str) -> AsyncIterator[asyncpg.Connection]:
        """One database without its guards, for its administrator; as it was again afterwards."""
        name = self.installation.database_name(owner)
        connection = await asyncpg.connect(self.postgres.dsn(name))
        try:
            await connection.execute("SET session_replication_role = replica")
            yield connection
        finally:
            await connection.close()
            await self.restore(name)

    async def restore(self, name: str) -> None:
        """Put a database back to what it was at rest."""
        administrator = await asyncpg.connect(self.postgres.dsn("postgres"))
        try:
            await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await administrator.execute(
                f"CREATE DATABASE {name} TEMPLATE {name}_at_rest OWNER {name}"
            )
        finally:
            await administrator.close()

    async def keep(self) -> None:
        """Keep a copy of every database as it is at rest."""
        administrator = await asyncpg.connect(self.postgres.dsn("postgres"))
        try:
            for owner in OWNERS:
                name = self.installation.database_name(owner)
                await administrator.execute(f"CREATE DATABASE {name}_at_rest TEMPLATE {name}")
        finally:
            await administrator.close()

    async def forget(self) -> None:
        """Drop every database: the next installation on this server begins with nothing."""
        administrator = await asyncpg.connect(self.postgres.dsn("postgres"))
        try:
            for owner in OWNERS:
                name = self.installation.database_name(owner)
                for database in (name, f"{name}_at_rest"):
                    await administrator.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        finally:
            await administrator.close()


@pytest.fixture(scope="module")
async def books(
    postgres_server: EmbeddedPostgres, free_port: Callable[[], int]
) -> AsyncIterator[Books]:
    """What is left when a platform has lived through everything, and has stopped."""
    with throwaway_state() as state:
        ports: dict[str, int] = {}
        for name in PORT_VARIABLES:
            while (port := free_port()) in ports.values():
                continue
            ports[name] = port
        installation = Installation("single", state, postgres_server, ports)
        async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
            await _run(installation)
            world = SimulatedWorld(installation, client)
            await world.start()
            try:
                books = Books(installation, postgres_server)
                await books.keep()
                yield books
                await books.forget()
            finally:
                await world.stop()


async def _run(installation: Installation) -> None:
    """Run the platform for as long as its story takes."""
    state = installation.state
    log = state.path / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own command, started at once
            [SHANMEN, "run"],
            env=_environment(state, installation),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_line(log, "Ctrl-C stops everything", process)
        sample = Sample(**state.read_json(f"sample-{installation.mode}"))
        await live_through_everything(installation, sample)
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    log.unlink()  # it shows the sample's tokens, as `make run` does


def _environment(state: StateDir, installation: Installation) -> dict[str, str]:
    ports = {PORT_VARIABLES[name]: str(port) for name, port in installation.ports.items()}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        **ports,
        "SHANMEN_STATE": str(state.path),
        "SHANMEN_OVERRIDES": json.dumps(QUICK),
        "DATABASE_URL": installation.postgres.dsn("postgres"),
    }


def _await_line(log: Path, line: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while line not in log.read_text():
        assert process.poll() is None, f"ended early:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not up:\n{log.read_text()}"
        time.sleep(0.05)
