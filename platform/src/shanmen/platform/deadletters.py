"""`shanmen dead-letters`: what was given up on, and sending it back once its cause is mended."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from shanmen.common.broker.local import LocalTransport
from shanmen.common.broker.protocol import DeadLetter, Transport
from shanmen.common.broker.rabbitmq import RabbitTransport
from shanmen.common.db import Database
from shanmen.platform.installation import EVENTS, Installation, ports_from_environment
from shanmen.platform.separate import SeparateProcesses
from shanmen.platform.servers.errors import ServerError
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.postgres_access import postgres_from_environment
from shanmen.platform.servers.state import StateDir
from shanmen.platform.services import all_queues
from shanmen.platform.single import MODE


async def list_dead_letters(queue: str | None) -> list[DeadLetter]:
    """Everything parked, in one queue or in all."""
    async with _transport() as transport:
        found: list[DeadLetter] = []
        for name in _named(queue):
            found += await transport.dead_letters(name)
        return found


async def redrive_dead_letters(queue: str, ids: Collection[str] | None) -> int:
    """Send parked messages of a queue back to it; returns how many."""
    async with _transport() as transport:
        return await transport.redrive(_named(queue)[0], ids)


def _named(queue: str | None) -> Sequence[str]:
    names = [known.name for known in all_queues()]
    if queue is None:
        return names
    if queue not in names:
        raise ServerError(f"There is no queue {queue!r}. There are: {', '.join(names)}.")
    return [queue]


@asynccontextmanager
async def _transport() -> AsyncIterator[Transport]:
    """The transport of whichever mode runs now."""
    processes = SeparateProcesses()
    if any(row.pid for row in processes.status() if row.name.endswith("-worker")):
        transport: Transport = RabbitTransport(processes.installation.amqp_url)
    else:
        transport = LocalTransport(Database(_events_database_url()), all_queues())
    try:
        yield transport
    finally:
        await transport.aclose()


def _events_database_url() -> str:
    state = StateDir.of_checkout()
    postgres = postgres_from_environment()
    if postgres is None:
        server = EmbeddedPostgres(state, name=f"postgres-{MODE}")
        if server.pid is None:
            raise ServerError("Nothing runs. Start it with `make run` or `make up` first.")
        postgres = server
    return Installation(MODE, state, postgres, ports_from_environment()).database_url(EVENTS)
