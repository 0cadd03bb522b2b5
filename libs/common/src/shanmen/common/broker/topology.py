"""The queues and exchanges on RabbitMQ.

For a consuming queue Q:

    shanmen.events (topic) ──type──▶ Q ──delivery limit──▶ shanmen.dead (direct) ──Q──▶ Q.dead
                                     ▲
    shanmen.retry.200ms … (TTL) ─────┘   one per rung, shared by all queues: a message keeps the
                                         routing key Q on which it dead-letters back
"""

from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from aiormq.abc import FieldTable

from shanmen.common.broker.protocol import Ladder, Queue

EVENTS: Final = "shanmen.events"
DEAD: Final = "shanmen.dead"
DELIVERY_LIMIT: Final = 20

_AT_LEAST_ONCE: Final[FieldTable] = {
    "x-queue-type": "quorum",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_PARKED: Final[FieldTable] = {
    "x-queue-type": "quorum",
    # Looking at dead letters returns them each time; from RabbitMQ 4 on, a queue that names no
    # limit of its own would drop them after twenty looks.
    "x-delivery-limit": 1_000_000,
}


def retry_name(delay_s: float) -> str:
    """The exchange and queue of one rung; the delay is in the name, as a queue's TTL is fixed."""
    return f"shanmen.retry.{int(delay_s * 1000)}ms"


async def declare_events(channel: AbstractChannel) -> AbstractExchange:
    """Declare the exchange that every event is published to."""
    return await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)


async def declare_parked(channel: AbstractChannel, queue: str) -> AbstractQueue:
    """Declare where a queue's dead letters lie."""
    return await channel.declare_queue(f"{queue}.dead", durable=True, arguments=_PARKED)


async def declare_topology(
    channel: AbstractChannel, queue: Queue, ladder: Ladder
) -> AbstractQueue:
    """Declare a queue with its ladder and its dead letters, and bind its event types."""
    events = await declare_events(channel)
    dead = await channel.declare_exchange(DEAD, aio_pika.ExchangeType.DIRECT, durable=True)
    parked = await declare_parked(channel, queue.name)
    await parked.bind(dead, queue.name)
    for delay_s in ladder.delays_s:
        await _declare_rung(channel, delay_s)
    source = await channel.declare_queue(
        queue.name,
        durable=True,
        arguments={
            **_AT_LEAST_ONCE,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD,
            "x-dead-letter-routing-key": queue.name,
        },
    )
    for event_type in sorted(queue.types):
        await source.bind(events, event_type)
    return source


async def _declare_rung(channel: AbstractChannel, delay_s: float) -> None:
    name = retry_name(delay_s)
    entrance = await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT, durable=True)
    waiting = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            **_AT_LEAST_ONCE,
            "x-message-ttl": int(delay_s * 1000),
            "x-dead-letter-exchange": "",
        },
    )
    await waiting.bind(entrance)
