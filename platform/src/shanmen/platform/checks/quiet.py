"""Waiting until nothing is on its way: only then must all books agree."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import aio_pika
import asyncpg
from aiormq.exceptions import ChannelNotFoundEntity

from shanmen.common.broker.protocol import DeadLetter
from shanmen.common.broker.topology import retry_name
from shanmen.common.db import asyncpg_dsn
from shanmen.platform.deadletters import transport_of
from shanmen.platform.installation import EVENTS, Installation
from shanmen.platform.services import SERVICES, all_queues

LOOK_EVERY_S: Final = 0.25
LOOKS: Final = 2
"""So many quiet looks in a row: between two, what a consumer has in hand is applied."""

_WAITING: Final[Mapping[str, Mapping[str, str]]] = {
    "gateway-adapters": {
        "operations under way": "SELECT count(*) FROM operations WHERE status = 'open'"
    },
}
"""What else is on its way in a service, besides events."""


async def wait_until_quiet(installation: Installation, *, within_s: float) -> Sequence[str]:
    """Wait until nothing is on its way; what still is when the time is over, else nothing."""
    loop = asyncio.get_running_loop()
    deadline, quiet_looks = loop.time() + within_s, 0
    while True:
        restless = await _look(installation)
        quiet_looks = 0 if restless else quiet_looks + 1
        if quiet_looks == LOOKS:
            return ()
        if loop.time() > deadline:
            return restless
        await asyncio.sleep(LOOK_EVERY_S)


async def dead_letters(installation: Installation) -> Sequence[DeadLetter]:
    """The events that were given up on."""
    async with transport_of(installation) as transport:
        return [
            letter for queue in all_queues() for letter in await transport.dead_letters(queue.name)
        ]


async def _look(installation: Installation) -> list[str]:
    restless: list[str] = []
    for service in SERVICES:
        queries = {
            "events not told yet": "SELECT count(*) FROM outbox",
            **_WAITING.get(service.name, {}),
        }
        restless += await _counted(installation, service.name, queries)
    if installation.amqp_url:
        return restless + await _in_broker(installation.amqp_url)
    waiting = "SELECT count(*) FROM deliveries WHERE parked_at IS NULL"
    return restless + await _counted(installation, EVENTS, {"events not handled yet": waiting})


async def _counted(
    installation: Installation, owner: str, queries: Mapping[str, str]
) -> list[str]:
    connection = await asyncpg.connect(asyncpg_dsn(installation.database_url(owner)), timeout=10)
    try:
        counts = {what: await connection.fetchval(query) for what, query in queries.items()}
    finally:
        await connection.close()
    return [f"{owner}: {count} {what}" for what, count in counts.items() if count]


async def _in_broker(amqp_url: str) -> list[str]:
    """Queues and rungs that hold messages."""
    names = [queue.name for queue in all_queues()]
    for service in SERVICES:
        delays_s = service.settings.model_fields["retry_delays_s"].default
        names += [retry_name(delay_s) for delay_s in delays_s]
    restless = []
    connection = await aio_pika.connect(amqp_url, timeout=10)
    async with connection:
        for name in dict.fromkeys(names):
            try:
                async with connection.channel() as channel:
                    queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                continue
            count = queue.declaration_result.message_count or 0
            if count:
                restless.append(f"{name}: {count} events waiting")
    return restless
