"""The broker's queues for all services, declared before the first event needs them."""

import aio_pika
from aiormq.exceptions import ChannelNotFoundEntity

from shanmen.common.broker.protocol import Ladder
from shanmen.common.broker.topology import declare_topology
from shanmen.platform.services import all_queues


async def declare_queues(amqp_url: str, ladder: Ladder | None = None) -> bool:
    """Declare every queue; True when any of them was new."""
    connection = await aio_pika.connect(amqp_url, timeout=10)
    async with connection:
        is_new = False
        for queue in all_queues():
            try:
                async with connection.channel() as probe:
                    await probe.declare_queue(queue.name, passive=True)
            except ChannelNotFoundEntity:
                is_new = True
            async with connection.channel() as channel:
                await declare_topology(channel, queue, ladder or Ladder())
        return is_new
