"""`shanmen dead-letters`: what was given up on, and sending it back once its cause is mended."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from shanmen.common.broker.local import LocalTransport
from shanmen.common.broker.protocol import DeadLetter, Transport
from shanmen.common.broker.rabbitmq import RabbitTransport
from shanmen.common.db import Database
from shanmen.platform.installation import EVENTS, Installation
from shanmen.platform.running import running_installation
from shanmen.platform.servers.errors import ServerError
from shanmen.platform.services import all_queues


async def list_dead_letters(queue: str | None) -> list[DeadLetter]:
    """Everything parked, in one queue or in all."""
    async with transport_of(running_installation()) as transport:
        found: list[DeadLetter] = []
        for name in _named(queue):
            found += await transport.dead_letters(name)
        return found


async def redrive_dead_letters(queue: str, ids: Collection[str] | None) -> int:
    """Send parked messages of a queue back to it; returns how many."""
    async with transport_of(running_installation()) as transport:
        return await transport.redrive(_named(queue)[0], ids)


def _named(queue: str | None) -> Sequence[str]:
    names = [known.name for known in all_queues()]
    if queue is None:
        return names
    if queue not in names:
        raise ServerError(f"There is no queue {queue!r}. There are: {', '.join(names)}.")
    return [queue]


@asynccontextmanager
async def transport_of(installation: Installation) -> AsyncIterator[Transport]:
    """The way to the queues of an installation."""
    transport: Transport
    if installation.amqp_url:
        transport = RabbitTransport(installation.amqp_url)
    else:
        transport = LocalTransport(Database(installation.database_url(EVENTS)), all_queues())
    try:
        yield transport
    finally:
        await transport.aclose()
