"""The single-process mode: five services, in-process events, an embedded PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from shanmen.common.app import create_app
from shanmen.common.broker.local import LocalTransport
from shanmen.common.clock import open_clock
from shanmen.common.db import Database
from shanmen.common.service import Running, open_service, run_background
from shanmen.common.serving import serve_http
from shanmen.common.telemetry import configure_logging, start_telemetry
from shanmen.platform.edge import Edge
from shanmen.platform.installation import (
    EVENTS,
    PORT_VARIABLES,
    ChannelKeys,
    Installation,
    ports_from_environment,
)
from shanmen.platform.localclock import shift_file
from shanmen.platform.sample import Sample, ensure_sample
from shanmen.platform.servers.ports import LOOPBACK, free_port, require_free_port
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.postgres_access import PostgresAccess, postgres_from_environment
from shanmen.platform.servers.state import StateDir
from shanmen.platform.services import SERVICES, all_queues
from shanmen.platform.simulated import SimulatedWorld

MODE = "single"
DRAIN_S = 10
PARTS = ("catalog", "gateway-adapters", "edge")
"""What listens: users reach everything at the edge, services the internal paths of these two."""


@dataclass(frozen=True)
class Platform:
    """A running platform, as its users find it."""

    installation: Installation
    sample: Sample

    @property
    def base_url(self) -> str:
        """The one URL for users."""
        return self.installation.url("edge")


@asynccontextmanager
async def single_process(
    stop: asyncio.Event, *, mode: str = MODE, state: StateDir | None = None
) -> AsyncIterator[Platform]:
    """Run everything in this process around a block; `stop` is set if a part of it fails.

    `state` is the checkout's unless one is given; a throwaway one begins with nothing. Raises
    ServerError for a port that is taken or a server that does not come up.
    """
    configure_logging("WARNING")
    start_telemetry("shanmen")
    async with AsyncExitStack() as stack:
        state = state or StateDir.of_checkout()
        ports = ports_from_environment()
        for part in PARTS:
            require_free_port(ports[part], PORT_VARIABLES[part])
        postgres = await _postgres(stack, state, mode)
        installation = Installation(mode, state, postgres, ports)
        await installation.prepare_databases()
        await asyncio.to_thread(installation.migrate)
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=10))
        world = SimulatedWorld(installation, client)
        stack.push_async_callback(world.stop)
        keys = await world.start()
        await _serve(stack, installation, keys, stop)
        sample = await ensure_sample(installation, client)
        yield Platform(installation, sample)


async def _postgres(stack: AsyncExitStack, state: StateDir, mode: str) -> PostgresAccess:
    given = postgres_from_environment()
    if given is not None:
        return given
    port = free_port() if state.throwaway else None
    server = EmbeddedPostgres(state, name=f"postgres-{mode}", port=port)
    await asyncio.to_thread(server.start)
    stack.push_async_callback(asyncio.to_thread, server.stop)
    return server


async def _serve(
    stack: AsyncExitStack, installation: Installation, keys: ChannelKeys, stop: asyncio.Event
) -> None:
    """Open the services, start their background work, and listen."""
    events = Database(installation.database_url(EVENTS), application_name="shanmen-events")
    transport = LocalTransport(events, all_queues())
    stack.push_async_callback(transport.aclose)
    await transport.create_tables()
    running = [
        await stack.enter_async_context(
            open_service(
                service,
                installation.settings(service, keys=keys),
                transport,
                open_clock(str(shift_file(installation.state))),
            )
        )
        for service in SERVICES
    ]
    work = asyncio.create_task(_run(running, installation, stop))
    work.add_done_callback(lambda _: stop.set())

    async def finish() -> None:
        stop.set()
        await work

    stack.push_async_callback(finish)
    await _until_listening(installation, work)


async def _run(
    running: list[Running[Any]], installation: Installation, stop: asyncio.Event
) -> None:
    apps = {item.service.name: create_app(item.service, item) for item in running}
    async with asyncio.TaskGroup() as group:
        for item in running:
            group.create_task(run_background(item, stop, worker=True))
        edge = Edge(apps)
        for part in PARTS:
            app, port = apps.get(part, edge), installation.ports[part]
            group.create_task(serve_http(app, LOOPBACK, port, stop, drain_s=DRAIN_S))


async def _until_listening(installation: Installation, work: "asyncio.Task[None]") -> None:
    for part in PARTS:
        while not work.done():
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, installation.ports[part])
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                break
    if work.done():
        await work
