"""An installation beside that of `up`, for what would not go away again: made, and removed.

It has databases of its own on the same server, simulated channels with books of their own, and
the three services that reconciling takes, each as an API process on a port of its own.
"""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from shanmen.catalog.bootstrap import mint_operator_token
from shanmen.platform.installation import EVENTS, PORT_VARIABLES, Installation
from shanmen.platform.localclock import CHANNELS
from shanmen.platform.separate import SeparateProcesses
from shanmen.platform.servers.ports import LOOPBACK, free_port
from shanmen.platform.servers.process import ManagedProcess
from shanmen.platform.services import MODULES, SERVICES
from shanmen.platform.simulated import SimulatedWorld

MODE: Final = "bench"
PARTS: Final = ("catalog", "gateway-adapters", "settlement")
FOLDER: Final = "processes-bench"

_READY_TIMEOUT_S: Final = 40.0
_LONGEST_S: Final = 180.0
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Apart:
    """What runs apart, with an operator's token; the processes by their names."""

    installation: Installation
    client: httpx.AsyncClient
    token: str
    processes: Mapping[str, int]

    def books(self, channel: str) -> Path:
        """The file of a simulated channel's books."""
        folder = self.installation.state.path / f"simulators-{MODE}" / f"{channel}-data"
        return folder / f"{channel}.sqlite3"


@asynccontextmanager
async def set_apart(platform: SeparateProcesses) -> AsyncIterator[Apart]:
    """Run it around a block; nothing of it is left. Raises ServerError.

    There is no worker and nobody takes its events: what is measured is what is asked for.
    """
    nowhere = f"amqp://{LOOPBACK}:{free_port()}/"
    installation = Installation(
        MODE, platform.state, platform.installation.postgres, _free_ports(), nowhere
    )
    folder = platform.state.directory(FOLDER)
    processes = {part: ManagedProcess(folder, f"{part}-api") for part in PARTS}
    async with httpx.AsyncClient(trust_env=False, timeout=_LONGEST_S) as client:
        world = SimulatedWorld(installation, client)
        await _remove(installation, world, processes)  # what a killed bench has left
        try:
            await installation.prepare_databases()
            await asyncio.to_thread(installation.migrate)
            await _start(installation, client, world, processes)
            token = await mint_operator_token(installation.database_url("catalog"), "bench")
            yield Apart(installation, client, token, _running(platform, processes))
        finally:
            await _remove(installation, world, processes)


def _running(
    platform: SeparateProcesses, processes: Mapping[str, ManagedProcess]
) -> dict[str, int]:
    """Whose work it is: PostgreSQL's as well, where it is ours."""
    folder = platform.state.directory(f"simulators-{MODE}")
    simulated = {f"{name} (simulated)": ManagedProcess(folder, name).pid for name in CHANNELS}
    running = {process.name: process.pid for process in processes.values()} | simulated
    running |= {row.name: row.pid for row in platform.status() if row.name == "postgres"}
    return {name: pid for name, pid in running.items() if pid is not None}


def _free_ports() -> dict[str, int]:
    ports = set[int]()
    while len(ports) < len(PORT_VARIABLES):
        ports.add(free_port())
    return dict(zip(PORT_VARIABLES, ports, strict=True))


async def _start(
    installation: Installation,
    client: httpx.AsyncClient,
    world: SimulatedWorld,
    processes: Mapping[str, ManagedProcess],
) -> None:
    keys = await world.start()
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    for part, process in processes.items():
        process.start(
            [sys.executable, "-m", MODULES[part], "api"],
            environment={**inherited, **installation.environment(part, keys=keys)},
            working_directory=installation.state.path,
        )
    for part, process in processes.items():
        await _until_healthy(client, f"{installation.url(part)}/health", process)


async def _until_healthy(client: httpx.AsyncClient, url: str, process: ManagedProcess) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while process.pid is not None:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(url)).is_success:
                        return
                await asyncio.sleep(0.1)
    raise process.failure(f"{process.name} does not come up.")


async def _remove(
    installation: Installation, world: SimulatedWorld, processes: Mapping[str, ManagedProcess]
) -> None:
    for process in processes.values():
        await asyncio.to_thread(process.stop)
    await world.stop()
    for owner in (*(service.name for service in SERVICES), EVENTS):
        await installation.postgres.drop_database(installation.database_name(owner))
    shutil.rmtree(installation.state.path / f"simulators-{MODE}", ignore_errors=True)
