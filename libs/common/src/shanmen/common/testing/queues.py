"""RabbitMQ's queues from the outside: to clean up, and to send what no service would send."""

from collections.abc import Iterable

import aio_pika

from shanmen.common.broker.protocol import Ladder, Queue
from shanmen.common.broker.topology import declare_topology, retry_name


async def declare_queues(url: str, queues: Iterable[Queue], ladder: Ladder) -> None:
    """Declare queues as their consumers will, so that events find them from the first one on."""
    async with await aio_pika.connect(url, timeout=5) as connection:
        channel = await connection.channel()
        for queue in queues:
            await declare_topology(channel, queue, ladder)


async def delete_queues(url: str, queues: Iterable[str], ladder: Ladder) -> None:
    """Delete queues with their dead letters and the rungs of a ladder, where they exist."""
    names = [name for queue in queues for name in (queue, f"{queue}.dead")]
    names += [retry_name(delay_s) for delay_s in ladder.delays_s]
    async with await aio_pika.connect(url, timeout=5) as connection:
        channel = await connection.channel()
        for name in names:
            await channel.queue_delete(name)


async def put_raw(url: str, queue: str, body: bytes, **headers: str) -> None:
    """Put bytes into a queue that need not be one of our messages."""
    async with await aio_pika.connect(url, timeout=5) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(
            aio_pika.Message(body, headers=dict(headers)), routing_key=queue, mandatory=True
        )


async def count_ready(url: str, queue: str) -> int:
    """How many messages wait in a queue, counted over a connection of its own."""
    async with await aio_pika.connect(url, timeout=5) as connection:
        channel = await connection.channel()
        found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0
