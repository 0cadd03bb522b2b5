"""The separate-process mode: every service as its own API and worker, on PostgreSQL and RabbitMQ.

`start` returns with everything running and left running; `stop` finds it again by its marks. A
process that died is started again by the next `start`, which leaves the others alone.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from shanmen.platform.installation import (
    PORT_VARIABLES,
    ChannelKeys,
    Installation,
    ports_from_environment,
)
from shanmen.platform.sample import Sample, ensure_sample
from shanmen.platform.servers.errors import ServerFailed
from shanmen.platform.servers.ports import require_free_port
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.postgres_access import PostgresAccess, postgres_from_environment
from shanmen.platform.servers.process import Escalation, ManagedProcess
from shanmen.platform.servers.rabbitmq import (
    QUEUE_SETTLING_S,
    EmbeddedRabbitMQ,
    rabbitmq_from_environment,
)
from shanmen.platform.servers.state import StateDir
from shanmen.platform.services import MODULES
from shanmen.platform.simulated import SimulatedWorld
from shanmen.platform.topology import declare_queues

MODE: Final = "up"
FOLDER: Final = "processes"
READY_TIMEOUT_S: Final = 40.0
DRAIN: Final[Escalation] = ((signal.SIGTERM, 45.0), (signal.SIGKILL, 5.0))
"""Longer than a service takes to drain (`shanmen.common.serving.DRAIN_S`)."""


@dataclass(frozen=True)
class ProcessStatus:
    """One process as `shanmen status` shows it."""

    name: str
    pid: int | None
    address: str


class SeparateProcesses:
    """Everything of the separate-process mode on this machine."""

    def __init__(self) -> None:
        self.state = StateDir.of_checkout()
        self.ports = ports_from_environment()
        self._own_postgres: EmbeddedPostgres | None = None
        self._own_rabbitmq: EmbeddedRabbitMQ | None = None
        self._postgres: PostgresAccess
        given_postgres, given_rabbitmq = postgres_from_environment(), rabbitmq_from_environment()
        if given_postgres is not None:
            self._postgres = given_postgres
        else:
            self._own_postgres = EmbeddedPostgres(self.state, name=f"postgres-{MODE}")
            self._postgres = self._own_postgres
        if given_rabbitmq is not None:
            amqp_url = given_rabbitmq.url
        else:
            self._own_rabbitmq = EmbeddedRabbitMQ(self.state, name=f"rabbitmq-{MODE}")
            amqp_url = self._own_rabbitmq.url
        self.installation = Installation(MODE, self.state, self._postgres, self.ports, amqp_url)
        folder = self.state.directory(FOLDER)
        self._processes: dict[str, ManagedProcess] = {
            f"{service}-{kind}": ManagedProcess(folder, f"{service}-{kind}")
            for service in MODULES
            for kind in ("api", "worker")
        }
        self._processes["edge"] = ManagedProcess(folder, "edge")

    async def start(self) -> Sample:
        """Start whatever does not run yet. Raises ServerError."""
        for server in (self._own_postgres, self._own_rabbitmq):
            if server is not None:
                await asyncio.to_thread(server.start)
        installation = self.installation
        await installation.prepare_databases()
        await asyncio.to_thread(installation.migrate)
        # Declared before the first event is published, and given a moment: a crash of a broker
        # within a second of declaring a quorum queue can lose the queue (seen with 3.10).
        if await declare_queues(installation.amqp_url):
            await asyncio.sleep(QUEUE_SETTLING_S)
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            keys = await SimulatedWorld(installation, client).start()
            for name in self._processes:
                self._ensure(name, keys)
            for part in (*MODULES, "edge"):
                await self._until_healthy(client, part)
            return await ensure_sample(installation, client)

    async def stop(self) -> None:
        """Drain and stop everything that `start` started; what is not running is fine."""
        await asyncio.gather(
            *(asyncio.to_thread(process.stop, DRAIN) for process in self._processes.values())
        )
        async with httpx.AsyncClient() as client:
            await SimulatedWorld(self.installation, client).stop()
        for server in (self._own_rabbitmq, self._own_postgres):
            if server is not None:
                await asyncio.to_thread(server.stop)

    def status(self) -> list[ProcessStatus]:
        """Every process, running or not."""
        rows = [
            ProcessStatus(name, process.pid, self._address(name))
            for name, process in self._processes.items()
        ]
        servers = (("postgres", self._own_postgres), ("rabbitmq", self._own_rabbitmq))
        rows += [
            ProcessStatus(name, server.pid, "its own")
            if server
            else ProcessStatus(name, None, "given")
            for name, server in servers
        ]
        return rows

    def pid(self, name: str) -> int | None:
        """The number of one process, such as `orders-worker`."""
        return self._processes[name].pid

    def _ensure(self, name: str, keys: ChannelKeys) -> None:
        process = self._processes[name]
        if process.pid is not None:
            return
        service, _, kind = name.rpartition("-")
        part = "edge" if name == "edge" else service
        if kind != "worker":
            require_free_port(self.ports[part], PORT_VARIABLES[part])
        module = "shanmen.platform.edge_server" if name == "edge" else MODULES[service]
        own = (
            self._edge_environment()
            if name == "edge"
            else self.installation.environment(service, keys=keys)
        )
        process.start(
            [sys.executable, "-m", module, *([] if name == "edge" else [kind])],
            environment={**_inherited(), **own},
            working_directory=self.state.path,
        )

    def _edge_environment(self) -> dict[str, str]:
        addresses = {name: self.installation.url(name) for name in MODULES}
        return {
            "PORT": str(self.ports["edge"]),
            **{f"{name.replace('-', '_').upper()}_URL": url for name, url in addresses.items()},
        }

    async def _until_healthy(self, client: httpx.AsyncClient, part: str) -> None:
        process = self._processes["edge" if part == "edge" else f"{part}-api"]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_TIMEOUT_S
        while loop.time() < deadline and process.pid is not None:
            try:
                if (await client.get(f"{self.installation.url(part)}/health")).is_success:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
        failure: ServerFailed = process.failure(f"{process.name} does not come up.")
        raise failure

    def _address(self, name: str) -> str:
        if name.endswith("-worker"):
            return "–"
        return self.installation.url("edge" if name == "edge" else name.removesuffix("-api"))


def _inherited() -> Mapping[str, str]:
    """What of our environment a service process gets; no secret comes this way."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "LOG_LEVEL")
    return {name: os.environ[name] for name in names if name in os.environ}
