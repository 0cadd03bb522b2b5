"""The RabbitMQ transport: quorum queues, publisher confirms, a retry ladder of delay queues.

Connections are plain ones, supervised here: after a broker restart everything is declared and
consumed anew, which the robust flavour does only while its every object is still referenced.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from shanmen.common.broker.protocol import (
    BatchHandler,
    DeadLetter,
    Fate,
    HandlerStopped,
    Ladder,
    Queue,
    TransportDown,
    Verdict,
)
from shanmen.common.broker.topology import (
    DEAD,
    declare_events,
    declare_parked,
    declare_topology,
    retry_name,
)
from shanmen.common.broker.wire import (
    copy_of,
    dead_letter_of,
    delivery_of,
    encode,
    message_id_of,
    refusal_of,
    refusals_of,
    times_returned,
)
from shanmen.common.events import Message
from shanmen.common.waiting import first_of

log = logging.getLogger(__name__)

PUBLISH_TIMEOUT_S: Final = 10.0
WATCHDOG_S: Final = 5.0
SUSPECT_AFTER: Final = 3
"""Returns of one delivery (its consumer died, or lost its connection) before it is taken alone."""

_TROUBLE: Final = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, RuntimeError)


class RabbitTransport:
    """One process's way to the broker. `url` is an AMQP URL; it is never logged."""

    def __init__(
        self, url: str, *, ladder: Ladder | None = None, watchdog_s: float = WATCHDOG_S
    ) -> None:
        self._url = url
        self._watchdog_s = watchdog_s
        self._ladder = ladder or Ladder()
        self._publisher: _Publisher | None = None
        self._publisher_lock = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> Sequence[Exception | None]:
        """Publish with confirms, mandatory and persistent; see the protocol."""
        try:
            publisher = await self._open_publisher()
            results = await asyncio.gather(*(publisher.publish(message) for message in messages))
        except _TROUBLE as error:
            await self._drop_publisher()
            raise TransportDown(f"cannot publish: {type(error).__name__}") from error
        late = [result for result in results if isinstance(result, TimeoutError)]
        if late:
            await self._drop_publisher()  # with the confirms that may still come
        if late and len(late) == len(results):
            raise TransportDown("cannot publish: no confirm came")
        return results

    async def consume(self, queue: Queue, handle: BatchHandler, stop: asyncio.Event) -> None:
        """Consume until `stop`, reconnecting for as long as it takes; see the protocol."""
        while not stop.is_set():
            try:
                async with self._session() as (connection, channel):
                    consumer = _Consumer(connection, channel, queue, self._ladder, handle)
                    await consumer.run(stop, watchdog_s=self._watchdog_s)
            except HandlerStopped:
                continue  # what it held goes back to the queue with the channel
            except _TROUBLE as error:
                log.warning(
                    "consumer reconnecting",
                    extra={"queue": queue.name, "reason": type(error).__name__},
                )
                await first_of(stop, within_s=1.0)

    async def dead_letters(self, queue: str) -> Sequence[DeadLetter]:
        """Look at what is parked, leaving it where it is."""
        async with self._session() as (_, channel):
            parked = await declare_parked(channel, queue)
            held = await _take_all(parked)
            # Closing the channel gives every message back to the queue, in its old place.
            return [dead_letter_of(queue, message) for message in held]

    async def redrive(self, queue: str, ids: Collection[str] | None = None) -> int:
        """Send parked messages back; each leaves the dead letters only when it is safe again."""
        moved = 0
        async with self._session() as (_, channel):
            parked = await declare_parked(channel, queue)
            for message in await _take_all(parked):
                if ids is not None and message_id_of(message) not in ids:
                    continue
                await channel.default_exchange.publish(
                    copy_of(message, refusals=0, reason=""),
                    routing_key=queue,
                    mandatory=True,
                    timeout=PUBLISH_TIMEOUT_S,
                )
                await message.ack()
                moved += 1
        return moved

    async def aclose(self) -> None:
        """Close the publishing connection; consumers close theirs when they stop."""
        await self._drop_publisher()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[AbstractConnection, AbstractChannel]]:
        connection = await aio_pika.connect(self._url, timeout=5, heartbeat=10)
        try:
            yield connection, await connection.channel(on_return_raises=True)
        finally:
            await connection.close()

    async def _open_publisher(self) -> "_Publisher":
        async with self._publisher_lock:
            if self._publisher is None or self._publisher.is_closed:
                self._publisher = await self._new_publisher()
            return self._publisher

    async def _new_publisher(self) -> "_Publisher":
        connection = await aio_pika.connect(self._url, timeout=5, heartbeat=10)
        try:
            channel = await connection.channel(on_return_raises=True)
            return _Publisher(connection, channel, await declare_events(channel))
        except BaseException:
            await connection.close()
            raise

    async def _drop_publisher(self) -> None:
        async with self._publisher_lock:
            publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()


class _Publisher:
    def __init__(
        self,
        connection: AbstractConnection,
        channel: AbstractChannel,
        exchange: AbstractExchange,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._exchange = exchange

    @property
    def is_closed(self) -> bool:
        return self._connection.is_closed or self._channel.is_closed

    async def publish(self, message: Message) -> Exception | None:
        """Publish one message. A refusal is returned, a lost link raised.

        A refusal: it is unroutable, or nacked, or no confirm came in time. One queue that does not
        confirm must not hold up the messages for all others.
        """
        try:
            await self._exchange.publish(
                encode(message),
                routing_key=message.type,
                mandatory=True,
                timeout=PUBLISH_TIMEOUT_S,
            )
        except aio_pika.exceptions.DeliveryError as error:
            return LookupError(f"{message.type}: {refusal_of(error)}")
        except TimeoutError:
            return TimeoutError(f"{message.type}: no confirm came")
        return None

    async def close(self) -> None:
        try:
            await self._connection.close()
        except _TROUBLE:
            log.debug("publisher connection was gone already")


class _Consumer:
    """One queue on one channel: takes what waits as a batch, one batch in flight."""

    def __init__(
        self,
        connection: AbstractConnection,
        channel: AbstractChannel,
        queue: Queue,
        ladder: Ladder,
        handle: BatchHandler,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._queue = queue
        self._ladder = ladder
        self._handle = handle
        self._waiting: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def run(self, stop: asyncio.Event, *, watchdog_s: float) -> None:
        await self._channel.set_qos(prefetch_count=self._queue.batch * 2)
        source = await declare_topology(self._channel, self._queue, self._ladder)
        tag = await source.consume(self._waiting.put)
        stopping = asyncio.ensure_future(stop.wait())
        lost = asyncio.ensure_future(self._channel_lost())
        try:
            while not stop.is_set():
                batch = await self._next_batch(stopping, lost, within_s=watchdog_s)
                if batch:
                    await self._deliver(batch)
                elif lost.done():
                    raise TransportDown("channel closed")
                elif not stop.is_set():
                    await self._watch()
            await source.cancel(tag)
        finally:
            stopping.cancel()
            lost.cancel()

    async def _channel_lost(self) -> None:
        closing = [
            asyncio.ensure_future(self._channel.closed()),
            asyncio.ensure_future(self._connection.closed()),
        ]
        try:
            await asyncio.wait(closing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in closing:
                waiter.cancel()

    async def _next_batch(
        self, *interruptions: asyncio.Future[Any], within_s: float
    ) -> list[AbstractIncomingMessage]:
        first = asyncio.ensure_future(self._waiting.get())
        await asyncio.wait(
            {first, *interruptions}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not first.done():
            first.cancel()
            return []
        batch = [first.result()]
        while len(batch) < self._queue.batch and not self._waiting.empty():
            batch.append(self._waiting.get_nowait())
        return batch

    async def _deliver(self, batch: Sequence[AbstractIncomingMessage]) -> None:
        """Handle a batch as one, except deliveries that came back too often.

        One of those may be what ends its consumer. Each is taken alone, after the others and in
        any order, so that its neighbours get past it before all reach the delivery limit.
        """
        suspects = [message for message in batch if times_returned(message) >= SUSPECT_AFTER]
        if not suspects:
            await self._deliver_together(batch, oldest_first=True)
            return
        random.shuffle(suspects)
        sound = [message for message in batch if message not in suspects]
        for group in (sound, *([suspect] for suspect in suspects)):
            if group:
                await self._deliver_together(group, oldest_first=False)

    async def _deliver_together(
        self, group: Sequence[AbstractIncomingMessage], *, oldest_first: bool
    ) -> None:
        verdicts = await self._handle([delivery_of(message) for message in group])
        if oldest_first and all(verdict.fate is Fate.DONE for verdict in verdicts):
            # Safe: this is the only batch in flight, everything older is acked already.
            await group[-1].ack(multiple=True)
            return
        for message, verdict in zip(group, verdicts, strict=True):
            await self._carry_out(message, verdict)

    async def _carry_out(self, message: AbstractIncomingMessage, verdict: Verdict) -> None:
        """Ack a delivery, after putting a copy where its fate wants it (confirmed)."""
        if verdict.fate is not Fate.DONE:
            refusals = refusals_of(message)
            rung = refusals if verdict.fate is Fate.RETRY else len(self._ladder.delays_s)
            exhausted = rung >= len(self._ladder.delays_s)
            exchange = DEAD if exhausted else retry_name(self._ladder.delays_s[rung])
            publisher = await self._channel.get_exchange(exchange, ensure=False)
            await publisher.publish(
                copy_of(message, refusals=refusals + 1, reason=verdict.reason),
                routing_key=self._queue.name,
                mandatory=True,
                timeout=PUBLISH_TIMEOUT_S,
            )
            if exhausted:
                log.error(
                    "message parked",
                    extra={"queue": self._queue.name, "id": message_id_of(message)},
                )
        await message.ack()

    async def _watch(self) -> None:
        """Nothing came for a while: is the queue really empty, seen from a fresh channel?"""
        async with self._connection.channel() as probe:
            seen = await probe.declare_queue(self._queue.name, passive=True)
            ready = seen.declaration_result.message_count or 0
        if ready and self._waiting.empty():
            raise TransportDown("messages wait and none is delivered")


async def _take_all(queue: AbstractQueue) -> list[AbstractIncomingMessage]:
    taken = []
    while (message := await queue.get(no_ack=False, fail=False)) is not None:
        taken.append(message)
    return taken
